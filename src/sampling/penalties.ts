/**
 * Penalties on tokens that occurred: repetition over prompt and output, frequency and presence over the output alone.
 *
 * Owns how far a sequence has been counted, so that a step looks only at tokens that are new to it, however long the context.
 * Next: `edit-table.ts`.
 */
import type { SamplingParams } from '../engine/types.ts';
import type { EditTable } from './edit-table.ts';
import type { SampleSource } from './source.ts';

export function hasPenalties(params: SamplingParams): boolean {
  return params.repetitionPenalty !== 1 || countsOutput(params);
}

function countsOutput(params: SamplingParams): boolean {
  return params.frequencyPenalty !== 0 || params.presencePenalty !== 0;
}

/** Keeps the penalties of one sequence up to date. */
export class Penalties {
  private isPromptSeen = false;
  private numOutputsSeen = 0;

  /** Enters the tokens that came since the last call. Mutates: table. */
  update(table: EditTable, { promptIds, outputIds, params }: SampleSource): void {
    const { repetitionPenalty, frequencyPenalty, presencePenalty } = params;
    const repeats = repetitionPenalty !== 1;
    if (repeats && !this.isPromptSeen) {
      for (let i = 0; i < promptIds.length; i++) table.setRepetition(promptIds[i] as number, repetitionPenalty);
    }
    this.isPromptSeen = true;
    const counts = countsOutput(params);
    for (; this.numOutputsSeen < outputIds.length; this.numOutputsSeen++) {
      const tokenId = outputIds[this.numOutputsSeen] as number;
      if (repeats) table.setRepetition(tokenId, repetitionPenalty);
      if (counts) table.countOutput(tokenId, frequencyPenalty, presencePenalty);
    }
  }
}
