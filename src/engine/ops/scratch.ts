/**
 * Buffers for what one op hands to the next dispatch and nobody reads later: one per device and purpose, grown when a step needs more.
 *
 * A buffer that was outgrown is left to the commands that may still use it. Next: `matmul-many.ts`.
 */
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { GpuDevice } from '../gpu/device.ts';

const MIN_BYTES = 1 << 16;

const buffers = new WeakMap<GpuDevice, Map<string, GpuBuffer>>();

/** A buffer of at least `bytes`; its content is anything. The same one for the same `purpose` until a call asks for more. */
export function scratchBuffer(device: GpuDevice, purpose: string, bytes: number): GpuBuffer {
  let known = buffers.get(device);
  if (!known) {
    known = new Map();
    buffers.set(device, known);
  }
  const current = known.get(purpose);
  if (current && current.bytes >= bytes) return current;
  // Doubled at least, so that growing steps do not leave a buffer each.
  const roomy = Math.max(
    bytes,
    MIN_BYTES,
    Math.min((current?.bytes ?? 0) * 2, device.limits.maxStorageBufferBindingSize),
  );
  const buffer = device.createBuffer(purpose, roomy);
  known.set(purpose, buffer);
  return buffer;
}
