/** Which kernel and which tiles a matrix product gets. */
import { describe, expect, test } from 'bun:test';
import type { MatrixConfig } from '../../../src/engine/gpu/binding.ts';
import { chooseMatrixConfig } from '../../../src/engine/gpu/binding.ts';
import {
  type MatmulAdapter,
  type MatmulShape,
  partChunks,
  planMatmul,
  tileSize,
} from '../../../src/engine/ops/matmul-plan.ts';

const GPU: MatmulAdapter = { software: false, workgroupBytes: 32768, matrix: null, subgroupMaxSize: 32 };

function config(M: number, N: number, K: number, resultComponentType = 'f32'): MatrixConfig {
  return { componentType: 'f16', resultComponentType, M, N, K };
}

function shape(rows: number, n: number, columns: number, rest: Partial<MatmulShape> = {}): MatmulShape {
  return { rows, n, columns, gated: false, format: 'bf16', ...rest };
}

function plan(what: MatmulShape, adapter: Partial<MatmulAdapter> = {}) {
  return planMatmul(what, { ...GPU, ...adapter });
}

/** Rows and outputs of the tile, and parts. */
function tile(what: MatmulShape, adapter: Partial<MatmulAdapter> = {}): number[] {
  const got = plan(what, adapter);
  if (got.kind !== 'tile' && got.kind !== 'matrix') throw new Error(`a tile was expected, not ${got.kind}`);
  const { rows, outputs } = tileSize(got);
  return [rows, outputs, got.parts];
}

describe('kernel', () => {
  test('few rows get the matrix-vector kernel, many get tiles, software adapters their own', () => {
    const kinds = (adapter: Partial<MatmulAdapter>) =>
      [1, 16, 17, 64, 1000].map((rows) => plan(shape(rows, 64, 64), adapter).kind);
    expect(kinds({})).toEqual(['gemv', 'gemv', 'tile', 'tile', 'tile']);
    expect(kinds({ software: true })).toEqual(['rows', 'rows', 'rows', 'rows', 'rows']);
    expect(kinds({ matrix: config(16, 16, 16) })).toEqual(['gemv', 'gemv', 'matrix', 'matrix', 'matrix']);
  });

  test('f32 weights never go to f16 matrices', () => {
    expect(plan(shape(64, 64, 64, { format: 'f32' }), { matrix: config(16, 16, 16) }).kind).toBe('tile');
  });

  test('of the matrix shapes the largest with f32 sums is taken', () => {
    expect(chooseMatrixConfig([config(16, 16, 16, 'f16'), config(16, 8, 16), config(16, 16, 16)])).toEqual(
      config(16, 16, 16),
    );
    expect(chooseMatrixConfig([config(8, 8, 8, 'f16')])).toBeNull();
  });
});

describe('sizes of the matrix-vector kernel', () => {
  /** Workgroup size, rows and unroll. */
  const sizes = (what: MatmulShape, adapter: Partial<MatmulAdapter> = {}): number[] => {
    const got = plan(what, adapter);
    if (got.kind !== 'gemv') throw new Error(got.kind);
    expect(got.load).toBe(1);
    return [got.wg, got.rows, got.unroll];
  };

  test('128 bytes of weights are on their way to each lane, as far as its share of k goes', () => {
    const wide = (rest: Partial<MatmulShape> = {}) => sizes(shape(1, 65536, 4096, rest));
    expect(wide()).toEqual([64, 4, 2]);
    expect(wide({ gated: true })).toEqual([64, 4, 1]);
    expect(wide({ format: 'f32' })).toEqual([64, 4, 1]);
    expect(wide({ format: 'int8' })).toEqual([64, 4, 4]);
    expect(wide({ format: 'int4', gated: true })).toEqual([64, 4, 4]);
    expect(sizes(shape(1, 65536, 256))).toEqual([32, 4, 1]);
    expect(sizes(shape(1, 65536, 1000, { format: 'int4' }))).toEqual([64, 4, 1]);
    expect(sizes(shape(8, 65536, 4096))).toEqual([64, 4, 1]);
  });

  test('few outputs get fewer rows and more lanes each', () => {
    expect(sizes(shape(1, 4096, 4096))).toEqual([64, 4, 2]);
    expect(sizes(shape(1, 2048, 2048))).toEqual([128, 4, 2]);
    expect(sizes(shape(1, 1024, 4096))).toEqual([256, 4, 2]);
    expect(sizes(shape(1, 512, 8192))).toEqual([256, 2, 4]);
    expect(sizes(shape(1, 256, 2048))).toEqual([128, 1, 2]);
    expect(sizes(shape(1, 100, 4096))).toEqual([256, 1, 2]);
  });

  test('several rows of x keep outputs together, and workgroup memory bounds the lanes', () => {
    expect(sizes(shape(2, 512, 8192)).slice(0, 2)).toEqual([256, 2]);
    expect(sizes(shape(4, 100, 8192)).slice(0, 2)).toEqual([64, 4]);
    expect(sizes(shape(16, 100, 8192, { gated: true })).slice(0, 2)).toEqual([64, 2]);
    expect(sizes(shape(1, 1024, 4096, { gated: true }), { workgroupBytes: 16384 })[0]).toBe(128);
  });
});

describe('tiles', () => {
  test('up to 64 rows are one tile; more take the largest that still gives enough workgroups', () => {
    const wide = 128 * 64;
    expect([17, 32, 33, 48, 49, 64].map((rows) => tile(shape(rows, wide, 512))[0])).toEqual([32, 32, 48, 48, 64, 64]);
    expect(tile(shape(512, wide, 512))).toEqual([128, 64, 1]);
    expect(tile(shape(128, 64 * 64, 64))).toEqual([64, 64, 1]);
  });

  test('small workgroup memory gets a small tile', () => {
    expect(tile(shape(512, 8192, 512, { gated: true }))).toEqual([64, 64, 1]);
    expect(tile(shape(512, 8192, 512, { gated: true }), { workgroupBytes: 49152 })).toEqual([128, 64, 1]);
    expect(tile(shape(512, 8192, 512, { gated: true }), { workgroupBytes: 16384 })).toEqual([32, 32, 1]);
  });

  test('the three known shapes of matrices fill the same tiles, within memory and registers', () => {
    const many = shape(1024, 8192, 512);
    for (const matrix of [config(16, 16, 16), config(8, 16, 16), config(8, 8, 8)]) {
      expect(tile(many, { matrix })).toEqual([128, 128, 1]);
      expect(tile({ ...many, gated: true }, { matrix })).toEqual([128, 64, 1]);
      expect(tile(shape(64, 8192, 512), { matrix })).toEqual([64, 64, 1]);
      expect(tile(shape(20, 8192, 512), { matrix })).toEqual([32, 64, 1]);
    }
    // Subgroups of 8: four of them keep 32 x 32 sums each in 128 registers a lane.
    expect(tile(many, { matrix: config(8, 8, 8), subgroupMaxSize: 8 })).toEqual([64, 64, 1]);
    expect(tile({ ...many, gated: true }, { matrix: config(8, 8, 8), subgroupMaxSize: 8 })).toEqual([64, 32, 1]);
  });

  test('a matrix shape that fits no tile falls back to registers', () => {
    expect(plan(shape(64, 64, 64), { matrix: config(24, 24, 16) }).kind).toBe('tile');
    expect(plan(shape(64, 64, 64), { matrix: config(16, 16, 64) }).kind).toBe('tile');
  });
});

describe('split sums', () => {
  test('few workgroups and a long sum are split, in parts that are none of them empty', () => {
    expect(tile(shape(32, 4096, 4096))).toEqual([32, 64, 4]);
    expect(tile(shape(32, 4096, 128))[2]).toBe(1);
    expect(tile(shape(32, 64 * 128, 4096))[2]).toBe(1);
    for (const columns of [257, 513, 1000, 4095, 14336]) {
      for (const rows of [17, 40, 64, 100]) {
        for (const matrix of [null, config(16, 16, 16)]) {
          const got = plan(shape(rows, 1000, columns), { matrix });
          if (got.kind !== 'tile' && got.kind !== 'matrix') throw new Error(got.kind);
          const chunks = Math.ceil(columns / 8);
          const each = partChunks(got, columns);
          expect(each * got.parts).toBeGreaterThanOrEqual(chunks);
          expect(each * (got.parts - 1)).toBeLessThan(chunks);
          expect(each % got.stageChunks).toBe(0);
        }
      }
    }
  });
});
