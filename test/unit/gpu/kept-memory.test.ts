import { expect, test } from 'bun:test';
import { keepingMemory } from '../../../src/engine/gpu/kept-memory.ts';
import { gpuTest } from '../../helpers/gpu.ts';

test('what is made for native code meanwhile outlives a collection, and everything is as before', () => {
  const { encode } = TextEncoder.prototype;
  const { ArrayBuffer: buffers } = globalThis;
  const encoder = new TextEncoder();
  keepingMemory(() => {
    const strings = Array.from({ length: 50 }, (_, i) => new WeakRef(encoder.encode(`code ${i}`)));
    const lists = Array.from({ length: 50 }, () => new WeakRef(new ArrayBuffer(64)));
    Bun.gc(true);
    expect(strings.every((string) => string.deref())).toBe(true);
    expect(lists.every((list) => list.deref())).toBe(true);
    expect(new ArrayBuffer(8) instanceof buffers).toBe(true);
  });
  const fail = () => {
    throw new Error('passed on');
  };
  expect(() => keepingMemory(fail)).toThrow('passed on');
  expect(TextEncoder.prototype.encode).toBe(encode);
  expect(globalThis.ArrayBuffer).toBe(buffers);
});

gpuTest('shader modules and groups survive collections between their making', async (device) => {
  const raw = device.opened.device;
  raw.pushErrorScope('validation');
  for (let i = 0; i < 50; i++) {
    // Garbage of many sizes, so that a collection may come at any place.
    Array.from({ length: 200 }, (_, n) => new Uint8Array(64 * (n + i)));
    const code = `@compute @workgroup_size(1) fn main() {}\n${'// x\n'.repeat(i)}`;
    raw.createShaderModule({ label: `module ${i}`, code });
    const entries = [0, 1].map((binding) => ({ binding, visibility: 4, buffer: { type: 'storage' as const } }));
    const layout = raw.createBindGroupLayout({ label: `layout ${i}`, entries });
    raw.createPipelineLayout({ label: `pipeline layout ${i}`, bindGroupLayouts: [layout] });
  }
  expect(await raw.popErrorScope()).toBeNull();
});
