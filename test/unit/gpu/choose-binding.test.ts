import { describe, expect, test } from 'bun:test';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { adapterName, type BindingOffer, type MatrixConfig } from '../../../src/engine/gpu/binding.ts';
import { chooseBinding } from '../../../src/engine/gpu/choose-binding.ts';
import { GpuDevice } from '../../../src/engine/gpu/device.ts';
import { mayHaveGpu } from '../../../src/engine/gpu/hardware.ts';
import { gpuTest } from '../../helpers/gpu.ts';

const HALF = ['shader-f16', 'subgroups', 'timestamp-query'];
const TILE_16: MatrixConfig = { componentType: 'f16', resultComponentType: 'f32', M: 16, N: 16, K: 16 };

function offer(vendor: string, features: readonly string[], matrices: readonly MatrixConfig[] = []): BindingOffer {
  const isSoftware = vendor === 'mesa';
  const adapterInfo = {
    ...{ vendor, architecture: '', device: vendor, description: `${vendor} driver` },
    ...{ isSoftware, subgroupMinSize: 32, subgroupMaxSize: 32 },
    ...{ subgroupMatrixConfigs: matrices, hasSubgroupSizeControl: false },
  };
  return { adapterInfo, features: new Set(features) };
}

const NO_BUILD = 'Cannot find package bun-webgpu-linux-arm64';
const NO_ADAPTER = 'no WebGPU adapter';

describe('the binding that an adapter gets', () => {
  test('NVIDIA on Vulkan: the newer Dawn has f16 and matrices', () => {
    const integers = { ...TILE_16, componentType: 'u8', resultComponentType: 'u32', K: 32 };
    const narrow = { ...TILE_16, resultComponentType: 'f16', N: 8 };
    const choice = chooseBinding({
      'bun-webgpu': offer('nvidia', ['subgroups', 'timestamp-query']),
      webgpu: offer('nvidia', HALF, [integers, narrow, { ...TILE_16, N: 8 }, TILE_16]),
    });
    expect(choice).toEqual({ name: 'webgpu', reason: 'f16 and 16x16x16 matrices, which bun-webgpu lacks here' });
  });

  test('a card with integer matrices alone gains nothing that kernels use', () => {
    const integers = { ...TILE_16, componentType: 'u8', resultComponentType: 'u32' };
    const choice = chooseBinding({ 'bun-webgpu': offer('amd', HALF), webgpu: offer('amd', HALF, [integers]) });
    expect(choice?.name).toBe('bun-webgpu');
  });

  test('AMD without matrix units: the cheaper one', () => {
    const choice = chooseBinding({ 'bun-webgpu': offer('amd', HALF), webgpu: offer('amd', HALF) });
    expect(choice).toEqual({
      name: 'bun-webgpu',
      reason: 'it costs the CPU least, and webgpu offers nothing more here',
    });
  });

  test('AMD with matrix units: the newer one', () => {
    const amd = chooseBinding({ 'bun-webgpu': offer('amd', HALF), webgpu: offer('amd', HALF, [TILE_16]) });
    expect(amd).toEqual({ name: 'webgpu', reason: '16x16x16 matrices, which bun-webgpu lacks here' });
  });

  test('Apple: its matrices sum in f16 or take f32, which no kernel uses, so the cheaper one', () => {
    const half = { ...TILE_16, resultComponentType: 'f16', M: 8, N: 8, K: 8 };
    const full = { ...half, componentType: 'f32', resultComponentType: 'f32' };
    const apple = chooseBinding({ 'bun-webgpu': offer('apple', HALF), webgpu: offer('apple', HALF, [half, full]) });
    expect(apple?.name).toBe('bun-webgpu');
  });

  test('a software adapter: the cheaper one, whatever the other offers', () => {
    const choice = chooseBinding({ 'bun-webgpu': offer('mesa', HALF), webgpu: offer('mesa', HALF, [TILE_16]) });
    expect(choice?.name).toBe('bun-webgpu');
  });

  test('a GPU is preferred to a software adapter', () => {
    const gpuInNewer = chooseBinding({ 'bun-webgpu': offer('mesa', HALF), webgpu: offer('nvidia', HALF) });
    expect(gpuInNewer).toEqual({ name: 'webgpu', reason: 'bun-webgpu finds only a software adapter' });
    const gpuInCheaper = chooseBinding({ 'bun-webgpu': offer('nvidia', []), webgpu: offer('mesa', HALF, [TILE_16]) });
    expect(gpuInCheaper).toEqual({ name: 'bun-webgpu', reason: 'webgpu finds only a software adapter' });
  });

  test('a missing platform package or adapter leaves the other', () => {
    expect(chooseBinding({ 'bun-webgpu': NO_BUILD, webgpu: offer('nvidia', HALF) })).toEqual({
      name: 'webgpu',
      reason: `bun-webgpu is of no use here (${NO_BUILD})`,
    });
    expect(chooseBinding({ 'bun-webgpu': offer('mesa', HALF), webgpu: NO_ADAPTER })?.name).toBe('bun-webgpu');
    expect(chooseBinding({ 'bun-webgpu': offer('amd', HALF), webgpu: NO_ADAPTER })).toEqual({
      name: 'bun-webgpu',
      reason: `webgpu is of no use here (${NO_ADAPTER})`,
    });
    expect(chooseBinding({ 'bun-webgpu': NO_BUILD, webgpu: NO_ADAPTER })).toBeNull();
  });
});

test('an adapter is named by card and driver', () => {
  const info = offer('nvidia', []).adapterInfo;
  expect(adapterName({ ...info, device: 'nvidia-h200-', description: 'NVIDIA: 570.1' })).toBe(
    'nvidia-h200, NVIDIA: 570.1',
  );
  expect(adapterName({ ...info, device: '', description: 'Apple M2' })).toBe('Apple M2');
});

test('a GPU is looked for in the device files', async () => {
  const dev = await mkdtemp(join(tmpdir(), 'dev-'));
  expect(mayHaveGpu('linux', join(dev, 'none'))).toBe(false);
  await writeFile(join(dev, 'nvidiactl'), '');
  expect(mayHaveGpu('linux', dev)).toBe(false);
  await writeFile(join(dev, 'nvidia0'), '');
  expect(mayHaveGpu('linux', dev)).toBe(true);
  await rm(join(dev, 'nvidia0'));
  await mkdir(join(dev, 'dri'));
  expect(mayHaveGpu('linux', dev)).toBe(false);
  await writeFile(join(dev, 'dri', 'renderD128'), '');
  expect(mayHaveGpu('linux', dev)).toBe(true);
  expect(mayHaveGpu('darwin', join(dev, 'none'))).toBe(true);
  await rm(dev, { recursive: true });
});

gpuTest('auto opens a device that computes, and says why it took that binding', async () => {
  const device = await GpuDevice.open('auto', { robustness: true, profiling: false });
  expect(device.bindingReason.length).toBeGreaterThan(10);
  if (device.adapter.isSoftware) expect(device.binding).toBe('bun-webgpu');
  const zeros = await device.read(device.createBuffer('zeros', 64), 0, 64);
  expect(zeros.every((byte) => byte === 0)).toBe(true);
  device.close();
});
