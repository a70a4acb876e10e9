/**
 * What a dispatch costs that does next to nothing: behind the one before, which is the floor under steps of many small kernels, and on its own.
 *
 * Shader: probes/dependent-step.wgsl. Next: `roofline.ts` and `device-facts.ts` (what it is used for).
 */
import type { GpuTimer } from './gpu-timer.ts';
import dependentStep from './probes/dependent-step.wgsl' with { type: 'text' };
import { threadCpuMs } from './step-driver.ts';
import { median } from './table.ts';

/** Units: milliseconds. */
export interface DispatchFacts {
  /** Of a submit without dispatches, and the wait for its end. */
  readonly roundTripMs: number;
  /** CPU time of recording, encoding and submitting one dispatch. */
  readonly encodeMs: number;
  /** Of a dispatch that waits for the one before. */
  readonly dependentMs: number;
  /** Of one that shares no buffer with its neighbours. */
  readonly independentMs: number;
}

const WG = 64;
const NUM_BUFFERS = 8;
const ROUND_TRIPS = 20;
/** Dispatches whose recording is timed. */
const ENCODED = 500;

/** The median time of one dispatch that waits: so short that the shortest may lie below what can be told from an empty submit. Units: milliseconds. Throws: EngineError when the device fails. */
export async function measureDispatchCost(timer: GpuTimer): Promise<number> {
  return measureAmong(timer, 1);
}

/** The cost of dispatches from all sides. Throws: EngineError when the device fails. */
export async function measureDispatchFacts(timer: GpuTimer): Promise<DispatchFacts> {
  const dependentMs = await measureDispatchCost(timer);
  const independentMs = await measureAmong(timer, NUM_BUFFERS);
  return {
    roundTripMs: await measureRoundTrip(timer),
    encodeMs: await measureEncoding(timer),
    dependentMs,
    independentMs,
  };
}

/** Dispatches that go round in so many buffers. */
async function measureAmong(timer: GpuTimer, numBuffers: number): Promise<number> {
  const { device, context } = timer;
  const kernel = kernelOf(timer);
  const buffers = Array.from({ length: numBuffers }, (_, i) => device.createBuffer(`dispatch cost ${i}`, WG * 4));
  const ms = await timer.time(() => (i) => {
    const values = buffers[i % numBuffers];
    if (values) context.recorder.dispatch(kernel, { values }, null, 1);
  });
  for (const buffer of buffers) device.destroyBuffer(buffer);
  return ms;
}

async function measureRoundTrip({ device, context }: GpuTimer): Promise<number> {
  const fence = device.createBuffer('round trip', 16);
  const times: number[] = [];
  for (let i = 0; i < ROUND_TRIPS; i++) {
    const startMs = performance.now();
    await context.recorder.submitAndRead(fence, 16);
    times.push(performance.now() - startMs);
  }
  device.destroyBuffer(fence);
  return median(times);
}

async function measureEncoding(timer: GpuTimer): Promise<number> {
  const { device, context } = timer;
  const kernel = kernelOf(timer);
  const values = device.createBuffer('encoding', WG * 4);
  const times: number[] = [];
  for (let round = 0; round < 5; round++) {
    const startMs = threadCpuMs();
    for (let i = 0; i < ENCODED; i++) context.recorder.dispatch(kernel, { values }, null, 1);
    const pending = context.recorder.submitForRead(values, 16);
    times.push((threadCpuMs() - startMs) / ENCODED);
    await pending.read();
  }
  device.destroyBuffer(values);
  return median(times);
}

function kernelOf({ device }: GpuTimer) {
  const entry = 'dependent-step.wgsl';
  return device.kernel({ entry, sources: { [entry]: dependentStep }, params: { WG }, layout: null });
}
