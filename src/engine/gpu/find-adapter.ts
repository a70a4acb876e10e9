/**
 * Finds the adapter that the engine runs on, and through which binding.
 *
 * Owns how the bindings are asked: both only where that can help, and the one that is not taken is let go of.
 * Next: `choose-binding.ts` (the policy), `bun-webgpu.ts` and `node-webgpu.ts` (who is asked).
 */
import type { BindingName, BindingOffer, FoundAdapter, OpenedBinding, OpenOptions } from './binding.ts';
import { chooseBinding } from './choose-binding.ts';
import { mayHaveGpu } from './hardware.ts';

/** Asks one binding for its adapter. Throws: Error when it has none. */
export type FindAdapter = (name: BindingName, options: OpenOptions) => Promise<FoundAdapter>;

export interface OpenedAdapter {
  readonly opened: OpenedBinding;
  /** Why through this binding, in words. */
  readonly reason: string;
}

/** Opens a device through the wanted binding. Throws: Error when there is none. */
export async function openAdapter(
  binding: BindingName | 'auto',
  options: OpenOptions,
  find: FindAdapter = findAdapter,
): Promise<OpenedAdapter> {
  if (binding === 'auto') return openBest(options, find);
  return { opened: await (await find(binding, options)).open(), reason: 'as GPU_BINDING says' };
}

async function findAdapter(name: BindingName, options: OpenOptions): Promise<FoundAdapter> {
  if (name === 'webgpu') return (await import('./node-webgpu.ts')).findNodeWebgpu(options);
  return (await import('./bun-webgpu.ts')).findBunWebgpu(options);
}

async function openBest(options: OpenOptions, find: FindAdapter): Promise<OpenedAdapter> {
  const cheaper = await find('bun-webgpu', options).catch(messageOf);
  // Dawn warns at length about a software adapter: the second look is taken only where it can find more.
  const isSettled = typeof cheaper !== 'string' && cheaper.offer.adapterInfo.isSoftware && !mayHaveGpu();
  const newer = isSettled ? 'not asked' : await find('webgpu', options).catch(messageOf);
  const choice = chooseBinding({ 'bun-webgpu': offerOf(cheaper), webgpu: offerOf(newer) });
  const [first, other] = choice?.name === 'webgpu' ? [newer, cheaper] : [cheaper, newer];
  if (!choice || typeof first === 'string') throw new Error(`bun-webgpu: ${cheaper}; webgpu: ${newer}`);
  let opened: OpenedBinding;
  try {
    opened = await first.open();
  } catch (error) {
    if (typeof other === 'string') throw error;
    return { opened: await other.open(), reason: `${choice.name} opens no device here (${messageOf(error)})` };
  }
  if (typeof other !== 'string') other.drop();
  return { opened, reason: choice.reason };
}

function offerOf(found: FoundAdapter | string): BindingOffer | string {
  return typeof found === 'string' ? found : found.offer;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
