import { describe, expect, test } from 'bun:test';
import { readAdapterInfo } from '../../../src/engine/gpu/binding.ts';
import { GpuDevice } from '../../../src/engine/gpu/device.ts';
import { parseBindings } from '../../../src/engine/gpu/kernel.ts';
import { struct } from '../../../src/engine/gpu/layout.ts';
import { Recorder } from '../../../src/engine/gpu/recorder.ts';
import { EngineError } from '../../../src/engine/types.ts';
import { gpuTest, upload } from '../../helpers/gpu.ts';

const addParams = struct('AddParams', { count: 'u32', offset: 'i32', factor: 'f32' });
const ADD = `#struct AddParams
@group(0) @binding(0) var<uniform> params: AddParams;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < params.count) { y[id.x] += f32(i32(step[id.x]) + params.offset) * params.factor; }
}`;
const addSource = { entry: 'add.wgsl', sources: { 'add.wgsl': ADD }, params: {}, layout: addParams };
/** A device of its own, for tests that break it. */
const openAnother = (device: GpuDevice) => GpuDevice.open(device.binding, { robustness: true, profiling: false });

describe('device', () => {
  gpuTest('dispatches of one step see their own parameters and each other’s results', async (device) => {
    const recorder = new Recorder(device, 1024);
    const y = upload(device, 'y', new Float32Array(100));
    const kernel = device.kernel(addSource);
    for (let i = 0; i < 50; i++) {
      const at = recorder.words(Uint32Array.from({ length: 100 }, (_, k) => k));
      if (i === 0) expect(at).toBe(0);
      recorder.dispatch(kernel, { step: recorder.arena, y }, { count: 100, offset: i, factor: 0.5 }, 2);
      if (i === 1) break;
    }
    const out = new Float32Array((await recorder.submitAndRead(y, 400)).buffer);
    expect([...out.subarray(0, 3), out[99]]).toEqual([0.5, 1.5, 2.5, 99.5]);
    expect(kernel.numBindGroups).toBe(1);
  });

  gpuTest('a step in steady state makes no bind group and no pipeline', async (device) => {
    const recorder = new Recorder(device, 1024);
    const y = upload(device, 'y', new Float32Array(64));
    const count = () => [...device.compiled].reduce((sum, kernel) => sum + 1 + kernel.numBindGroups, 0);
    const step = async () => {
      recorder.words(new Uint32Array(64));
      const buffers = { step: recorder.arena, y };
      recorder.dispatch(device.kernel(addSource), buffers, { count: 64, offset: 1, factor: 1 }, 1);
      await recorder.submitAndRead(y, 4);
    };
    await step();
    const before = count();
    for (let i = 0; i < 20; i++) await step();
    expect(count()).toBe(before);
  });

  gpuTest('a step that is cut into submits keeps its arrays', async (device) => {
    const recorder = new Recorder(device, 1024);
    const y = upload(device, 'y', new Float32Array(64));
    const at = recorder.words(Uint32Array.from({ length: 64 }, (_, k) => k));
    expect(at).toBe(0);
    const buffers = { step: recorder.arena, y };
    for (let i = 0; i < 3; i++) {
      recorder.dispatch(device.kernel(addSource), buffers, { count: 64, offset: i, factor: 1 }, 1);
      recorder.flush();
    }
    recorder.flush();
    recorder.dispatch(device.kernel(addSource), buffers, { count: 64, offset: 10, factor: 1 }, 1);
    const out = new Float32Array((await recorder.submitAndRead(y, 256)).buffer);
    expect([out[0], out[5], out[63]]).toEqual([13, 33, 265]);
  });

  gpuTest('dispatches that are known are played again, with the arrays of the new step', async (device) => {
    const recorder = new Recorder(device, 1024);
    const y = upload(device, 'y', new Float32Array(64));
    const buffers = { step: recorder.arena, y };
    let numRecorded = 0;
    const record = () => {
      numRecorded++;
      for (let i = 0; i < 3; i++) {
        recorder.dispatch(device.kernel(addSource), buffers, { count: 64, offset: 100 * i, factor: 1 }, 1);
        if (i === 1) recorder.flush();
      }
    };
    let want = 0;
    for (const [value, early] of [
      ...[1, 2, 3].map((v) => [v, 0] as const),
      ...[1, 2, 3, 4].map((n) => [7, n] as const),
    ]) {
      recorder.numEarlyDispatches = early;
      recorder.words(new Uint32Array(64).fill(value));
      recorder.replay('three', record);
      recorder.dispatch(device.kernel(addSource), buffers, { count: 64, offset: 1000, factor: 1 }, 1);
      expect(recorder.numDispatches).toBe(4);
      want += 4 * value + 1300;
      const out = new Float32Array((await recorder.submitAndRead(y, 256)).buffer);
      expect([out[0], out[63]]).toEqual([want, want]);
    }
    expect(numRecorded).toBe(1);
    recorder.words(new Uint32Array(200));
    recorder.replay('three', record);
    recorder.replay('another', record);
    expect(numRecorded).toBe(3);
    recorder.submit();
    // Parameters that another step wrote over meanwhile come back.
    recorder.words(new Uint32Array(64).fill(1));
    recorder.replay('three', record);
    recorder.submit();
    expect(numRecorded).toBe(3);
    device.throwIfFailed();
  });

  gpuTest('what adds arrays is not kept', async (device) => {
    const recorder = new Recorder(device, 1024);
    const y = upload(device, 'y', new Float32Array(64));
    let numRecorded = 0;
    for (let step = 0; step < 3; step++) {
      recorder.words(new Uint32Array(64));
      recorder.replay('with arrays', () => {
        const offset = recorder.words(new Uint32Array(4).fill(step));
        recorder.dispatch(device.kernel(addSource), { step: recorder.arena, y }, { count: 1, offset, factor: 1 }, 1);
        numRecorded++;
      });
      recorder.submit();
    }
    expect(numRecorded).toBe(3);
  });

  gpuTest('a step that needs more room than the arena says so and can be dropped', (device) => {
    const recorder = new Recorder(device, 16);
    expect(() => recorder.words(new Uint32Array(2 ** 20))).toThrow(/more than \d+ bytes/);
    recorder.reset();
  });

  gpuTest('a missing or unknown buffer names the kernel and the binding', (device) => {
    const recorder = new Recorder(device, 16);
    const kernel = device.kernel(addSource);
    const params = { count: 1, offset: 0, factor: 1 };
    const y = upload(device, 'y', new Float32Array(4));
    expect(() => recorder.dispatch(kernel, { y }, params, 1)).toThrow(/add\(\): nothing is bound to step/);
    expect(() => recorder.dispatch(kernel, { y, step: recorder.arena, z: y }, params, 1)).toThrow(/no binding z/);
    recorder.reset();
  });

  gpuTest('a shader that does not compile surfaces as an engine error with its label', async (opened) => {
    const device = await openAnother(opened);
    const source = {
      entry: 'broken.wgsl',
      sources: { 'broken.wgsl': '@compute fn main() { nonsense }' },
      params: {},
      layout: null,
    };
    device.kernel(source);
    const error = await device.flush().then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(EngineError);
    expect((error as EngineError).code).toBe('gpu-error');
    expect((error as EngineError).message).toContain('broken');
    device.close();
  });

  gpuTest('kernels are collected without being compiled, then compiled together, then used', async (opened) => {
    const device = await openAnother(opened);
    const recorder = new Recorder(device, 1024);
    const y = upload(device, 'y', new Float32Array(4));
    const step = (factor: number) => {
      const at = recorder.words(new Uint32Array(4));
      expect(at).toBe(0);
      recorder.dispatch(
        device.kernel(addSource),
        { step: recorder.arena, y },
        { ...{ count: 4, offset: 1 }, factor },
        1,
      );
      return recorder.submitAndRead(y, 16);
    };
    await device.collectKernels(async () => {
      expect([...new Uint32Array((await step(9)).buffer)]).toEqual([1, 1, 1, 1]);
      recorder.words(new Uint32Array(4));
      recorder.flush();
      recorder.submit();
    });
    expect(device.compiled.map((kernel) => [kernel.isCompiled, kernel.numBindGroups])).toEqual([[false, 0]]);
    const calls: number[][] = [];
    await device.compileCollected((...counts) => calls.push(counts));
    expect(calls).toEqual([[1, 1]]);
    expect(device.compiled.every((kernel) => kernel.isCompiled)).toBe(true);
    expect([...new Float32Array((await step(2)).buffer)]).toEqual([2, 2, 2, 2]);
    await device.compileCollected(() => expect.unreachable());
    device.close();
  });

  for (const robustness of [true, false]) {
    gpuTest(`a collected shader that does not compile is named, robustness=${robustness}`, async (opened) => {
      const device = await GpuDevice.open(opened.binding, { robustness, profiling: false });
      await device.collectKernels(async () => {
        device.kernel(addSource);
        const sources = { 'broken.wgsl': '@compute fn main() { nonsense }' };
        device.kernel({ entry: 'broken.wgsl', sources, params: {}, layout: null });
      });
      const compiling = device.compileCollected(() => {});
      await expect(compiling).rejects.toThrow(/^broken\(\): [\s\S]*expected '='/);
      await expect(compiling).rejects.toBeInstanceOf(EngineError);
      device.throwIfFailed();
      // It is forgotten: the next ones are not held up by it.
      await device.collectKernels(async () => void device.kernel(addSource));
      await device.compileCollected(() => {});
      expect(device.compiled.map((kernel) => [kernel.label, kernel.isCompiled])).toEqual([['add()', true]]);
      device.close();
    });
  }

  gpuTest('a pipeline that cannot be made is named', async (opened) => {
    const device = await openAnother(opened);
    await device.collectKernels(async () => {
      const sources = { 'nameless.wgsl': '@compute @workgroup_size(1) fn other() {}' };
      device.kernel({ entry: 'nameless.wgsl', sources, params: {}, layout: null });
    });
    await expect(device.compileCollected(() => {})).rejects.toThrow(/^nameless\(\): [\s\S]*main/);
    device.close();
  });

  gpuTest('a lost device ends the step with device-lost, and a new one works', async (opened) => {
    const device = await openAnother(opened);
    const buffer = device.createBuffer('some', 64);
    device.opened.device.destroy();
    const error = await device.read(buffer, 0, 64).then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(EngineError);
    expect((error as EngineError).code).toBe('device-lost');
    const next = await openAnother(opened);
    expect((await next.read(next.createBuffer('zeros', 64), 0, 64)).every((byte) => byte === 0)).toBe(true);
    next.close();
  });

  gpuTest('a fault that is waited for is told, and does no harm', async (device) => {
    const own = await openAnother(device);
    const y = own.createBuffer('y', 16);
    const fault = await own.faultOf(async () => {
      const encoder = own.opened.device.createCommandEncoder({ label: 'copy beyond the end' });
      encoder.copyBufferToBuffer(y.raw, 0, y.raw, 0, 64);
      own.opened.submit(encoder, []);
    });
    expect(fault).toContain('copy beyond the end');
    expect(await own.faultOf(() => own.flush())).toBeNull();
    await expect(own.faultOf(() => Promise.reject(new Error('of the test')))).rejects.toThrow('of the test');
    await own.flush();
    const lost = own.faultOf(async () => {
      own.opened.device.destroy();
      await own.flush();
    });
    await expect(lost).rejects.toMatchObject({ code: 'device-lost' });
  });

  gpuTest('what is withheld is not offered, nor what needs it', async (device) => {
    const own = await openAnother(device);
    own.withhold('subgroups');
    own.withhold('dp4a');
    expect([own.hasSubgroups, own.hasF16, own.hasDp4a]).toEqual([false, device.hasF16, false]);
    expect(own.subgroupMatrixConfigs).toEqual([]);
    own.close();
  });

  gpuTest('buffers beyond the limits are refused with their name', async (device) => {
    expect(() => device.createBuffer('huge', device.limits.maxBufferSize + 16)).toThrow(/huge: \d+ bytes exceed/);
    expect(await device.tryCreateBuffer('huge', device.limits.maxBufferSize + 16)).toBeNull();
  });

  test('the null backend is refused', () => {
    const info = { vendor: '', architecture: '', device: 'null-backend', description: 'Null backend' };
    expect(() => readAdapterInfo({ info } as unknown as GPUAdapter)).toThrow(/null backend/);
  });

  test('an unknown binding or none usable is an engine error', async () => {
    const opening = GpuDevice.open('nothing' as 'webgpu', { robustness: true, profiling: false });
    await opening.then(
      (device) => device.close(),
      (error: unknown) => expect(error).toBeInstanceOf(EngineError),
    );
  });
});

describe('bindings of a shader', () => {
  test('are found by name, in order, with their access', () => {
    const code =
      '@group(0) @binding(2) var<storage, read_write> y: array<f32>;\n@group(0) @binding(0) var<uniform> p: P;\n@group(0) @binding(1) var<storage, read> x: array<f32>;';
    expect(parseBindings(code, 'k')).toEqual([
      { name: 'p', index: 0, type: 'uniform' },
      { name: 'x', index: 1, type: 'read-only-storage' },
      { name: 'y', index: 2, type: 'storage' },
    ]);
  });

  test('an index used twice throws', () => {
    const twice = '@group(0) @binding(0) var<storage, read> a: array<f32>;\n@group(0) @binding(0) var<uniform> b: B;';
    expect(() => parseBindings(twice, 'k')).toThrow(/k: binding 0 is declared twice/);
  });
});
