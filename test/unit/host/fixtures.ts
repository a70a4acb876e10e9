/**
 * Values and a small harness for the host's tests: requests, an EngineInit, and a RemoteEngine over the fake module.
 *
 * Next: `fake-engine.ts` (what the child runs).
 */
import { fileURLToPath } from 'node:url';
import { RemoteEngine, type RemoteEngineOptions } from '../../../src/engine/host/client.ts';
import type { EngineInit } from '../../../src/engine/host/local-engine-contract.ts';
import {
  type Engine,
  type EngineState,
  type GenerateRequest,
  NEUTRAL_SAMPLING,
  type SamplingParams,
  type TokenStream,
} from '../../../src/engine/types.ts';

const neutralParams: SamplingParams = { ...NEUTRAL_SAMPLING, maxTokens: 8 };

export function makeRequest(
  id: string,
  prompt: readonly number[],
  params: Partial<SamplingParams> = {},
): GenerateRequest {
  return { id, promptTokenIds: prompt, params: { ...neutralParams, ...params }, priority: 0 };
}

export function makeInit(extra: Readonly<Record<string, unknown>> = {}): EngineInit {
  return {
    modelFolder: '/nowhere',
    config: {
      gpuBinding: 'auto',
      gpuSubgroups: 'auto',
      gpuF16: 'auto',
      gpuMatrices: 'auto',
      dtype: 'auto',
      kvCacheDtype: 'auto',
      quantization: null,
      intActivations: false,
      maxModelLen: null,
      blockSize: 16,
      gpuMemoryUtilization: 0.9,
      gpuMemoryGib: null,
      numGpuBlocksOverride: null,
      maxNumBatchedTokens: null,
      maxNumSeqs: 256,
      enableChunkedPrefill: true,
      enablePrefixCaching: true,
      schedulingPolicy: 'fcfs',
      stepsInFlight: null,
      preemptionMode: 'recompute',
      swapSpaceGib: 4,
      schedulerDelayFactor: 0,
      seed: 0,
      tuningFolder: null,
      gpuRobustness: true,
    },
    extra,
  };
}

/** A RemoteEngine whose child runs `fake-engine.ts`, with a quick back-off and silent logs. */
export function startFake(
  extra: Readonly<Record<string, unknown>> = {},
  options: Partial<RemoteEngineOptions> = {},
): RemoteEngine {
  return new RemoteEngine({
    init: makeInit(extra),
    onLog: () => {},
    ...options,
    env: { WGSLM_ENGINE_MODULE: fileURLToPath(new URL('./fake-engine.ts', import.meta.url)), ...options.env },
    limits: { backOffInitialMs: 5, backOffMaxMs: 20, ...options.limits },
  });
}

/** All token ids of a stream and how it ended. */
export async function collect(
  stream: TokenStream,
): Promise<{ tokenIds: number[]; finishReason: string | null; error: unknown }> {
  const tokenIds: number[] = [];
  let finishReason: string | null = null;
  try {
    for await (const events of stream) {
      for (const event of events) {
        if (event.tokenId >= 0) tokenIds.push(event.tokenId);
        finishReason = event.finishReason ?? finishReason;
      }
    }
  } catch (error) {
    return { tokenIds, finishReason, error };
  }
  return { tokenIds, finishReason, error: null };
}

/** Resolves at the next change to `state`. */
export function nextState(engine: Engine, state: EngineState): Promise<void> {
  return new Promise((resolve) => {
    const stop = engine.onStateChange((current) => {
      if (current !== state) return;
      stop();
      resolve();
    });
  });
}
