/**
 * Which binding drives an adapter where the setting leaves it open: a pure function of what each of them offers.
 *
 * Owns the policy and its words. npm `webgpu` has the newer Dawn, with f16 and matrix units on more adapters; `bun-webgpu` encodes for
 * less and waits without polling. So the newer one is taken where it offers more, and the cheaper one everywhere else.
 * Next: `binding.ts` (what an offer is read from), `find-adapter.ts` (who asks).
 */
import { type BindingName, type BindingOffer, chooseMatrixConfig } from './binding.ts';

/** An offer for each binding, or one sentence that says why there is none. */
export type BindingOffers = Readonly<Record<BindingName, BindingOffer | string>>;

export interface BindingChoice {
  readonly name: BindingName;
  /** Why, to follow `through <name>: `. */
  readonly reason: string;
}

/** Picks the binding; null when neither has an adapter. */
export function chooseBinding(offers: BindingOffers): BindingChoice | null {
  const cheaper = offers['bun-webgpu'];
  const newer = offers.webgpu;
  if (typeof cheaper === 'string') {
    if (typeof newer === 'string') return null;
    return { name: 'webgpu', reason: `bun-webgpu is of no use here (${cheaper})` };
  }
  const newerIsSoftware = typeof newer === 'string' || newer.adapterInfo.isSoftware;
  if (cheaper.adapterInfo.isSoftware) {
    if (!newerIsSoftware) return { name: 'webgpu', reason: 'bun-webgpu finds only a software adapter' };
    // It computes where the server runs, and f16 and matrices make it no faster.
    return { name: 'bun-webgpu', reason: 'a software adapter, and it leaves that the most of the CPU' };
  }
  if (typeof newer === 'string') {
    return { name: 'bun-webgpu', reason: `webgpu is of no use here (${newer})` };
  }
  if (newerIsSoftware) return { name: 'bun-webgpu', reason: 'webgpu finds only a software adapter' };
  const gained = [...gainedFeatures(cheaper, newer), ...gainedMatrices(cheaper, newer)];
  if (gained.length > 0) {
    return { name: 'webgpu', reason: `${gained.join(' and ')}, which bun-webgpu lacks here` };
  }
  return { name: 'bun-webgpu', reason: 'it costs the CPU least, and webgpu offers nothing more here' };
}

/** What kernels have variants for and would do without. */
function gainedFeatures(cheaper: BindingOffer, newer: BindingOffer): string[] {
  const named: readonly (readonly [string, string])[] = [
    ['shader-f16', 'f16'],
    ['subgroups', 'subgroups'],
  ];
  return named
    .filter(([feature]) => newer.features.has(feature) && !cheaper.features.has(feature))
    .map(([, name]) => name);
}

/** The size of the matrices that only the newer binding offers, where kernels can use one. */
function gainedMatrices(cheaper: BindingOffer, newer: BindingOffer): string[] {
  const matrixOf = ({ adapterInfo }: BindingOffer) => chooseMatrixConfig(adapterInfo.subgroupMatrixConfigs);
  const gained = matrixOf(cheaper) ? null : matrixOf(newer);
  return gained ? [`${gained.M}x${gained.N}x${gained.K} matrices`] : [];
}
