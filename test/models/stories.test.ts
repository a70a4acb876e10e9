/**
 * A real trained checkpoint with logits and text from llama2.c, where the independent cases are at hand.
 *
 * They are not part of this repository: `WGSLM_CONFORMANCE` names their folder, a sibling of the checkout otherwise.
 */
import { describe, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Tokenizer } from '../../src/text/tokenizer.ts';
import { gpuTest } from '../helpers/gpu.ts';
import { generateAll, greedyParams, loadTestModel, promptLogits, request } from '../helpers/model.ts';

const folder = join(
  process.env.WGSLM_CONFORMANCE ?? fileURLToPath(new URL('../../../shared/conformance', import.meta.url)),
  'stories260K',
);
const NUM_STEPS = 200;
/** Largest difference allowed from llama2.c's fp32 logits. */
const LIMIT = 1e-3;

describe('stories260K', () => {
  if (!existsSync(folder)) {
    test.skip('independent cases are not at hand (WGSLM_CONFORMANCE)', () => {});
    return;
  }
  const ids = readFileSync(join(folder, 'stories260K_runc_greedy200_input_tokens.txt'), 'utf8')
    .trim()
    .split(/\s+/)
    .map(Number);
  const bytes = readFileSync(join(folder, 'stories260K_runc_greedy200_logits.f32'));
  const want = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));

  gpuTest('greedy text is the 464 bytes of llama2.c', async () => {
    const model = await loadTestModel(join(folder, 'hf'));
    const text = readFileSync(join(folder, 'stories260K_expected_stdout_t0_n200.txt'), 'utf8');
    const { tokens } = await generateAll(model, [request('story', ids.slice(0, 1), greedyParams(NUM_STEPS))]);
    const tokenizer = await Tokenizer.load(join(folder, 'hf'));
    const got = tokenizer.decode(tokens.get('story') ?? [], { skipSpecialTokens: true });
    const trimmed = text.trimEnd();
    if (!trimmed.startsWith(got.trim().slice(0, trimmed.length)) || got.trim().length < trimmed.length) {
      throw new Error(`got: ${got}\nwant: ${text}`);
    }
    model.device.close();
  });

  gpuTest('logits of 200 steps agree, one by one, whole and in chunks', async () => {
    const model = await loadTestModel(join(folder, 'hf'), { maxNumSeqs: 200, maxNumBatchedTokens: 200 });
    for (const maxNumBatchedTokens of [200, 33, 1]) {
      const [got] = await promptLogits(model, [ids.slice(0, NUM_STEPS)], { maxNumBatchedTokens });
      let worst = 0;
      for (let i = 0; i < want.length; i++) {
        const difference = Math.abs((got?.[i] ?? Number.NaN) - (want[i] ?? 0));
        if (!(difference <= worst)) worst = difference;
      }
      if (!(worst <= LIMIT)) throw new Error(`${maxNumBatchedTokens} tokens per step: logits are off by ${worst}`);
    }
    model.device.close();
  });
});
