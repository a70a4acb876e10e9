/**
 * Named tensors on disk, whatever file format they lie in.
 *
 * Owns the interface between a checkpoint's files and the loader. Next: `safetensors.ts` (implements it).
 */

import type { TensorEntry } from './tensor-entry.ts';

export interface WeightFiles {
  /** In the order of files and of bytes in them: reading in this order is sequential. */
  names(): readonly string[];
  has(name: string): boolean;
  /** Throws: EngineError when there is no such tensor. */
  entry(name: string): TensorEntry;
  /**
   * Fills `into` with the tensor's bytes from `byteOffsetInTensor` on. Several reads may run at once.
   * Mutates: `into`. Throws: EngineError that names tensor and file when the range leaves the tensor, or the file has
   * become shorter.
   */
  read(name: string, into: Uint8Array, byteOffsetInTensor: number): Promise<void>;
  /** Must be called: the runtime takes a file handle that is lost for an error. */
  close(): Promise<void>;
}
