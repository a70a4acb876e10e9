import { expect, test } from 'bun:test';
import { keepingStrings } from '../../../src/engine/gpu/kept-strings.ts';
import { gpuTest } from '../../helpers/gpu.ts';

test('what is encoded meanwhile outlives a collection, and the encoder is as before', () => {
  const { encode } = TextEncoder.prototype;
  const encoder = new TextEncoder();
  let made: WeakRef<Uint8Array> | null = null;
  keepingStrings(() => {
    made = new WeakRef(encoder.encode('code'));
    Bun.gc(true);
    expect(made.deref()).toBeDefined();
  });
  expect(TextEncoder.prototype.encode).toBe(encode);
  expect(() =>
    keepingStrings(() => {
      throw new Error('passed on');
    }),
  ).toThrow('passed on');
  expect(TextEncoder.prototype.encode).toBe(encode);
});

gpuTest('shader modules survive collections between their making', async (device) => {
  const raw = device.opened.device;
  raw.pushErrorScope('validation');
  for (let i = 0; i < 50; i++) {
    // Garbage of many sizes, so that a collection may come at any place.
    Array.from({ length: 200 }, (_, n) => new Uint8Array(64 * (n + i)));
    raw.createShaderModule({
      label: `module ${i}`,
      code: `@compute @workgroup_size(1) fn main() {}\n${'// x\n'.repeat(i)}`,
    });
  }
  expect(await raw.popErrorScope()).toBeNull();
});
