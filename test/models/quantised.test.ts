/** A model with integer weights against the same model in f32 over what these integers mean. */
import { afterAll, beforeAll, expect } from 'bun:test';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { QuantisedFormat } from '../../src/engine/ops/tensor.ts';
import { groupsFor, quantiseRows } from '../../src/engine/weights/quantise.ts';
import { readGolden } from '../helpers/goldens.ts';
import { gpuTest, roundTo } from '../helpers/gpu.ts';
import { fixtureFolder, loadTestModel, promptLogits } from '../helpers/model.ts';
import { expectClose } from '../helpers/tolerance.ts';
import { dequantise } from '../reference/quantised.ts';

let scratch = '';
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'quantised-'));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** A copy of a checkpoint of F32 tensors with the values that a quantised load gives its kernels. */
function dequantisedCopy(name: string, format: QuantisedFormat): string {
  const folder = join(scratch, `${name}-${format}`);
  cpSync(fixtureFolder(name), folder, { recursive: true });
  const path = join(folder, 'model.safetensors');
  const bytes = Uint8Array.from(readFileSync(path));
  const headerBytes = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerBytes))) as Record<
    string,
    { shape: number[]; data_offsets: [number, number] }
  >;
  for (const [tensor, { shape, data_offsets }] of Object.entries(header)) {
    const [, columns] = shape ?? [];
    if (columns === undefined) continue;
    const [start, end] = data_offsets.map((offset) => 8 + headerBytes + offset) as [number, number];
    const values = new Float32Array(bytes.slice(start, end).buffer);
    const groups = /layers\./.test(tensor) && !/mlp\.gate\.weight/.test(tensor) ? groupsFor(format, columns) : null;
    const meant = groups
      ? Float32Array.from(dequantise(quantiseRows(format, groups, values, columns)))
      : values.map((value) => roundTo('bf16', value));
    bytes.set(new Uint8Array(meant.buffer), start);
  }
  writeFileSync(path, bytes);
  return folder;
}

const CASES = [
  ['tiny-llama', 'int8'],
  ['tiny-llama', 'int4'],
  ['tiny-olmoe', 'int4'],
] as const;

for (const [name, quantise] of CASES) {
  gpuTest(
    `${name}, ${quantise}: logits agree with f32 over the dequantised weights, with both sets of kernels`,
    async () => {
      const prompts = readGolden(name).prompts.map((prompt) => prompt.ids);
      const exact = await loadTestModel(dequantisedCopy(name, quantise), { dtype: 'float32' });
      const want = await promptLogits(exact, prompts);
      exact.device.close();
      for (const software of [false, true]) {
        const model = await loadTestModel(fixtureFolder(name), { quantization: quantise }, software);
        for (const maxNumBatchedTokens of software ? [64] : [64, 3]) {
          const got = await promptLogits(model, prompts, { maxNumBatchedTokens });
          want.forEach((logits, i) => {
            expectClose(
              'modelLogits',
              got[i] ?? [],
              logits,
              `prompt ${i}, software ${software}, ${maxNumBatchedTokens}`,
            );
          });
        }
        model.device.close();
      }
    },
  );
}

for (const [name, tolerance, sizes] of [
  ['tiny-llama', 'modelLogitsBytes', [64, 3]],
  // Many tokens would go through tiles, which take bytes only where all matrices of the experts are integers.
  ['tiny-olmoe', 'modelLogitsBytesMixture', [3]],
] as const) {
  gpuTest(
    `${name}: activations as bytes move the logits little, and products with integer weights take them`,
    async () => {
      const prompts = readGolden(name).prompts.map((prompt) => prompt.ids);
      const floats = await loadTestModel(fixtureFolder(name), { quantization: 'int8' }, false);
      const want = await promptLogits(floats, prompts);
      floats.device.close();
      const rounded = { quantization: 'int8', intActivations: true } as const;
      const bytes = await loadTestModel(fixtureFolder(name), rounded, false);
      const kernelsOf = () => [...bytes.device.compiled].map((kernel) => kernel.label);
      for (const maxNumBatchedTokens of sizes) {
        const got = await promptLogits(bytes, prompts, { maxNumBatchedTokens });
        want.forEach((logits, i) => {
          expectClose(tolerance, got[i] ?? [], logits, `prompt ${i}, ${maxNumBatchedTokens} tokens a step`);
        });
      }
      const ofIntegers = kernelsOf().filter((label) => /^(moe-)?matmul.*FORMAT=3/.test(label));
      expect(ofIntegers.filter((label) => !label.includes('DP4A=true'))).toEqual([]);
      expect(ofIntegers.some((label) => label.startsWith('moe-'))).toBe(name === 'tiny-olmoe');
      bytes.device.close();
    },
  );
}
