/** The check of a device with subgroup matrices, and what of them must outlive the collecting of kernels. Runs where they are offered. */
import { expect } from 'bun:test';
import { GpuDevice } from '../../src/engine/gpu/device.ts';
import type { KernelSource } from '../../src/engine/gpu/kernel-cache.ts';
import { recordMatmul } from '../../src/engine/ops/matmul.ts';
import { loadReadyModel } from '../../src/engine/ready-model.ts';
import type { CheckedModel } from '../../src/engine/self-check/check-model.ts';
import { selfCheck } from '../../src/engine/self-check/self-check.ts';
import { context, matrix, randomNumbers, readTensor, roundTo, tensor } from '../helpers/gpu.ts';
import { matrixConfig, matrixTest } from '../helpers/matrix.ts';
import { fixtureFolder, TEST_CONFIG } from '../helpers/model.ts';
import { expectClose } from '../helpers/tolerance.ts';
import { type Edit, withWrongShaders } from '../helpers/wrong-shaders.ts';
import { matmulReference } from '../reference/matmul.ts';

const MODEL: CheckedModel = {
  ...{ hidden: 64, heads: 2, kvHeads: 1, headDim: 32, normEps: 1e-5, blockSize: 16 },
  ...{ kvFormat: 'f16', hasF16Weights: false, dp4a: null },
};

async function noticesOf(device: GpuDevice, editOf: (source: KernelSource) => Edit | null): Promise<string[]> {
  const notices: string[] = [];
  await withWrongShaders(editOf, () =>
    selfCheck(device, { model: MODEL, software: false, onNotice: (text) => notices.push(text) }),
  );
  return notices;
}

matrixTest('the check passes and runs every kernel of the matrix kind', async (device) => {
  expect(await noticesOf(device, () => null)).toEqual([]);
  expect(device.subgroupMatrixConfigs.length).toBeGreaterThan(0);
  const stems = new Set(device.compiled.map(({ label }) => label.replace(/\(.*/, '')));
  const kernels = ['matmul-matrix', 'matmul-pack', 'matmul-range', 'matmul-reduce', 'attention-prefill-matrix'];
  expect(kernels.filter((kernel) => !stems.has(kernel))).toEqual([]);
});

for (const [entry, edit] of [
  ['matmul-matrix.wgsl', ['sum *= inverse_power(', 'sum *= 0.5 * inverse_power(']],
  ['attention-prefill-matrix.wgsl', ['enable f16;', 'enable f16;\nnonsense']],
] as const) {
  matrixTest(`a fault in ${entry} costs the matrices alone`, async (device) => {
    const own = await GpuDevice.open(device.binding, { robustness: true, profiling: false });
    const notices = await noticesOf(own, (source) => (source.entry === entry ? edit : null));
    expect(notices).toHaveLength(1);
    expect(notices[0]).toMatch(/^GPU: kernels go without matrices: /);
    expect([own.hasSubgroups, own.hasF16, own.subgroupMatrixConfigs.length]).toEqual([true, true, 0]);
    own.close();
  });
}

matrixTest(
  'a kernel of the matrix kind that fails in the warm-up leads to a second load without matrices',
  async () => {
    const notices: string[] = [];
    const options = { onProgress: () => {}, onNotice: (text: string) => notices.push(text), software: false };
    const small = { ...TEST_CONFIG, dtype: 'bfloat16', maxNumSeqs: 1, maxNumBatchedTokens: 40 } as const;
    // The check compiles no product of two matrices.
    const editOf = ({ entry, params }: KernelSource): Edit | null =>
      entry === 'matmul-matrix.wgsl' && params.GATED === true ? ['enable f16;', 'enable f16;\nnonsense'] : null;
    await withWrongShaders(editOf, async () => {
      const { model } = await loadReadyModel(fixtureFolder('tiny-llama'), small, options);
      expect([model.device.hasSubgroups, model.device.hasF16]).toEqual([true, true]);
      expect(model.device.subgroupMatrixConfigs).toEqual([]);
      model.device.close();
    });
    expect(notices.filter((text) => text.startsWith('GPU: loading again without matrices: '))).toHaveLength(1);
    expect(notices.filter((text) => /^GPU: kernels use .*matrices$/.test(text))).toHaveLength(1);
  },
);

matrixTest('a product that was collected first has the ranges of its weights', async (device) => {
  const [rows, n, k] = [17, 65, 40];
  const ops = context(device, { subgroups: true, f16: true, matrix: matrixConfig });
  const x = randomNumbers(1, rows * k);
  const w = randomNumbers(2, n * k).map((v) => roundTo('bf16', v));
  const y = tensor(device, 'y', rows, n);
  const args = { x: tensor(device, 'x', rows, k, x), weight: matrix(device, 'w', 'bf16', n, k, w), y, numRows: rows };
  await device.collectKernels(async () => recordMatmul(ops, args));
  await device.compileCollected(() => {});
  ops.recorder.reset();
  recordMatmul(ops, args);
  ops.recorder.submit();
  expectClose('matmulF16', await readTensor(device, y), matmulReference(x, w, rows, n, k), 'y', Math.sqrt(k) * 4);
});
