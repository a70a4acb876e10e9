/** Experts' products with subgroup matrices; runs where the adapter offers them. `REQUIRE_MATRIX=1` demands it. */
import { describe, expect } from 'bun:test';
import type { MatrixConfig } from '../../src/engine/gpu/binding.ts';
import type { MoeMatrixPlan } from '../../src/engine/ops/moe-plan.ts';
import { matrixConfig, matrixTest } from '../helpers/matrix.ts';
import { checkMoeProducts, type MoeCase } from '../helpers/moe-products.ts';

const VARIANT = { name: 'matrices', subgroups: true, f16: true, matrix: matrixConfig };
const SHAPE = { n: 33, k: 100, format: 'bf16', spread: 'random' } as const;
const SMALL = { ...SHAPE, numExperts: 8, topK: 2 } as const;
const GROUPS = { ...SHAPE, numExperts: 4, topK: 2, n: 32, k: 96 } as const;

/** With the tiles that the planner makes: of 32 or of 64 pairs, full ones and others. */
const CASES: [name: string, tileRows: number, MoeCase][] = [
  ['ragged runs', 32, { ...SMALL, numTokens: 70 }],
  ['ragged runs', 64, { ...SMALL, numTokens: 150, n: 70 }],
  ['empty experts', 32, { ...SHAPE, numTokens: 250, numExperts: 60, topK: 4, n: 9, k: 24, spread: 'few' }],
  ['all to one expert', 32, { ...SMALL, numTokens: 130, topK: 1, spread: 'one', rowsPerShard: 66 }],
  ['all to one expert', 64, { ...SMALL, numTokens: 264, topK: 1, k: 64, spread: 'one' }],
];
/** With narrow tiles, which drivers compile sooner. */
const NARROW_CASES: [name: string, tileRows: number, MoeCase][] = [
  ['in shards', 32, { ...SMALL, numTokens: 70, format: 'f16', rowsPerShard: 3 * 33 }],
  ['in groups', 32, { ...GROUPS, numTokens: 40, format: 'int8' }],
  ['in groups', 32, { ...GROUPS, numTokens: 66, k: 64, format: 'int4', rowsPerShard: 32 }],
  ['tiles of 128 pairs', 128, { ...SHAPE, numTokens: 150, numExperts: 3, topK: 2, format: 'f16', k: 64 }],
];

/** Of few outputs, with more lanes than the subgroups that multiply: the others only stage. */
function narrowPlan(matrix: MatrixConfig, tileRows: number): MoeMatrixPlan {
  const tile = { kind: 'matrix', config: matrix, workgroupSize: 128, parts: 1, stageChunks: 4 } as const;
  const narrow = { ...tile, blockRows: tileRows / 2 / matrix.M, blockOutputs: 1 };
  return { kind: 'matrix', tileRows, gated: narrow, plain: narrow };
}

describe('moe-matmul with subgroup matrices', () => {
  for (const [name, tileRows, what] of CASES) {
    const { format, numTokens, topK, numExperts } = what;
    matrixTest(`${format}, ${name}: ${numTokens} tokens, ${topK} of ${numExperts} experts`, async (device) => {
      const { kind, tileRows: got } = await checkMoeProducts(device, VARIANT, what);
      expect(`${kind} ${got}`).toBe(`matrix ${tileRows}`);
      expect(device.compiled.some((kernel) => kernel.label.startsWith('moe-matmul-matrix'))).toBe(true);
    });
  }

  for (const [name, tileRows, what] of NARROW_CASES) {
    matrixTest(`${what.format}, ${name}`, async (device) => {
      if (matrixConfig) await checkMoeProducts(device, VARIANT, what, narrowPlan(matrixConfig, tileRows));
    });
  }

  matrixTest('weights of f32 stay with tiles of f32', async (device) => {
    const what: MoeCase = { ...SHAPE, numTokens: 70, numExperts: 8, topK: 2, format: 'f32', n: 9, k: 24 };
    expect((await checkMoeProducts(device, VARIANT, what)).kind).toBe('tile');
  });
});
