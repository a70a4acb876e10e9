/**
 * Logit biases: added before the penalties, once per sequence.
 *
 * Next: `edit-table.ts`.
 */
import type { SamplingParams } from '../engine/types.ts';
import type { EditTable } from './edit-table.ts';

export function hasBias(params: SamplingParams): boolean {
  return params.logitBias.length > 0;
}

/** Enters all biases. Mutates: table. */
export function enterBiases(table: EditTable, params: SamplingParams): void {
  for (const [tokenId, bias] of params.logitBias) table.addBias(tokenId, bias);
}
