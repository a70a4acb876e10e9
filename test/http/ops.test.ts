/** The small routes that probes, balancers and clients with their own tokenizer read. */
import { describe, expect, test } from 'bun:test';
import type { EngineState } from '../../src/engine/types.ts';
import { says, testApp } from '../helpers/test-app.ts';
import { testIds } from '../helpers/test-tokenizer.ts';

const body = { messages: [{ role: 'user', content: 'hi' }] };

describe('probes', () => {
  test.each([
    ['ready', { ping: 200, ready: 200, live: 200 }],
    ['loading', { ping: 204, ready: 503, live: 200 }],
    ['restarting', { ping: 503, ready: 503, live: 200 }],
    ['failed', { ping: 503, ready: 503, live: 503 }],
  ] as const)('while the engine is %s', async (state, expected) => {
    const { get, post, engine } = testApp(says('a'), { settings: { apiKeys: ['key'] } });
    engine.setState(state as EngineState);
    const status = async (path: string) => (await get(path)).status;
    expect({ ping: await status('/ping'), ready: await status('/ready'), live: await status('/live') }).toEqual(
      expected,
    );
    expect((await post('/ping', '')).status).toBe(expected.ping);
  });

  test('while draining: alive, not ready', async () => {
    const { get, engine } = testApp(says('a'), { isDraining: () => true });
    expect((await get('/ready')).status).toBe(503);
    expect((await get('/ping')).status).toBe(503);
    expect((await get('/live')).status).toBe(200);
    engine.setState('loading');
    expect((await get('/ping')).status).toBe(503);
  });
});

test('/load counts what the engine has', async () => {
  const { get, post, engine } = testApp(() => ['hold']);
  expect(await (await get('/load')).json()).toEqual({ server_load: 0 });
  const pending = post('/v1/chat/completions', { ...body, n: 2 });
  await engine.held();
  expect(await (await get('/load')).json()).toEqual({ server_load: 2 });
  engine.release();
  await pending;
});

test('/tokenizer_info', async () => {
  const { get } = testApp(says('a'));
  expect(await (await get('/tokenizer_info')).json()).toMatchObject({
    tokenizer_class: 'PreTrainedTokenizerFast',
    vocab_size: testIds.vocabSize,
    model_max_length: 256,
    eos_token: '<|im_end|>',
    added_tokens_decoder: { [testIds.imEnd]: { content: '<|im_end|>', special: true } },
  });
});

test('what is not a probe needs a key', async () => {
  const { get } = testApp(says('a'), { settings: { apiKeys: ['key'] } });
  for (const path of ['/load', '/tokenizer_info', '/v1/responses/resp_1']) expect((await get(path)).status).toBe(401);
});
