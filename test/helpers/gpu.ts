/**
 * Tests on a real adapter: opens the device once, skips visibly where there is none, and checks results with guards.
 *
 * `REQUIRE_GPU=1` turns a missing adapter into a failure. `GPU_BINDING` picks the Dawn binding (bun-webgpu unless said otherwise).
 */
import { test } from 'bun:test';
import type { BindingName, MatrixConfig } from '../../src/engine/gpu/binding.ts';
import type { GpuBuffer } from '../../src/engine/gpu/buffer.ts';
import { GpuDevice } from '../../src/engine/gpu/device.ts';
import { Recorder } from '../../src/engine/gpu/recorder.ts';
import type { OpContext } from '../../src/engine/ops/context.ts';
import {
  type Matrix,
  paddedColumns,
  rowBytes,
  type StoredFormat,
  type Tensor,
  type Vector,
} from '../../src/engine/ops/tensor.ts';

const binding = (process.env.GPU_BINDING ?? 'bun-webgpu') as BindingName;

async function openOrExplain(): Promise<GpuDevice | string> {
  try {
    return await GpuDevice.open(binding, { robustness: true, profiling: false });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const opened = await openOrExplain();
if (typeof opened === 'string' && process.env.REQUIRE_GPU === '1') throw new Error(`REQUIRE_GPU=1, but ${opened}`);

/** The device of this test process, or null. */
export const gpu: GpuDevice | null = typeof opened === 'string' ? null : opened;

/** A test that needs the GPU; skipped (and counted as skipped) without one. */
export function gpuTest(name: string, run: (device: GpuDevice) => Promise<void> | void): void {
  const device = gpu;
  if (device) test(name, () => run(device));
  else test.skip(`${name} (no adapter: ${opened})`, () => {});
}

/** Which variants of shaders to use. */
export interface Variant {
  readonly name?: string;
  readonly subgroups: boolean;
  readonly f16: boolean;
  readonly software?: boolean;
  readonly matrix?: MatrixConfig | null;
}

/** Variants of shaders that the adapter can run: with and without subgroups, with and without f16 types. */
export function variants(device: GpuDevice): Variant[] {
  const all = [{ name: 'plain', subgroups: false, f16: false }];
  if (device.hasSubgroups) all.push({ name: 'subgroups', subgroups: true, f16: false });
  if (device.hasF16) all.push({ name: 'subgroups+f16', subgroups: device.hasSubgroups, f16: true });
  return all;
}

/** The variants, and the kernels for software adapters besides. */
export function allVariants(device: GpuDevice): Variant[] {
  return [...variants(device), { name: 'software', subgroups: false, f16: device.hasF16, software: true }];
}

/** A recorder of its own with a context for the given variant. */
export function context(device: GpuDevice, variant: Variant = { subgroups: false, f16: false }): OpContext {
  const { subgroups, f16, software = false, matrix = null } = variant;
  return { device, recorder: new Recorder(device, 1 << 20), subgroups, f16, software, matrix };
}

/** Seeded numbers, normal with the given spread. */
export function randomNumbers(seed: number, count: number, spread = 1): Float32Array {
  let state = (seed * 2654435761 + 12345) >>> 0;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(next())) * Math.cos(2 * Math.PI * next()) * spread,
  );
}

/** Uploads bytes into a new buffer. */
export function upload(device: GpuDevice, label: string, data: Float32Array | Uint32Array | Uint8Array): GpuBuffer {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const buffer = device.createBuffer(label, bytes.byteLength);
  const padded = new Uint8Array(Math.ceil(bytes.byteLength / 4) * 4);
  padded.set(bytes);
  device.write(buffer, 0, padded);
  return buffer;
}

/** Rows of guard values around a tensor, to see writes that go astray. */
const GUARD_ROWS = 2;
const GUARD = 12345.678;

/** An activation tensor with the given rows; `values` is [rows, columns] without padding. */
export function tensor(device: GpuDevice, label: string, rows: number, columns: number, values?: Float32Array): Tensor {
  const stride = paddedColumns(columns);
  const data = new Float32Array((rows + GUARD_ROWS) * stride);
  data.fill(GUARD, rows * stride);
  for (let t = 0; values && t < rows; t++) data.set(values.subarray(t * columns, (t + 1) * columns), t * stride);
  return { buffer: upload(device, label, data), rows, columns, stride };
}

/** Reads a tensor made by {@link tensor} as [rows, columns]. Throws: when a guard value or the padding was written. */
export async function readTensor(device: GpuDevice, from: Tensor): Promise<Float32Array> {
  const bytes = await device.read(from.buffer, 0, (from.rows + GUARD_ROWS) * from.stride * 4);
  const all = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  const guard = Math.fround(GUARD);
  for (let i = from.rows * from.stride; i < all.length; i++) {
    if (all[i] !== guard)
      throw new Error(`${from.buffer.label}: wrote ${all[i]} into the guard at row ${Math.floor(i / from.stride)}`);
  }
  const out = new Float32Array(from.rows * from.columns);
  for (let t = 0; t < from.rows; t++) {
    out.set(all.subarray(t * from.stride, t * from.stride + from.columns), t * from.columns);
    for (let c = from.columns; c < from.stride; c++) {
      if (all[t * from.stride + c] !== 0) throw new Error(`${from.buffer.label}: wrote into the padding of row ${t}`);
    }
  }
  return out;
}

export function vector(device: GpuDevice, label: string, values: Float32Array): Vector {
  const padded = new Float32Array(paddedColumns(values.length));
  padded.set(values);
  return { buffer: upload(device, label, padded), length: values.length };
}

const scratch = new DataView(new ArrayBuffer(4));

/** Rounds to what the format can hold: the reference computes with the stored values. */
export function roundTo(format: StoredFormat, value: number): number {
  if (format === 'f32') return Math.fround(value);
  if (format === 'f16') {
    scratch.setFloat16(0, value);
    return scratch.getFloat16(0);
  }
  scratch.setFloat32(0, value);
  const bits = scratch.getUint32(0);
  scratch.setUint32(0, ((bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000) >>> 0);
  return scratch.getFloat32(0);
}

/** A packed matrix of [rows, columns] `values` that are already rounded to the format; `rowsPerShard` cuts it. */
export function matrix(
  device: GpuDevice,
  label: string,
  format: StoredFormat,
  rows: number,
  columns: number,
  values: Float32Array,
  rowsPerShard = rows,
): Matrix {
  const stride = paddedColumns(columns);
  const pack = (firstRow: number, count: number) => {
    const bytes = new DataView(new ArrayBuffer(count * rowBytes(format, columns)));
    for (let r = 0; r < count; r++) {
      for (let c = 0; c < columns; c++) {
        const value = values[(firstRow + r) * columns + c] ?? 0;
        const at = r * stride + c;
        if (format === 'f32') bytes.setFloat32(at * 4, value, true);
        else if (format === 'f16') bytes.setFloat16(at * 2, value, true);
        else {
          scratch.setFloat32(0, value);
          bytes.setUint16(at * 2, scratch.getUint16(0), true);
        }
      }
    }
    return new Uint8Array(bytes.buffer);
  };
  const shards = [];
  for (let firstRow = 0; firstRow < rows; firstRow += rowsPerShard) {
    const count = Math.min(rowsPerShard, rows - firstRow);
    shards.push({ buffer: upload(device, `${label}[${firstRow}]`, pack(firstRow, count)), firstRow, rows: count });
  }
  return { format, rows, columns, shards };
}
