/**
 * Buffers for benchmarks: harmless numbers in every format, and enough copies that no cache holds them all.
 */
import type { GpuBuffer } from '../../src/engine/gpu/buffer.ts';
import type { GpuDevice } from '../../src/engine/gpu/device.ts';
import {
  isQuantised,
  type Matrix,
  type MatrixFormat,
  paddedColumns,
  rowBytes,
  type Tensor,
  type Vector,
} from '../../src/engine/ops/tensor.ts';
import { groupsFor } from '../../src/engine/weights/quantise.ts';

const PATTERN_WORDS = 2 ** 18;
/** Small normal numbers as f32, as two f16 and as two bf16: no infinities, no denormals to slow a CPU down. */
const PATTERN = Uint32Array.from({ length: PATTERN_WORDS }, (_, i) => 0x3c003c00 | (i % 127) | ((i % 113) << 16));

/** Beyond the last-level cache of the adapter. Units: bytes. */
export function coldBytes(device: GpuDevice): number {
  return device.adapter.isSoftware ? 64 * 2 ** 20 : 512 * 2 ** 20;
}

/** Copied on the device: uploads of a cache of many GiB would take longer than what is measured with it. */
const COPIED_BYTES = 2 ** 24;

/** A buffer full of small numbers. */
export async function filledBuffer(device: GpuDevice, label: string, bytes: number): Promise<GpuBuffer> {
  const buffer = device.createBuffer(label, bytes);
  await upload(device, buffer, Math.min(buffer.bytes, COPIED_BYTES));
  if (buffer.bytes <= COPIED_BYTES) return buffer;
  // A copy within one buffer is not allowed.
  const source = device.createBuffer('pattern', COPIED_BYTES);
  await upload(device, source, COPIED_BYTES);
  const encoder = device.opened.device.createCommandEncoder({ label: 'fill' });
  for (let at = COPIED_BYTES; at < buffer.bytes; at += COPIED_BYTES) {
    encoder.copyBufferToBuffer(source.raw, 0, buffer.raw, at, Math.min(COPIED_BYTES, buffer.bytes - at));
  }
  device.opened.submit(encoder, []);
  await device.flush();
  device.destroyBuffer(source);
  return buffer;
}

async function upload(device: GpuDevice, buffer: GpuBuffer, bytes: number): Promise<void> {
  const pattern = new Uint8Array(PATTERN.buffer);
  for (let at = 0; at < bytes; at += pattern.byteLength) {
    device.write(buffer, at, pattern.subarray(0, Math.min(pattern.byteLength, bytes - at)));
    await device.settleUploads();
  }
}

export async function benchTensor(device: GpuDevice, label: string, rows: number, columns: number): Promise<Tensor> {
  const stride = paddedColumns(columns);
  return { buffer: await filledBuffer(device, label, rows * stride * 4), rows, columns, stride };
}

export async function benchVector(device: GpuDevice, label: string, length: number): Promise<Vector> {
  return { buffer: await filledBuffer(device, label, paddedColumns(length) * 4), length };
}

/** Copies of one matrix, so many that a round through them comes from memory. Limits: the matrix fits one binding. */
export async function benchMatrices(
  device: GpuDevice,
  format: MatrixFormat,
  rows: number,
  columns: number,
): Promise<Matrix[]> {
  const bytes = rows * rowBytes(format, columns);
  const copies = Math.max(1, Math.ceil(coldBytes(device) / bytes));
  const matrices: Matrix[] = [];
  for (let i = 0; i < copies; i++) {
    const buffer = await filledBuffer(device, `weight ${i}`, bytes);
    if (!isQuantised(format)) {
      matrices.push({ format, rows, columns, shards: [{ buffer, firstRow: 0, rows }] });
      continue;
    }
    const groups = groupsFor(format, columns);
    if (!groups) throw new Error(`${columns} columns are not whole groups`);
    const scales = await filledBuffer(device, `scales ${i}`, (rows * columns * 4) / groups.size);
    matrices.push({ format, groups, rows, columns, shards: [{ buffer, scales, firstRow: 0, rows }] });
  }
  return matrices;
}

/** Frees what {@link benchMatrices} made. */
export function destroyMatrices(device: GpuDevice, matrices: readonly Matrix[]): void {
  for (const { buffer, scales } of matrices.flatMap((matrix) => matrix.shards)) {
    device.destroyBuffer(buffer);
    if (scales) device.destroyBuffer(scales);
  }
}
