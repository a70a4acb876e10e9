/**
 * A GPU buffer with an identity: what kernels bind and bind-group caches key on.
 *
 * Owns nothing but the numbers; `device.ts` creates and destroys buffers.
 */

/** A buffer on the device. */
export interface GpuBuffer {
  /** Unique within the process; part of bind-group keys. */
  readonly id: number;
  readonly label: string;
  /** Units: bytes, a multiple of 4. */
  readonly bytes: number;
  readonly raw: GPUBuffer;
}
