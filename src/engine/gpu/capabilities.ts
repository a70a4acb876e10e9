/**
 * What kernels can do without: parts of WebGPU that an adapter may offer, and that its driver may get wrong.
 *
 * Owns their names and how a kernel's text tells which of them it stands on. Whether one is used is the device's to say.
 * Next: `device.ts` (what is offered and what is withheld), `../self-check/self-check.ts` (who finds out what works).
 */

/** In the order in which they build upon each other: matrices need the two before them. */
export const CAPABILITIES = ['subgroups', 'f16', 'matrices', 'dp4a'] as const;

export type Capability = (typeof CAPABILITIES)[number];

const EXTENSIONS: readonly (readonly [Capability, RegExp])[] = [
  ['matrices', /^enable chromium_experimental_subgroup_matrix;/m],
  ['subgroups', /^enable subgroups;/m],
  ['f16', /^enable f16;/m],
];

/** The capability without which there is another kernel in place of the one with this text; null = there is no other. */
export function capabilityOf(code: string): Capability | null {
  return EXTENSIONS.find(([, extension]) => extension.test(code))?.[0] ?? null;
}
