/**
 * A model that is loaded and warmed up, if need be without a capability for which a driver compiles not all kernels.
 *
 * Owns the second attempt: the check of a device compiles few kernels, and the warm-up all. What is left over by an attempt goes with its
 * device. Next: `load-model.ts`, `warm-up.ts`, `local-engine.ts` (who calls it).
 */
import type { EngineConfig } from '../config/server-config.ts';
import { maxUnknownTokens } from '../sampling/sequence-state.ts';
import { adapterName } from './gpu/binding.ts';
import { type Capability, capabilityOf } from './gpu/capabilities.ts';
import { KernelFault } from './gpu/kernel-cache.ts';
import { type LoadedModel, type LoadOptions, loadModel } from './load-model.ts';
import type { MemoryPlan } from './memory-plan.ts';
import type { SchedulerOptions } from './scheduler-options.ts';
import { warmUp } from './warm-up.ts';

export interface ReadyModel {
  readonly model: LoadedModel;
  readonly schedulerOptions: SchedulerOptions;
}

/** What is given up with a capability. */
const WITHOUT: Partial<Record<Capability, Partial<EngineConfig>>> = {
  matrices: { gpuMatrices: 'off' },
  f16: { gpuF16: 'off' },
  subgroups: { gpuSubgroups: 'off' },
};

/** Loads and warms up. Throws: EngineError. */
export async function loadReadyModel(folder: string, config: EngineConfig, options: LoadOptions): Promise<ReadyModel> {
  const model = await loadModel(folder, config, options);
  try {
    const schedulerOptions = schedulerOptionsOf(model, config);
    await warmUp(model, schedulerOptions, options.onProgress);
    return { model, schedulerOptions };
  } catch (error) {
    model.device.close();
    const capability = error instanceof KernelFault ? capabilityOf(error.kernel.code) : null;
    const change = capability && WITHOUT[capability];
    if (!change || Object.entries(change).every(([name, value]) => config[name as keyof EngineConfig] === value)) {
      throw error;
    }
    const reason = error instanceof Error ? error.message.split('\n', 1)[0] : '';
    const adapter = `${adapterName(model.device.adapter)} through ${model.device.binding}`;
    options.onNotice(`GPU: loading again without ${capability}: ${adapter} does not compile ${reason}`);
    return loadReadyModel(folder, { ...config, ...change }, options);
  }
}

function schedulerOptionsOf({ plan, spec }: LoadedModel, config: EngineConfig): SchedulerOptions {
  return {
    numBlocks: plan.numBlocks,
    blockSize: plan.blockSize,
    maxModelLen: plan.maxModelLen,
    maxNumSeqs: plan.maxNumSeqs,
    maxNumBatchedTokens: plan.maxNumBatchedTokens,
    enableChunkedPrefill: config.enableChunkedPrefill,
    enablePrefixCaching: config.enablePrefixCaching,
    policy: config.schedulingPolicy,
    vocabSize: spec.vocab,
    eosTokenIds: spec.eosTokenIds,
    seed: config.seed,
    swapBlocks: swapBlocks(config, plan),
    delayFactor: config.schedulerDelayFactor,
    maxUnknownTokens,
  };
}

function swapBlocks({ preemptionMode, swapSpaceGib }: EngineConfig, { kvCacheBytes, numBlocks }: MemoryPlan): number {
  return preemptionMode === 'save' ? Math.floor((swapSpaceGib * 2 ** 30) / (kvCacheBytes / numBlocks)) : 0;
}
