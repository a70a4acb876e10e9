import { describe, expect } from 'bun:test';
import type { GpuDevice } from '../../../src/engine/gpu/device.ts';
import { struct } from '../../../src/engine/gpu/layout.ts';
import { Recorder } from '../../../src/engine/gpu/recorder.ts';
import { PassTimer } from '../../../src/engine/gpu/timing.ts';
import { gpuTest, upload } from '../../helpers/gpu.ts';

const SPIN = `#struct SpinParams
@group(0) @binding(0) var<uniform> params: SpinParams;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  var sum = y[id.x];
  for (var i = 0u; i < params.rounds; i++) { sum = fma(sum, 0.5, 1.0); }
  y[id.x] = sum;
}`;
const layout = struct('SpinParams', { rounds: 'u32' });
const source = { entry: 'spin.wgsl', sources: { 'spin.wgsl': SPIN }, params: {}, layout };

/** The device, with or without its clock. */
function withTimestamps(device: GpuDevice, hasTimestamps: boolean): GpuDevice {
  return new Proxy(device, {
    get: (target, key) => {
      if (key === 'hasTimestamps') return hasTimestamps;
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

describe('times of dispatches', () => {
  for (const hasTimestamps of [true, false]) {
    gpuTest(`all of it runs, and is timed, timestamps=${hasTimestamps}`, async (device) => {
      const recorder = new Recorder(withTimestamps(device, hasTimestamps && device.hasTimestamps), 1024);
      const timer = new PassTimer(recorder);
      const y = upload(device, 'y', new Float32Array(64 * 64));
      const spin = (rounds: number) => () => recorder.dispatch(device.kernel(source), { y }, { rounds }, 64);
      await timer.time([spin(1)]); // compiles
      const times = await timer.time(Array.from({ length: 40 }, (_, i) => spin(i % 2 === 0 ? 1 : 2000)));
      expect(times.length).toBe(40);
      expect(times.every((time) => time >= 0)).toBe(true);
      const best = (odd: number) => Math.min(...times.filter((_, i) => i % 2 === odd));
      // Our own clock sees what else the machine does; the adapter's sees 2000 times the work.
      if (hasTimestamps) expect(best(1)).toBeGreaterThan(best(0));
      const last = new Float32Array((await device.read(y, 0, 4)).buffer)[0];
      expect(last).toBe(2);
      timer.close();
    });
  }

  gpuTest('a clock that stands still is not believed', async (device) => {
    const recorder = new Recorder(device, 1024);
    const timer = new PassTimer(recorder);
    recorder.resolveTimes = () => {};
    const y = upload(device, 'y', new Float32Array(64));
    const spin = () => recorder.dispatch(device.kernel(source), { y }, { rounds: 2000 }, 1);
    const times = await timer.time([spin, spin]);
    expect(times.length).toBe(2);
    timer.close();
  });
});
