/** A whole model whose products go through subgroup matrices, against the same one without. Runs where the adapter offers them. */
import { expect } from 'bun:test';
import { collectKernels } from '../../src/engine/warm-up.ts';
import { matrixTest } from '../helpers/matrix.ts';
import { fixtureFolder, loadTestModel, newScheduler, promptLogits } from '../helpers/model.ts';
import { expectClose } from '../helpers/tolerance.ts';

for (const [name, length] of [
  ['tiny-llama', 20],
  // 16 pairs for each expert.
  ['tiny-mixtral', 64],
] as const) {
  matrixTest(`${name}: logits of a prompt agree with the kernels for software adapters`, async () => {
    const prompts = [Array.from({ length }, (_, i) => ((i * 7) % 60) + 1)];
    const logitsOf = async (software: boolean) => {
      const model = await loadTestModel(fixtureFolder(name), { dtype: 'bfloat16' }, software);
      // As at load; what it leaves behind must not tell in the results.
      await collectKernels(model, newScheduler(model).options);
      const collected = model.device.compiled.length;
      const logits = (await promptLogits(model, prompts))[0] ?? new Float32Array();
      const kernels = model.device.compiled.filter((kernel) => kernel.isCompiled).map((kernel) => kernel.label);
      expect(model.device.compiled.length).toBe(collected);
      model.device.close();
      return { logits, kernels };
    };
    const want = await logitsOf(true);
    const got = await logitsOf(false);
    const largest = want.logits.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expect(largest).toBeGreaterThan(1);
    expectClose('modelLogitsF16', got.logits, want.logits, 'logits', largest);
    const shader = name === 'tiny-llama' ? 'matmul-matrix' : 'moe-matmul-matrix';
    expect(got.kernels.some((label) => label.startsWith(shader))).toBe(true);
  });
}
