/** The check of a device before a model is loaded: it passes here, and what a driver gets wrong is given up and named. */
import { describe, expect, spyOn, test } from 'bun:test';
import type { GpuBuffer } from '../../src/engine/gpu/buffer.ts';
import { capabilityOf } from '../../src/engine/gpu/capabilities.ts';
import { GpuDevice } from '../../src/engine/gpu/device.ts';
import type { KernelSource } from '../../src/engine/gpu/kernel-cache.ts';
import { loadReadyModel } from '../../src/engine/ready-model.ts';
import type { CheckedModel } from '../../src/engine/self-check/check-model.ts';
import { prepareDevice } from '../../src/engine/self-check/prepare-device.ts';
import { selfCheck } from '../../src/engine/self-check/self-check.ts';
import { shaderSources } from '../../src/shaders/index.ts';
import { gpuTest } from '../helpers/gpu.ts';
import { fixtureFolder, TEST_CONFIG } from '../helpers/model.ts';
import { type Edit, withWrongShaders } from '../helpers/wrong-shaders.ts';

const MODEL: CheckedModel = {
  ...{ hidden: 64, heads: 2, kvHeads: 1, headDim: 32, normEps: 1e-5, blockSize: 16 },
  ...{ kvFormat: 'f16', hasF16Weights: true, dp4a: null },
};

const originalCreate = GpuDevice.prototype.createBuffer;
const openAnother = ({ binding }: GpuDevice) => GpuDevice.open(binding, { robustness: true, profiling: false });

/** The notices of a check on a device of its own, and what that device may use afterwards. */
async function checked(
  device: GpuDevice,
  editOf: (source: KernelSource) => Edit | null,
  { software = false, ...model }: Partial<CheckedModel> & { software?: boolean } = {},
) {
  const own = await openAnother(device);
  const notices: string[] = [];
  const options = { model: { ...MODEL, ...model }, software, onNotice: (text: string) => notices.push(text) };
  try {
    await withWrongShaders(editOf, async () => {
      await selfCheck(own, options);
      const { length } = notices;
      // What is left passes.
      await selfCheck(own, options);
      expect(notices.length).toBe(length);
    });
    own.throwIfFailed();
    return { notices, subgroups: own.hasSubgroups, f16: own.hasF16, dp4a: own.hasDp4a };
  } finally {
    own.close();
  }
}

describe('the check of a device', () => {
  gpuTest('passes, and leaves no buffer behind', async (device) => {
    const notices: string[] = [];
    const made: GpuBuffer[] = [];
    const create = spyOn(device, 'createBuffer').mockImplementation((...args) => {
      made.push(originalCreate.apply(device, args));
      return made.at(-1) as GpuBuffer;
    });
    const destroy = spyOn(device, 'destroyBuffer');
    const before = [device.hasSubgroups, device.hasF16, device.hasDp4a];
    for (const software of [true, false]) {
      for (const model of [MODEL, { ...MODEL, kvFormat: 'f32', dp4a: software ? null : 'int8' } as const]) {
        await selfCheck(device, { model, software, onNotice: (text) => notices.push(text) });
      }
    }
    const destroyed = new Set(destroy.mock.calls.map(([buffer]) => buffer.id));
    const labels = made.filter(({ id }) => !destroyed.has(id)).map(({ label }) => label);
    create.mockRestore();
    destroy.mockRestore();
    expect(notices).toEqual([]);
    expect(made.length).toBeGreaterThan(20);
    // Made once for a device, and used by whoever comes later.
    expect(labels.filter((label) => !/^(fence|matmul .*|.* ranges)$/.test(label))).toEqual([]);
    expect([device.hasSubgroups, device.hasF16, device.hasDp4a]).toEqual(before);
  });

  gpuTest('subgroups that add wrong are given up, and nothing else', async (device) => {
    if (!device.hasSubgroups) return;
    const { notices, ...has } = await checked(
      device,
      ({ entry }) => (entry === 'rms-norm.wgsl' ? ['subgroupAdd(', '0.75 * subgroupAdd('] : null),
      { software: true },
    );
    expect(has).toEqual({ subgroups: false, f16: device.hasF16, dp4a: true });
    expect(notices.length).toBe(1);
    expect(notices[0]).toContain(`through ${device.binding}`);
    expect(notices[0]).toMatch(
      /^GPU: kernels go without subgroups: .* wrong \(largest error 0\.\d+, allowed 0\.0000?2/,
    );
  });

  gpuTest('the same in attention alone', async (device) => {
    if (!device.hasSubgroups) return;
    const { notices, ...has } = await checked(device, ({ entry }) =>
      entry === 'attention-decode.wgsl' ? ['subgroupShuffleXor(score_a$i, 2u)', 'score_a$i'] : null,
    );
    expect(has).toEqual({ subgroups: false, f16: device.hasF16, dp4a: true });
    expect(notices.join()).toContain('attention to a long context');
  });

  gpuTest('f16 that gives no numbers is given up', async (device) => {
    if (!device.hasF16) return;
    const { notices, ...has } = await checked(device, ({ params }) =>
      params.F16 === true ? ['bitcast<vec4<f16>>(', 'bitcast<vec4<f16>>(vec2u(0x7e007e00u) | '] : null,
    );
    expect(has).toEqual({ subgroups: device.hasSubgroups, f16: false, dp4a: true });
    expect(notices.join()).toMatch(/without f16: .* wrong \(not a number/);
  });

  gpuTest('what does not compile is given up, and the device goes on', async (device) => {
    if (!device.hasSubgroups) return;
    const { notices, subgroups } = await checked(
      device,
      ({ params }) => (params.SUBGROUPS === true ? ['subgroupAdd(', 'noSuchFunction('] : null),
      { software: true },
    );
    expect(subgroups).toBe(false);
    expect(notices.join()).toMatch(/without subgroups: .* does not compile \S/);
  });

  gpuTest('products of bytes are given up for products of floats', async (device) => {
    for (const dp4a of ['int8', 'int4'] as const) {
      const wrong: Edit = ['dot4I8Packed(a.x, b.x) +', ''];
      const { notices, ...has } = await checked(device, () => wrong, { dp4a });
      expect(has).toEqual({ subgroups: device.hasSubgroups, f16: device.hasF16, dp4a: false });
      expect(notices.join()).toContain(`${dp4a} weights`);
    }
  });

  gpuTest('an adapter that is wrong in any case is refused', async (device) => {
    const wrong = checked(
      device,
      ({ entry }) => (entry === 'rms-norm.wgsl' ? ['inverseSqrt(', '2.0 * inverseSqrt('] : null),
      { software: true },
    );
    await expect(wrong).rejects.toMatchObject({
      code: 'load-failed',
      message: expect.stringMatching(/through \S+ computes a norm wrong \(largest error 1\.0, allowed/),
    });
  });

  gpuTest('settings switch capabilities off, and a line says what is used', async (device) => {
    const spec = { ...MODEL } as never;
    for (const [config, left] of [
      [{}, [device.hasSubgroups, device.hasF16]],
      [{ gpuSubgroups: 'off' }, [false, device.hasF16]],
      [{ gpuF16: 'off' }, [device.hasSubgroups, false]],
    ] as const) {
      const own = await openAnother(device);
      const notices: string[] = [];
      await prepareDevice(own, spec, { ...TEST_CONFIG, ...config }, true, (text) => notices.push(text));
      expect([own.hasSubgroups, own.hasF16]).toEqual([...left]);
      const names = ['subgroups', 'f16'].filter((_, i) => left[i]);
      expect(notices).toEqual([`GPU: kernels use ${names.join(', ') || 'nothing beyond plain WebGPU'}`]);
      own.close();
    }
  });
});

describe('a kernel that does not compile', () => {
  test('stands on a capability, as its text says', () => {
    expect(capabilityOf(shaderSources['matrix-tile.wgsl'] ?? '')).toBe('matrices');
    expect(capabilityOf(shaderSources['attention-prefill-matrix.wgsl'] ?? '')).toBe('matrices');
    expect(capabilityOf('enable f16;\nenable subgroups;')).toBe('subgroups');
    expect(capabilityOf('diagnostic(off, x);\nenable f16;')).toBe('f16');
    expect(capabilityOf('fn main() {}')).toBeNull();
  });

  gpuTest('leads to a second load without its capability', async (device) => {
    if (!device.hasF16) return;
    const notices: string[] = [];
    const options = { onProgress: () => {}, onNotice: (text: string) => notices.push(text) };
    const config = { ...TEST_CONFIG, dtype: 'float16' } as const;
    // Not among what the check compiles.
    const editOf = ({ entry, params }: KernelSource): Edit | null =>
      entry === 'embed.wgsl' && params.F16 === true ? ['fn main(', 'fn main(('] : null;
    await withWrongShaders(editOf, async () => {
      const { model } = await loadReadyModel(fixtureFolder('tiny-llama'), config, options);
      expect(model.device.hasF16).toBe(false);
      expect(notices.filter((text) => text.startsWith('GPU: loading again without f16: '))).toHaveLength(1);
      model.device.close();
    });
  });

  gpuTest('ends the load where nothing can be given up', async () => {
    const options = { onProgress: () => {}, onNotice: () => {} };
    const editOf = ({ entry }: KernelSource): Edit | null =>
      entry === 'sample-pick.wgsl' ? ['fn main(', 'fn main(('] : null;
    await withWrongShaders(editOf, async () => {
      const loading = loadReadyModel(fixtureFolder('tiny-llama'), TEST_CONFIG, options);
      await expect(loading).rejects.toMatchObject({
        code: 'gpu-error',
        message: expect.stringContaining('sample-pick'),
      });
    });
  });
});
