/**
 * The values that ops read and write: activations, packed matrices, vectors and arrays of the step.
 *
 * Owns the shapes and paddings that all kernels agree on. Next: `context.ts`, then one file per op.
 */
import type { GpuBuffer } from '../gpu/buffer.ts';

/** How a matrix is stored on the GPU; arithmetic is f32 always. */
export type StoredFormat = 'f32' | 'bf16' | 'f16';

/** Elements in one chunk: rows are padded with zeros to whole chunks, so that kernels load 16 bytes at a time. */
export const CHUNK = 8;

/** Rounds up to whole chunks. */
export function paddedColumns(columns: number): number {
  return Math.ceil(columns / CHUNK) * CHUNK;
}

/** Activations, f32, row-major. Shapes: [rows, stride] with `columns` in use; the padding stays zero. */
export interface Tensor {
  readonly buffer: GpuBuffer;
  readonly rows: number;
  readonly columns: number;
  readonly stride: number;
}

/** Consecutive rows of a matrix in a buffer of their own. */
export interface MatrixShard {
  readonly buffer: GpuBuffer;
  readonly firstRow: number;
  readonly rows: number;
}

/** A weight matrix [rows, columns], sharded by rows where it exceeds one binding. */
export interface Matrix {
  readonly format: StoredFormat;
  readonly rows: number;
  readonly columns: number;
  readonly shards: readonly MatrixShard[];
}

/** A vector of f32 (norm weights, biases). */
export interface Vector {
  readonly buffer: GpuBuffer;
  readonly length: number;
}

/** An array in the step's arena, by the offset that `Recorder.words` gave. Units: 4-byte words. */
export type StepArray = number;

/** Number that shaders know a format by (include/weights.wgsl). */
export function formatCode(format: StoredFormat): number {
  return { f32: 0, bf16: 1, f16: 2 }[format];
}

/** Bytes of one element as stored. */
export function storedBytes(format: StoredFormat): number {
  return format === 'f32' ? 4 : 2;
}

/** Bytes of one padded row as stored. */
export function rowBytes(format: StoredFormat, columns: number): number {
  return paddedColumns(columns) * storedBytes(format);
}
