/**
 * The values that ops read and write: activations, packed matrices, vectors and arrays of the step.
 *
 * Owns the shapes and paddings that all kernels agree on. Next: `context.ts`, then one file per op.
 */
import type { GpuBuffer } from '../gpu/buffer.ts';

/** How floats are stored on the GPU; arithmetic is f32 always. */
export type StoredFormat = 'f32' | 'bf16' | 'f16';

/**
 * Integers with a scale for each group of a row: signed bytes, or unsigned nibbles. Along k in plain order, the lowest bits first.
 * Shapes: [rows, columns / 4] or [rows, columns / 8] u32.
 */
export type QuantisedFormat = 'int8' | 'int4';

/** How a matrix is stored on the GPU. */
export type MatrixFormat = StoredFormat | QuantisedFormat;

/** Elements that share a scale. */
export type GroupSize = 32 | 64 | 128;

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
  /** With a quantised matrix: scale and scale * zero as a pair of f16. Shapes: [rows, columns / group] u32. */
  readonly scales?: GpuBuffer;
  readonly firstRow: number;
  readonly rows: number;
}

/** How the elements of a quantised matrix are read: w = scale * (q - zero). */
export interface QuantisedGroups {
  readonly size: GroupSize;
  /** False when all zeros are 0, so that kernels may leave them out. */
  readonly zeros: boolean;
}

/** A weight matrix [rows, columns], sharded by rows where it exceeds one binding. */
export interface Matrix {
  readonly format: MatrixFormat;
  readonly rows: number;
  /** A multiple of the group's size where the matrix is quantised. */
  readonly columns: number;
  /** With a quantised format, and only then. */
  readonly groups?: QuantisedGroups;
  readonly shards: readonly MatrixShard[];
}

/** Room for the activations of one product at a time as signed bytes, in blocks of 32 with a scale each (quantise-rows.wgsl). */
export interface QuantisedRows {
  /** Shapes: [rows, columns / 4] u32. */
  readonly quants: GpuBuffer;
  /** For each block its scale and the sum of its quantised values. Shapes: [rows, columns / 32, 2] f32. */
  readonly scales: GpuBuffer;
}

/** A vector of f32 (norm weights, biases); its buffer is padded with zeros like a row. */
export interface Vector {
  readonly buffer: GpuBuffer;
  readonly length: number;
}

/** An array in the step's arena, by the offset that `Recorder.words` gave. Units: 4-byte words. */
export type StepArray = number;

/** Number that shaders know a format by (include/weights.wgsl). */
export function formatCode(format: MatrixFormat): number {
  return { f32: 0, bf16: 1, f16: 2, int8: 3, int4: 4 }[format];
}

export function isQuantised(format: MatrixFormat): format is QuantisedFormat {
  return format === 'int8' || format === 'int4';
}

/** Bytes of one element as stored, without scales. */
export function storedBytes(format: MatrixFormat): number {
  return { f32: 4, bf16: 2, f16: 2, int8: 1, int4: 0.5 }[format];
}

/** Bytes of one padded row as stored, without scales. */
export function rowBytes(format: MatrixFormat, columns: number): number {
  return paddedColumns(columns) * storedBytes(format);
}
