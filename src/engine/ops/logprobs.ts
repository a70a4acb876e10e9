/**
 * Log-probabilities of raw logits: each row's log-sum-exp, its n most probable tokens in exact order, and the rank of a given token.
 *
 * Owns the layout of a row's record, which this op and `sample.ts` fill together. Shaders: logprobs-blocks.wgsl, logprobs-top.wgsl,
 * logprobs-target.wgsl. Next: `sample.ts` (records it before the logits are edited), `sample-records.ts` (reads the records).
 */
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { GpuDevice } from '../gpu/device.ts';
import { struct } from '../gpu/layout.ts';
import { type OpContext, variant } from './context.ts';
import type { StepArray, Tensor } from './tensor.ts';

const logprobsParams = struct('LogprobsParams', {
  vocab: 'u32',
  stride: 'u32',
  chunks: 'u32',
  num_logprobs: 'u32',
  record_words: 'u32',
  first_record: 'u32',
  targets: 'u32',
});

/** Invocations of a workgroup that walks a row of logits, and the logits that one walks. Both are fixed in scratch layouts. */
export const SAMPLE_WG = 64;
export const SAMPLE_CHUNK = 4096;

const BLOCKS = { WG: SAMPLE_WG, CHUNK: SAMPLE_CHUNK, SUBGROUPS: false } as const;

/** Words of a row's record: token id (or rank of a given token), its raw logprob, then n ids and n logprobs. `maxLogprobs`: the largest n of the step, or -1. */
export function recordWords(maxLogprobs: number): number {
  return 2 + 2 * Math.max(0, maxLogprobs);
}

/** Buffers that the op works in, for a number of rows and a vocabulary. */
export interface LogprobsScratch {
  readonly stats: GpuBuffer;
  readonly blocks: GpuBuffer;
  /** Shapes: [rows] f32, each row's log-sum-exp. */
  readonly logSums: GpuBuffer;
}

/** Workgroups along a row. */
export function numChunks(vocab: number): number {
  return Math.ceil(vocab / SAMPLE_CHUNK);
}

export function allocateLogprobsScratch(device: GpuDevice, maxRows: number, vocab: number): LogprobsScratch {
  const parts = maxRows * numChunks(vocab);
  return {
    stats: device.createBuffer('logprobs stats', parts * 8),
    blocks: device.createBuffer('logprobs blocks', parts * SAMPLE_WG * 8),
    logSums: device.createBuffer('log sums', maxRows * 4),
  };
}

export interface LogprobsArgs {
  /** Raw logits. Shapes: [S, V]. */
  readonly logits: Tensor;
  readonly vocab: number;
  readonly numRows: number;
  /** i32 per row: -1 = skip the row, 0 = only its log-sum-exp, n = also its n best tokens. */
  readonly numLogprobs: StepArray;
  /** See {@link recordWords}: the stride of `records`. */
  readonly recordWords: number;
  readonly records: GpuBuffer;
  /** Record of row 0; 0 unless said otherwise. */
  readonly firstRecord?: number;
  /** A token id per row whose rank and logprob go into words 0 and 1. Then no row may be skipped. */
  readonly targets?: StepArray;
  readonly scratch: LogprobsScratch;
}

/**
 * Records log-sum-exps into `scratch.logSums`, and ids and logprobs of the best tokens into words 2 and up of each record.
 * Where the vocabulary is smaller than n, the rest of the ids is 0xffffffff. Rows that are skipped keep what was there.
 */
export function recordLogprobs(context: OpContext, args: LogprobsArgs): void {
  const { logits, vocab, numRows, scratch } = args;
  const chunks = numChunks(vocab);
  const step = context.recorder.arena;
  const params = {
    vocab,
    stride: logits.stride,
    chunks,
    num_logprobs: args.numLogprobs,
    record_words: args.recordWords,
    first_record: args.firstRecord ?? 0,
    targets: args.targets ?? 0,
  };
  const shared = { step, logits: logits.buffer, stats: scratch.stats, blocks: scratch.blocks };
  const blocks = variant(context, 'logprobs-blocks.wgsl', BLOCKS, logprobsParams);
  context.recorder.dispatch(blocks, shared, params, chunks, numRows);
  const topShape = { WG: context.software ? 32 : 256, CHUNK: SAMPLE_CHUNK, LANES: SAMPLE_WG };
  const top = variant(context, 'logprobs-top.wgsl', topShape, logprobsParams);
  const results = { log_sums: scratch.logSums, records: args.records };
  context.recorder.dispatch(top, { ...shared, ...results }, params, numRows);
  if (args.targets === undefined) return;
  const target = variant(context, 'logprobs-target.wgsl', { WG: SAMPLE_WG, SUBGROUPS: false }, logprobsParams);
  context.recorder.dispatch(target, { step, logits: logits.buffer, ...results }, params, numRows);
}
