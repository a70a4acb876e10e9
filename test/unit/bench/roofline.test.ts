/** Bytes and operations of a step, counted by hand for small numbers, and the published sizes of real models. */
import { describe, expect, test } from 'bun:test';
import { isShapeName, SHAPE_NAMES, shapeSpec } from '../../../scripts/bench/model-shapes.ts';
import { arithmeticPath, boundsOf, expectedExperts, stepWork, weightBytes } from '../../../scripts/bench/roofline.ts';

const rates = { bandwidth: 1e9, arithmetic: 1e9, matrix: 8e9, dp4a: 4e9, dispatchMs: 0.01 };

describe('model shapes', () => {
  test('have the parameters of the models that they are named after', () => {
    const millions = (name: (typeof SHAPE_NAMES)[number]) => Math.round(weightBytes(shapeSpec(name), 'bf16') / 2 / 1e6);
    expect(millions('smollm-135m')).toBe(134);
    expect(millions('qwen3-0.6b')).toBe(596);
    expect(millions('llama-3.2-1b')).toBe(1236);
    expect(millions('llama-3.1-8b')).toBe(8030);
    expect(millions('mixtral-8x7b')).toBe(46_703);
    expect(millions('qwen3-30b-a3b')).toBe(30_532);
  });

  test('take a scale for each 32 nibbles, and tables in 16 bits, with int4', () => {
    const spec = shapeSpec('smollm-135m');
    const tables = spec.vocab * spec.hidden;
    const layers = weightBytes(spec, 'bf16') / 2 - tables;
    expect(weightBytes(spec, 'int4')).toBe(layers * (0.5 + 4 / 32) + tables * 2);
  });

  test('are known by their names alone', () => {
    for (const name of SHAPE_NAMES) expect(isShapeName(name)).toBe(true);
    expect(isShapeName('toString')).toBe(false);
  });
});

describe('stepWork', () => {
  const spec = shapeSpec('demo');
  const layer = 256 * (2 * 256 + 2 * 128) + 3 * 256 * 512;
  const head = 768 * 256;

  test('a decode step reads all weights once and every cached key and value', () => {
    const { bytes } = stepWork(spec, 'bf16', 2, { sequences: 3, newTokens: 1, context: 100, numSteps: 1 });
    expect(bytes).toBe(2 * (5 * layer + head) + 5 * 3 * 100 * 2 * 2 * 64 * 2);
  });

  test('a decode step multiplies every weight with every sequence', () => {
    const { operations } = stepWork(spec, 'bf16', 2, { sequences: 3, newTokens: 1, context: 100, numSteps: 1 });
    expect(operations).toBe(2 * 3 * (5 * layer + head) + 5 * 4 * 3 * 100 * 256);
  });

  test('a prefill sees the tokens before each, and takes logits of the last alone', () => {
    const { operations } = stepWork(spec, 'bf16', 2, { sequences: 1, newTokens: 4, context: 4, numSteps: 1 });
    expect(operations).toBe(2 * 4 * 5 * layer + 2 * head + 5 * 4 * (1 + 2 + 3 + 4) * 256);
  });

  test('a chunk in the middle sees all that is before it', () => {
    const middle = stepWork(spec, 'f32', 4, { sequences: 1, newTokens: 2, context: 10, numSteps: 1 });
    expect(middle.operations).toBe(2 * 2 * 5 * layer + 2 * head + 5 * 4 * (9 + 10) * 256);
  });

  test('a window bounds what is seen', () => {
    const windowed = { ...spec, layers: spec.layers.map((one) => ({ ...one, window: 3 })) };
    const prefill = stepWork(windowed, 'f32', 4, { sequences: 1, newTokens: 5, context: 5, numSteps: 1 });
    expect(prefill.operations).toBe(2 * 5 * 5 * layer + 2 * head + 5 * 4 * (1 + 2 + 3 + 3 + 3) * 256);
    const decode = stepWork(windowed, 'f32', 4, { sequences: 1, newTokens: 1, context: 50, numSteps: 1 });
    expect(decode.bytes).toBe(4 * (5 * layer + head) + 5 * 3 * 2 * 2 * 64 * 4);
  });

  test('several steps read the weights of the layers as often', () => {
    const shape = { sequences: 1, newTokens: 8, context: 8 };
    const one = stepWork(spec, 'bf16', 2, { ...shape, numSteps: 1 });
    const two = stepWork(spec, 'bf16', 2, { ...shape, numSteps: 2 });
    expect(two.bytes - one.bytes).toBe(2 * 5 * layer);
    expect(two.operations).toBe(one.operations);
  });
});

describe('a mixture of experts', () => {
  test('more tokens reach more experts, and never more than there are', () => {
    expect(expectedExperts(8, 2, 1)).toBe(2);
    expect(expectedExperts(8, 2, 2)).toBeCloseTo(3.5);
    expect(expectedExperts(8, 2, 1000)).toBeCloseTo(8);
    expect(expectedExperts(4, 4, 3)).toBe(4);
  });

  test('reads the experts that its tokens go to, and computes those of each token', () => {
    const spec = shapeSpec('mixtral-mini');
    const attention = 256 * (2 * 256 + 2 * 128) + 256 * 8;
    const expert = 3 * 256 * 896;
    const head = 8192 * 256;
    const one = stepWork(spec, 'bf16', 2, { sequences: 1, newTokens: 1, context: 1, numSteps: 1 });
    const cached = 8 * 2 * 128 * 2;
    expect(one.bytes).toBe(2 * (8 * (attention + 2 * expert) + head) + cached);
    const two = stepWork(spec, 'bf16', 2, { sequences: 2, newTokens: 1, context: 1, numSteps: 1 });
    expect(two.bytes).toBeCloseTo(2 * (8 * (attention + 3.5 * expert) + head) + 2 * cached, 3);
    expect(two.operations).toBe(2 * 2 * (8 * (attention + 2 * expert) + head) + 8 * 4 * 2 * 256);
  });
});

describe('boundsOf', () => {
  test('names the longest of memory, arithmetic and dispatches', () => {
    expect(boundsOf({ bytes: 2e6, operations: 1e6 }, rates, 1, 4).boundBy).toBe('memory');
    expect(boundsOf({ bytes: 1e6, operations: 2e6 }, rates, 1, 4).boundBy).toBe('arithmetic');
    expect(boundsOf({ bytes: 1e6, operations: 2e6 }, rates, 300, 4).boundBy).toBe('dispatches');
  });

  test('shares are of the measured time', () => {
    const bounds = boundsOf({ bytes: 2e6, operations: 1e6 }, rates, 100, 4);
    expect(bounds).toMatchObject({ memoryMs: 2, arithmeticMs: 1, dispatchMs: 1 });
    expect(bounds.rooflineShare).toBeCloseTo(0.5);
    expect(bounds.shareWithDispatches).toBeCloseTo(0.75);
  });

  test('arithmetic is bound by the units that the kernels take', () => {
    const work = { bytes: 1e3, operations: 8e6 };
    const [f32, matrix, dp4a] = (['f32', 'matrix', 'dp4a'] as const).map((path) => boundsOf(work, rates, 1, 10, path));
    expect([f32?.arithmeticMs, matrix?.arithmeticMs, dp4a?.arithmeticMs]).toEqual([8, 1, 2]);
    expect(matrix).toMatchObject({ f32Share: 0.8, matrixShare: 0.1, rooflineShare: 0.1 });
    expect(boundsOf(work, { ...rates, matrix: null }, 1, 10).matrixShare).toBeNull();
  });
});

describe('arithmeticPath', () => {
  test('is read from the kernels of a step', () => {
    expect(arithmeticPath(['rms-norm(WG=64)', 'matmul-gemv(FORMAT=1 DP4A=false)'])).toBe('f32');
    expect(arithmeticPath(['matmul-gemv(FORMAT=1 DP4A=true)'])).toBe('dp4a');
    expect(arithmeticPath(['moe-matmul-dp4a(FORMAT=3)'])).toBe('dp4a');
    expect(arithmeticPath(['matmul-tile(DP4A=false)', 'matmul-matrix(MATRIX_M=8)'])).toBe('matrix');
    expect(arithmeticPath(['attention-prefill-matrix(WG=64)'])).toBe('f32');
  });
});
