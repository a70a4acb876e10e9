/**
 * Small tensors and matrices of fixed pseudo-random numbers on a device, and their end.
 *
 * Owns every buffer that the check of a device makes, so that none outlives it. Numbers are exact in the format that stores them, so that
 * what differs from a result in float64 is the kernel's. It knows no op. Next: `products.ts` and `attention.ts` (what is made of them).
 */
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { GpuDevice } from '../gpu/device.ts';
import { type Matrix, paddedColumns, type QuantisedFormat, type Tensor, type Vector } from '../ops/tensor.ts';

/** Numbers between -1.7 and 1.7, whose variance is 1. The same for the same seed. */
export function numbers(seed: number, count: number): Float32Array {
  let state = Math.imul(seed + 1, 2654435761);
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (((state >>> 8) + 0.5) / 2 ** 23 - 1) * Math.sqrt(3);
  });
}

/** Values as bf16 holds them. */
export function asBf16(values: Float32Array): Float32Array {
  const words = new Uint32Array(values.slice().buffer);
  return new Float32Array(words.map((word) => word & 0xffff0000).buffer);
}

/** Values as f16 holds them. */
export function asF16(values: Float32Array): Float32Array {
  return Float32Array.from(Float16Array.from(values));
}

/** A quantised matrix with the values that its integers and scales stand for. */
export interface QuantisedSample {
  readonly matrix: Matrix;
  readonly values: Float32Array;
}

const GROUP = 32;

export class Workbench {
  private readonly made: GpuBuffer[] = [];

  constructor(readonly device: GpuDevice) {}

  buffer(label: string, bytes: number): GpuBuffer {
    return this.kept(this.device.createBuffer(`check: ${label}`, bytes));
  }

  /** Takes over the end of a buffer that another made. */
  kept(buffer: GpuBuffer): GpuBuffer {
    this.made.push(buffer);
    return buffer;
  }

  upload(label: string, data: ArrayBufferView): GpuBuffer {
    const padded = new Uint8Array(Math.ceil(data.byteLength / 4) * 4);
    padded.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    const buffer = this.buffer(label, padded.length);
    this.device.write(buffer, 0, padded);
    return buffer;
  }

  /** Shapes: values [rows, columns]. */
  tensor(label: string, rows: number, columns: number, values?: Float32Array): Tensor {
    const stride = paddedColumns(columns);
    const data = values ? padRows(values, rows, columns, new Float32Array(rows * stride)) : null;
    const buffer = data ? this.upload(label, data) : this.buffer(label, rows * stride * 4);
    return { buffer, rows, columns, stride };
  }

  vector(label: string, values: Float32Array): Vector {
    return { buffer: this.tensor(label, 1, values.length, values).buffer, length: values.length };
  }

  /** Stores values that are exact in the format already. Shapes: values [rows, columns]. */
  matrix(format: 'bf16' | 'f16', rows: number, columns: number, values: Float32Array): Matrix {
    const padded = padRows(values, rows, columns, new Float32Array(rows * paddedColumns(columns)));
    const words = new Uint32Array(padded.buffer);
    const packed = format === 'f16' ? Float16Array.from(padded) : Uint16Array.from(words, (word) => word >>> 16);
    return { format, rows, columns, shards: [{ buffer: this.upload(`${format} weights`, packed), firstRow: 0, rows }] };
  }

  /** Random integers with a power of two as the scale of each group. Limits: whole groups of columns. */
  quantised(format: QuantisedFormat, rows: number, columns: number): QuantisedSample {
    const isInt4 = format === 'int4';
    const zero = isInt4 ? 8 : 0;
    const [least, count] = isInt4 ? [0, 16] : [-127, 255];
    const random = numbers(7, rows * columns);
    const quants = Array.from(random, (value) => least + (Math.floor(Math.abs(value) * 1000) % count));
    const perWord = isInt4 ? 8 : 4;
    const words = new Uint32Array(quants.length / perWord);
    for (const [i, quant] of quants.entries()) {
      const bits = 32 / perWord;
      const word = Math.floor(i / perWord);
      words[word] = (words[word] ?? 0) | ((quant & (2 ** bits - 1)) << ((i % perWord) * bits));
    }
    const scaleOf = (group: number) => 2 ** -(3 + (group % 4));
    const pairs = Float16Array.from({ length: (2 * quants.length) / GROUP }, (_, i) =>
      i % 2 === 0 ? scaleOf(i / 2) : scaleOf((i - 1) / 2) * zero,
    );
    const shard = { buffer: this.upload(format, words), scales: this.upload('scales', pairs), firstRow: 0, rows };
    return {
      matrix: { format, rows, columns, groups: { size: GROUP, zeros: isInt4 }, shards: [shard] },
      values: Float32Array.from(quants, (quant, i) => (quant - zero) * scaleOf(Math.floor(i / GROUP))),
    };
  }

  close(): void {
    for (const buffer of this.made) this.device.destroyBuffer(buffer);
    this.made.length = 0;
  }
}

function padRows(values: Float32Array, rows: number, columns: number, into: Float32Array): Float32Array {
  const stride = into.length / rows;
  for (let row = 0; row < rows; row++) into.set(values.subarray(row * columns, (row + 1) * columns), row * stride);
  return into;
}
