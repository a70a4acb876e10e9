/** Experts' products of integer weights with rows as bytes: against float64 that rounds the rows in the same way. */
import { describe, expect } from 'bun:test';
import { allVariants, gpuTest } from '../helpers/gpu.ts';
import { checkMoeProducts, type MoeCase } from '../helpers/moe-products.ts';

const SHAPE = { numExperts: 8, topK: 2, n: 32, k: 96, spread: 'random', bytes: true } as const;

/** What the planner makes of each, and what on a CPU. */
const CASES: [plan: string, onCpu: string, MoeCase][] = [
  ['gemv 1', 'rows 1', { ...SHAPE, numTokens: 3, format: 'int8' }],
  ['gemv 1', 'rows 1', { ...SHAPE, numTokens: 2, format: 'int4', numExperts: 60, topK: 4, k: 64, rowsPerShard: 64 }],
  ['gemv 4', 'rows 1', { ...SHAPE, numTokens: 14, numExperts: 16, format: 'int4', rowsPerShard: 96 }],
];
const TILES: MoeCase[] = [
  { ...SHAPE, numTokens: 70, numExperts: 4, format: 'int8', n: 96, rowsPerShard: 96 },
  { ...SHAPE, numTokens: 150, topK: 1, format: 'int4', k: 64, spread: 'one' },
  { ...SHAPE, numTokens: 140, format: 'int4', spread: 'few', k: 160 },
];

describe('moe-matmul of bytes', () => {
  for (const [onGpu, onCpu, what] of CASES) {
    const { format, numTokens, topK, numExperts } = what;
    gpuTest(`${format}: ${numTokens} tokens, ${topK} of ${numExperts} experts`, async (device) => {
      for (const variant of allVariants(device)) {
        // f16 types change nothing here.
        if (variant.f16 && !variant.software) continue;
        const { kind, tileRows } = await checkMoeProducts(device, variant, what);
        expect(`${kind} ${tileRows}`).toBe(variant.software ? onCpu : onGpu);
      }
    });
  }

  gpuTest('the norm of the rows goes with their rounding', async (device) => {
    for (const variant of allVariants(device)) {
      if (variant.f16 && !variant.software) continue;
      await checkMoeProducts(device, variant, { ...SHAPE, numTokens: 3, format: 'int8', norm: true });
    }
  });

  gpuTest('many pairs go through tiles', async (device) => {
    const onCpu = await checkMoeProducts(
      device,
      { subgroups: false, f16: false, software: true },
      { ...SHAPE, numTokens: 18, numExperts: 8, format: 'int8' },
    );
    expect(onCpu.tileRows).toBe(4);
    for (const what of TILES) {
      const { kind, tileRows } = await checkMoeProducts(device, { subgroups: false, f16: false }, what);
      expect(`${kind} ${tileRows}`).toBe('dp4a 64');
    }
    expect(device.compiled.some((kernel) => kernel.label.startsWith('moe-matmul-dp4a'))).toBe(true);
  });
});
