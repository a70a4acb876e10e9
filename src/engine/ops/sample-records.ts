/**
 * What was read back of a step: one record per sampled row, or per row of a prompt that was scored.
 *
 * Owns the reading of records; it talks to no device. Next: `logprobs.ts` (their layout), `sample.ts` (who writes them).
 */
import type { GpuBuffer } from '../gpu/buffer.ts';
import { EngineError, type PromptLogprobs, type TokenLogprobs } from '../types.ts';

/** Logprobs that are lower, or not finite, are reported as this: JSON has no infinity. */
const LOWEST_LOGPROB = -9999;

/** Takes what the GPU found out about a sampled token. */
export interface SurpriseTaker {
  /** Units: bits. */
  take(surprise: number): void;
}

/** What is needed to read the records of one step; independent of what is prepared for the next one. */
export interface SampleReadback {
  readonly buffer: GpuBuffer;
  /** Bytes to read from its start. */
  readonly bytes: number;
  readonly numRows: number;
  readonly vocab: number;
  readonly recordWords: number;
  /** Per row -1, 0 or n; null when no row wants logprobs. */
  readonly numLogprobs: Int32Array | null;
  /** Rows whose record ends with a surprise, and who is told. */
  readonly surprises: readonly { readonly row: number; readonly taker: SurpriseTaker }[];
}

/** A row's token. The same shape as the scheduler's commit takes. */
export interface SampledRow {
  readonly tokenId: number;
  readonly logprobs: TokenLogprobs | null;
}

/**
 * Reads the records in order of rows, and tells the surprises.
 * Throws: EngineError('gpu-error') where a row has no token: its logits were not finite, or the GPU failed.
 */
export function readSampled(bytes: Uint8Array, readback: SampleReadback): SampledRow[] {
  const { numRows, vocab, numLogprobs } = readback;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const rows: SampledRow[] = [];
  for (let row = 0; row < numRows; row++) {
    const at = row * readback.recordWords * 4;
    const tokenId = view.getUint32(at, true);
    if (tokenId >= vocab) {
      throw new EngineError('gpu-error', `sampling gave no token for row ${row}: the logits are not finite`);
    }
    const wanted = numLogprobs?.[row] ?? -1;
    rows.push({ tokenId, logprobs: wanted < 0 ? null : readLogprobs(view, at + 4, wanted, vocab) });
  }
  for (const { row, taker } of readback.surprises) {
    taker.take(view.getFloat32(((row + 1) * readback.recordWords - 1) * 4, true));
  }
  return rows;
}

/**
 * Reads the records of rows that were scored, in order of rows. `numLogprobs`: what each row asked for.
 * Throws: EngineError('gpu-error') where a rank is none: the GPU failed.
 */
export function readScored(bytes: Uint8Array, numLogprobs: ArrayLike<number>, recordWords: number, vocab: number) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from(numLogprobs, (wanted, row): PromptLogprobs => {
    const at = row * recordWords * 4;
    const rank = view.getUint32(at, true);
    if (rank < 1 || rank > vocab) throw new EngineError('gpu-error', `scoring gave rank ${rank} of ${vocab}`);
    return { rank, ...readLogprobs(view, at + 4, wanted, vocab) };
  });
}

function readLogprobs(view: DataView, at: number, wanted: number, vocab: number): TokenLogprobs {
  const top: { tokenId: number; logprob: number }[] = [];
  for (let rank = 0; rank < wanted; rank++) {
    const tokenId = view.getUint32(at + 4 + rank * 4, true);
    if (tokenId >= vocab) break;
    top.push({ tokenId, logprob: floored(view.getFloat32(at + 4 + (wanted + rank) * 4, true)) });
  }
  return { logprob: floored(view.getFloat32(at, true)), top };
}

function floored(logprob: number): number {
  return Number.isNaN(logprob) ? LOWEST_LOGPROB : Math.max(logprob, LOWEST_LOGPROB);
}
