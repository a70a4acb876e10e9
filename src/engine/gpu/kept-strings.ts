/**
 * Keeps the bytes of strings alive while `bun-webgpu` hands pointers to them to Dawn.
 *
 * The package encodes shader code, entry points and labels and keeps only their addresses: a garbage collection before the native call
 * then leaves Dawn with freed memory ("null character found" was seen). Owns this one repair. Next: `bun-webgpu.ts`, the only user.
 */

/** Calls of a device that pass strings. A step's own calls pass labels at most and are left as they are. */
const CALLS_WITH_STRINGS = [
  'createShaderModule',
  'createComputePipeline',
  'createComputePipelineAsync',
  'createBindGroupLayout',
  'createPipelineLayout',
  'createBindGroup',
  'createBuffer',
  'createQuerySet',
] as const;

/** Makes a device's calls keep what they encode until they return. Mutates: the device. */
export function keepStringsOf(device: GPUDevice): void {
  for (const name of CALLS_WITH_STRINGS) {
    const original = device[name] as (...args: unknown[]) => unknown;
    Object.defineProperty(device, name, {
      value: (...args: unknown[]) => keepingStrings(() => original.apply(device, args)),
    });
  }
}

/** Runs `call`; every array that a TextEncoder makes meanwhile lives until it returns. */
export function keepingStrings<T>(call: () => T): T {
  const { encode } = TextEncoder.prototype;
  const kept: Uint8Array[] = [];
  TextEncoder.prototype.encode = function (this: TextEncoder, text) {
    const bytes = encode.call(this, text);
    kept.push(bytes);
    return bytes;
  };
  try {
    return call();
  } finally {
    TextEncoder.prototype.encode = encode;
    // Read after the call, so that no optimisation may let go of them before.
    kept.length = 0;
  }
}
