/**
 * What is kept for a sequence from step to step: its edits, how far penalties are counted, its mask.
 *
 * Owns which sequences need any of it: most need nothing, and then nothing is made or looked up. Next: `prepare.ts`.
 */
import type { SamplingParams } from '../engine/types.ts';
import { allowedMask } from './allowed.ts';
import { enterBans, hasBans } from './bans.ts';
import { enterBiases, hasBias } from './bias.ts';
import { EditTable } from './edit-table.ts';
import { hasPenalties, Penalties } from './penalties.ts';
import type { SampleSource } from './source.ts';

/** True when the logits of a sequence with these parameters may need a change before they are sampled. */
export function needsEdits(params: SamplingParams): boolean {
  return hasBias(params) || hasBans(params) || hasPenalties(params);
}

/** State of one sequence. */
export class SequenceState {
  readonly table = new EditTable();
  /** Null when all tokens are allowed. */
  readonly mask: Uint32Array | null;
  private readonly penalties: Penalties | null;

  constructor({ params }: SampleSource, vocab: number) {
    this.mask = params.allowedTokenIds ? allowedMask(params.allowedTokenIds, vocab) : null;
    this.penalties = hasPenalties(params) ? new Penalties() : null;
    enterBiases(this.table, params);
    enterBans(this.table, params);
  }

  /** Takes in the tokens that are new. Mutates: table. */
  update(source: SampleSource): void {
    this.penalties?.update(this.table, source);
  }
}
