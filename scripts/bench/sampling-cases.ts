/**
 * Sampling from rows of logits: greedy, and with the truncations that most clients send.
 *
 * Bytes are one reading of the logits, which greedy needs; truncation reads them several times.
 */
import { allocateSampleScratch, recordSample } from '../../src/engine/ops/sample.ts';
import type { SamplingParams } from '../../src/engine/types.ts';
import { SamplingPreparer } from '../../src/sampling/prepare.ts';
import { benchTensor } from './bench-values.ts';
import type { KernelCase } from './kernel-cases.ts';
import { PLAIN_PARAMS } from './plain-params.ts';

export function samplingCases(isSoftware: boolean): KernelCase[] {
  const [vocab, many] = isSoftware ? [8192, 16] : [131_072, 64];
  const truncated = { temperature: 0.8, topK: 40, topP: 0.95 };
  return [1, many].flatMap((rows) => [
    samplingCase('greedy', rows, vocab, {}),
    samplingCase('temperature', rows, vocab, { temperature: 0.8 }),
    samplingCase('top-k and top-p', rows, vocab, truncated),
    samplingCase('5 logprobs', rows, vocab, { numLogprobs: 5 }),
  ]);
}

function samplingCase(what: string, rows: number, vocab: number, params: Partial<SamplingParams>): KernelCase {
  return {
    name: `sample ${what} ${rows} x ${vocab}`,
    bytes: rows * vocab * 4,
    flops: rows * vocab,
    async make(context) {
      const { device } = context;
      const logits = await benchTensor(device, 'logits', rows, vocab);
      const scratch = allocateSampleScratch(device, rows, vocab);
      const source = { promptIds: [1], outputIds: [], params: { ...PLAIN_PARAMS, ...params }, seed: [1, 2] as const };
      const prepared = new SamplingPreparer(vocab, []).prepare(Array.from({ length: rows }, () => source));
      return {
        prepare: () => () => void recordSample(context, { logits, prepared, scratch }),
        release: () => device.destroyBuffer(logits.buffer),
      };
    },
  };
}
