/**
 * Keeps memory alive while `bun-webgpu` hands pointers into it to Dawn.
 *
 * The package packs a descriptor's strings and lists into memory of their own and keeps only the addresses: a garbage collection before
 * the native call leaves Dawn with something else ("null character found" in a shader and "invalid feature" were seen). Owns this one
 * repair. Next: `bun-webgpu.ts`, the only user.
 */

/** Calls whose descriptors hold strings or lists. */
const DEVICE_CALLS = [
  'createShaderModule',
  'createComputePipeline',
  'createComputePipelineAsync',
  'createBindGroupLayout',
  'createPipelineLayout',
  'createBindGroup',
  'createBuffer',
  'createQuerySet',
] as const;

const repaired = new WeakSet<object>();

/** Makes the calls of all the package's devices and command encoders keep what they pack until they return. */
export function keepMemoryOfCalls(device: GPUDevice): void {
  repair(Object.getPrototypeOf(device), DEVICE_CALLS);
  // A pass's descriptor has more than a label only where it is timed.
  repair(Object.getPrototypeOf(device.createCommandEncoder()), ['beginComputePass'], (descriptor) =>
    Boolean((descriptor as GPUComputePassDescriptor | undefined)?.timestampWrites),
  );
}

type Methods = Record<string, (this: unknown, ...args: unknown[]) => unknown>;

function repair(prototype: Methods, names: readonly string[], isWanted: (argument: unknown) => boolean = () => true) {
  if (repaired.has(prototype)) return;
  repaired.add(prototype);
  for (const name of names) {
    const original = prototype[name];
    if (!original) throw new Error(`bun-webgpu has no ${name}`);
    prototype[name] = function (...args) {
      return isWanted(args[0]) ? keepingMemory(() => original.apply(this, args)) : original.apply(this, args);
    };
  }
}

/** Runs `call`; all memory that JavaScript code makes meanwhile for native code lives until it returns. */
export function keepingMemory<T>(call: () => T): T {
  const { encode } = TextEncoder.prototype;
  const { ArrayBuffer: original } = globalThis;
  const kept: unknown[] = [];
  TextEncoder.prototype.encode = function (this: TextEncoder, text) {
    const bytes = encode.call(this, text);
    kept.push(bytes);
    return bytes;
  };
  globalThis.ArrayBuffer = new Proxy(original, {
    construct(target, args, newTarget) {
      const memory = Reflect.construct(target, args, newTarget);
      kept.push(memory);
      return memory;
    },
  });
  try {
    return call();
  } finally {
    TextEncoder.prototype.encode = encode;
    globalThis.ArrayBuffer = original;
    // Used after the call, so that no optimisation may let go of it before.
    kept.length = 0;
  }
}
