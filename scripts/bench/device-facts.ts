/**
 * What an adapter is and can do through one binding: features, limits, matrix shapes, and the few measured rates that decide the engine's design.
 *
 * The first thing to run on a new GPU. Owns the report; rates are measured by `ceilings.ts`, dispatches by `dispatch-cost.ts`.
 */
import { adapterName, type BindingName, type FoundAdapter, type MatrixConfig } from '../../src/engine/gpu/binding.ts';
import { findBunWebgpu } from '../../src/engine/gpu/bun-webgpu.ts';
import { GpuDevice } from '../../src/engine/gpu/device.ts';
import { adapterMemory } from '../../src/engine/gpu/memory.ts';
import { findNodeWebgpu } from '../../src/engine/gpu/node-webgpu.ts';
import { measureCeilings, measureFmaRate, measureMatrixRate } from './ceilings.ts';
import { type DispatchFacts, measureDispatchFacts } from './dispatch-cost.ts';
import { ratesLine } from './engine-report.ts';
import { GpuTimer } from './gpu-timer.ts';
import { short } from './table.ts';

export interface DeviceFactsOptions {
  /** Units: milliseconds per rate. */
  readonly budgetMs: number;
}

/** A matrix shape and what it reaches. */
interface MatrixFact {
  readonly config: string;
  /** Units: operations per second; null for shapes that are not measured: the kernels take f16 operands alone. */
  readonly rate: number | null;
}

const OPEN = { robustness: false, profiling: true };

/** Measures and prints. `GPU_BINDING` says through which binding. Throws: EngineError without a usable adapter. */
export async function benchDevice({ budgetMs }: DeviceFactsOptions): Promise<object> {
  const binding = (process.env.GPU_BINDING || 'auto') as BindingName | 'auto';
  const device = await GpuDevice.open(binding, OPEN);
  const { adapter, limits } = device;
  console.log(`${adapterName(adapter)} through ${device.binding}: ${device.bindingReason}`);
  const adapterFeatures = await featuresOf(device.binding);
  const memory = adapterMemory(adapter, null);
  const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  console.log(`vendor ${adapter.vendor}, architecture ${adapter.architecture}, software ${adapter.isSoftware}`);
  console.log(`memory ${gib(memory.bytes)} (${memory.source})`);
  console.log(`subgroups of ${adapter.subgroupMinSize} to ${adapter.subgroupMaxSize}`);
  console.log(`features of the adapter: ${adapterFeatures.join(', ')}`);
  console.log(`features in use: ${[...device.opened.features].join(', ')}`);
  for (const [name, value] of Object.entries(limits)) console.log(`${name}: ${value}`);
  const timer = new GpuTimer(device, budgetMs);
  const dispatch = await measureDispatchFacts(timer);
  console.log(dispatchLine(dispatch));
  const ceilings = await measureCeilings(timer);
  console.log(ratesLine({ ...ceilings, dispatchMs: dispatch.dependentMs }));
  const halfRate = device.hasF16 ? await measureFmaRate(timer, true) : null;
  console.log(`f16 multiply-adds: ${halfRate === null ? 'no f16' : `${short(halfRate / 1e9)} GFLOP/s`}`);
  const matrices: MatrixFact[] = [];
  for (const config of device.adapter.subgroupMatrixConfigs) {
    const fact = { config: nameOf(config), rate: await matrixRate(timer, config) };
    matrices.push(fact);
    console.log(
      `matrices ${fact.config}: ${fact.rate === null ? 'not measured' : `${short(fact.rate / 1e9)} GFLOP/s`}`,
    );
  }
  if (matrices.length === 0) console.log('matrices: none');
  device.throwIfFailed();
  const facts = {
    ...{ adapter, binding: device.binding, bindingReason: device.bindingReason, memory, adapterFeatures },
    ...{ features: [...device.opened.features], limits, dispatch, ceilings, halfRate, matrices },
    ...{ date: new Date().toISOString(), environment: { LP_NUM_THREADS: process.env.LP_NUM_THREADS ?? null } },
  };
  device.close();
  return facts;
}

async function matrixRate(timer: GpuTimer, config: MatrixConfig): Promise<number | null> {
  return timer.device.subgroupMatrixConfigs.length === 0 ? null : measureMatrixRate(timer, config);
}

function nameOf({ componentType, resultComponentType, M, N, K }: MatrixConfig): string {
  return `${componentType}->${resultComponentType} ${M}x${N}x${K}`;
}

/** All that the adapter offers, whether it is used or not. */
async function featuresOf(binding: BindingName): Promise<string[]> {
  const found: FoundAdapter = await (binding === 'webgpu' ? findNodeWebgpu(OPEN) : findBunWebgpu(OPEN));
  const features = [...found.offer.features].toSorted();
  found.drop();
  return features;
}

function dispatchLine({ roundTripMs, encodeMs, dependentMs, independentMs }: DispatchFacts): string {
  const us = (ms: number) => `${short(ms * 1000)} us`;
  return (
    `an empty submit and its wait: ${us(roundTripMs)}; a dispatch: ${us(encodeMs)} of CPU to record, ` +
    `${us(dependentMs)} where it waits for the one before, ${us(independentMs)} where it does not`
  );
}
