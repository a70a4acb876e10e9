/** A whole model whose products go through subgroup matrices, against the same one without. Runs where the adapter offers them. */
import { expect, test } from 'bun:test';
import { makeContext } from '../../src/engine/ops/context.ts';
import { context, gpu } from '../helpers/gpu.ts';
import { fixtureFolder, loadTestModel, promptLogits } from '../helpers/model.ts';
import { expectClose } from '../helpers/tolerance.ts';

const hasMatrices = gpu !== null && makeContext(gpu, context(gpu).recorder, false).matrix !== null;

test.skipIf(!hasMatrices)('logits of a prompt agree with the kernels for software adapters', async () => {
  const prompts = [Array.from({ length: 20 }, (_, i) => ((i * 7) % 60) + 1)];
  const logitsOf = async (software: boolean) => {
    const model = await loadTestModel(fixtureFolder('tiny-llama'), { dtype: 'bfloat16' }, software);
    return (await promptLogits(model, prompts))[0] ?? new Float32Array();
  };
  const want = await logitsOf(true);
  const got = await logitsOf(false);
  const largest = want.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  expect(largest).toBeGreaterThan(1);
  expectClose('modelLogitsF16', got, want, 'logits', largest);
});
