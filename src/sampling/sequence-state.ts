/**
 * What is kept for a sequence from step to step: its edits, how far penalties and repetitions are followed, its mask, its feedback.
 *
 * Owns which sequences need any of it: most need nothing, and then nothing is made or looked up. Next: `prepare.ts`.
 */
import type { SamplingParams } from '../engine/types.ts';
import { allowedMask } from './allowed.ts';
import { enterBans, hasBans } from './bans.ts';
import { enterBiases, hasBias } from './bias.ts';
import { DryState, dryOf } from './dry.ts';
import { EditTable } from './edit-table.ts';
import type { MirostatState } from './mirostat.ts';
import { hasPenalties, Penalties } from './penalties.ts';
import type { SampleSource } from './source.ts';

/** True when the logits of a sequence with these parameters may need a change before they are sampled. */
export function needsEdits(params: SamplingParams): boolean {
  return hasBias(params) || hasBans(params) || hasPenalties(params) || dryOf(params) !== null;
}

/**
 * How many of the newest tokens may be unknown when the choice of the next is prepared: where it depends on which they are, beyond the
 * logits, the host must see them. Penalties let the GPU count one. How many tokens there are is known ahead, so that minimum lengths and
 * noise need none.
 */
export function maxUnknownTokens(params: SamplingParams): number {
  const usesMirostat = params.temperature > 0 && Boolean(params.extras?.mirostat);
  const bansSequences = params.bannedSequences.some((banned) => banned.length > 1);
  if (bansSequences || usesMirostat || dryOf(params) !== null) return 0;
  return hasPenalties(params) ? 1 : Number.POSITIVE_INFINITY;
}

/** State of one sequence. */
export class SequenceState {
  readonly table = new EditTable();
  /** Null when all tokens are allowed. */
  readonly mask: Uint32Array | null;
  /** Null where repetitions cost nothing. */
  readonly dry: DryState | null;
  /** Null until the first step with Mirostat. */
  mirostat: MirostatState | null = null;
  private readonly penalties: Penalties | null;

  constructor({ params }: SampleSource, vocab: number) {
    this.mask = params.allowedTokenIds ? allowedMask(params.allowedTokenIds, vocab) : null;
    const dry = dryOf(params);
    this.dry = dry ? new DryState(dry) : null;
    this.penalties = hasPenalties(params) ? new Penalties() : null;
    enterBiases(this.table, params);
    enterBans(this.table, params);
  }

  /** True when the GPU must count the newest token where the host does not know it. */
  get countsTokens(): boolean {
    return this.penalties !== null;
  }

  /** Takes in the tokens that are new, of which `numOutputs` come before the one to sample. Mutates: table. */
  update(source: SampleSource, numOutputs: number): void {
    this.penalties?.update(this.table, source, numOutputs);
  }
}
