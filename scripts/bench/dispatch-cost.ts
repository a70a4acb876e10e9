/**
 * What a dispatch costs that does next to nothing but wait for the one before: the floor under steps of many small kernels.
 *
 * Shader: probes/dependent-step.wgsl. Next: `roofline.ts` (what it is used for).
 */
import type { GpuTimer } from './gpu-timer.ts';
import dependentStep from './probes/dependent-step.wgsl' with { type: 'text' };

const WG = 64;

/** The median time of one such dispatch: so short that the shortest may lie below what can be told from an empty submit. Units: milliseconds. Throws: EngineError when the device fails. */
export async function measureDispatchCost(timer: GpuTimer): Promise<number> {
  const { device } = timer;
  const entry = 'dependent-step.wgsl';
  const kernel = device.kernel({ entry, sources: { [entry]: dependentStep }, params: { WG }, layout: null });
  const values = device.createBuffer('dispatch cost', WG * 4);
  const ms = await timer.time(() => () => timer.context.recorder.dispatch(kernel, { values }, null, 1));
  device.destroyBuffer(values);
  return ms;
}
