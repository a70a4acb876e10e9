/**
 * Measured sizes of kernels for a loaded model, or none where they would mean nothing.
 *
 * Owns that decision alone. Next: `autotune.ts` (who measures), `../load-model.ts` (who calls it, before the cache takes the memory).
 */
import type { GpuDevice } from '../gpu/device.ts';
import type { ModelWeights } from '../models/weights.ts';
import type { TunedPlans } from '../ops/tuned-plans.ts';
import { autotune } from './autotune.ts';
import { modelShapes } from './model-shapes.ts';

/** What the planners say stands. */
export const NO_TUNED_PLANS: TunedPlans = { lookup: () => null };

export interface TuneModelOptions {
  /** Where measurements are kept; null = nothing is measured. */
  readonly folder: string | null;
  /** Most sequences in one step. */
  readonly maxRows: number;
  readonly onProgress?: (fraction: number) => void;
}

/** Measures what is not known yet. Throws: EngineError when the device failed. */
export async function tuneModel(
  device: GpuDevice,
  weights: ModelWeights,
  { folder, maxRows, onProgress = () => {} }: TuneModelOptions,
): Promise<TunedPlans> {
  // A software adapter has kernels of its own, whose plan is fixed; where others are asked for, their speed says nothing.
  if (folder === null || device.adapter.isSoftware) return NO_TUNED_PLANS;
  return autotune({ device, shapes: modelShapes(weights), maxRows, folder, onProgress });
}
