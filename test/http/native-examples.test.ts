/** Every example request of the endpoint worker's documentation gives the documented shape, by HTTP and as a job. */
import { describe, expect, test } from 'bun:test';
import examples from '../fixtures/runpod/examples.json' with { type: 'json' };
import { eventsOf, says } from '../helpers/test-app.ts';
import { jobSetup } from '../unit/jobs/job-setup.ts';

const text = 'hello world';
const usage = {
  prompt_tokens: expect.any(Number),
  completion_tokens: expect.any(Number),
  total_tokens: expect.any(Number),
};
const head = { id: expect.any(String), created: expect.any(Number), model: 'test-model' };

/** The least that a whole answer of each shape has. */
const wholes: Readonly<Record<string, object>> = {
  chat: {
    ...head,
    object: 'chat.completion',
    choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }],
    usage,
  },
  text: {
    ...head,
    object: 'text_completion',
    choices: [{ index: 0, text, finish_reason: 'stop', logprobs: null }],
    usage,
  },
  models: {
    object: 'list',
    data: [
      { id: 'test-model', object: 'model', created: expect.any(Number), owned_by: expect.any(String) },
      { id: 'alias/of-it', object: 'model' },
    ],
  },
  native: { choices: [{ tokens: [text] }], usage: { input: expect.any(Number), output: expect.any(Number) } },
};

function assertStream(shape: string, events: readonly Record<string, unknown>[]): void {
  const isChat = shape === 'chat-stream';
  const object = isChat ? 'chat.completion.chunk' : 'text_completion';
  for (const event of events) expect(event).toMatchObject({ ...head, object });
  const choices = events.flatMap(
    (event) => event.choices as { text?: string; delta?: { content?: string }; finish_reason: string | null }[],
  );
  expect(choices.map((choice) => (isChat ? choice.delta?.content : choice.text) ?? '').join('')).toBe(text);
  expect(choices.at(-1)?.finish_reason).toBe('stop');
}

describe('examples over HTTP', () => {
  for (const example of examples.openai) {
    test(example.name, async () => {
      const { call } = jobSetup(says(text));
      for (const prefix of ['/v1', '/v2/my-endpoint/openai/v1']) {
        const body = example.body === null ? undefined : { model: 'test-model', ...example.body };
        const response = await call(example.method, `${prefix}${example.path}`, body);
        expect(response.status).toBe(200);
        if (example.shape.endsWith('-stream')) assertStream(example.shape, eventsOf(await response.text()));
        else expect(await response.json()).toMatchObject(wholes[example.shape] ?? {});
      }
    });
  }
});

describe('examples as jobs', () => {
  for (const example of examples.jobs) {
    test(example.name, async () => {
      const { json } = jobSetup(says(text));
      const answer = await json('POST', '/v2/my-endpoint/runsync', { input: example.input });
      expect(answer).toMatchObject({ status: 'COMPLETED', output: [wholes[example.shape] ?? {}] });
    });
  }

  for (const example of examples.openai) {
    test(`${example.name}, through the queue’s form`, async () => {
      const { outputs } = jobSetup(says(text));
      const found = await outputs({ openai_route: `/v1${example.path}`, openai_input: example.body ?? {} });
      if (example.shape.endsWith('-stream')) assertStream(example.shape, eventsOf(found.join('')));
      else expect(found).toMatchObject([wholes[example.shape] ?? {}]);
    });
  }
});
