/**
 * One tensor of a checkpoint: where its bytes lie and how they are to be read.
 *
 * Owns the element types that safetensors knows, and which of them the engine can take. No files, no GPU.
 * Next: `safetensors.ts` (finds entries), `convert.ts` (turns float bytes into the stored format).
 */

import { EngineError } from '../types.ts';

/** Bits per element. Source: the safetensors format. */
const DTYPE_BITS = {
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E5M2FNUZ: 8,
  F8_E4M3FNUZ: 8,
  F8_E8M0: 8,
  BOOL: 8,
  U8: 8,
  I8: 8,
  U16: 16,
  I16: 16,
  F16: 16,
  BF16: 16,
  U32: 32,
  I32: 32,
  F32: 32,
  U64: 64,
  I64: 64,
  F64: 64,
  C64: 64,
} as const;

export type TensorDtype = keyof typeof DTYPE_BITS;

/** The element types that `convert.ts` reads. */
export type FloatDtype = 'F32' | 'F16' | 'BF16';

export interface TensorEntry {
  readonly name: string;
  readonly dtype: TensorDtype;
  /** Empty for a scalar. */
  readonly shape: readonly number[];
  /** From the start of the file. */
  readonly byteOffset: number;
  readonly byteLength: number;
  /** Path of the file that holds it. */
  readonly file: string;
}

export interface FloatTensorEntry extends TensorEntry {
  readonly dtype: FloatDtype;
}

export function isTensorDtype(text: string): text is TensorDtype {
  return Object.hasOwn(DTYPE_BITS, text);
}

/** The size of a tensor, or null when it is not a whole, safe number of bytes. */
export function tensorBytes(dtype: TensorDtype, shape: readonly number[]): number | null {
  const bits = shape.reduce((product, length) => product * length, DTYPE_BITS[dtype]);
  return Number.isSafeInteger(bits) && bits % 8 === 0 ? bits / 8 : null;
}

/** A checkpoint may hold integer tensors that nobody reads; this refuses one at the moment it is wanted as weights. */
export function assertFloatEntry(entry: TensorEntry): asserts entry is FloatTensorEntry {
  if (entry.dtype === 'F32' || entry.dtype === 'F16' || entry.dtype === 'BF16') return;
  throw tensorError(entry, `has dtype ${entry.dtype}; weights can be F32, F16 or BF16`);
}

/** An error that names the tensor and its file. */
export function tensorError(entry: Pick<TensorEntry, 'name' | 'file'>, problem: string): EngineError {
  return new EngineError('load-failed', `${entry.file}: tensor ${entry.name} ${problem}`);
}
