/**
 * Penalties on tokens that occurred: repetition over prompt and output, frequency and presence over the output alone.
 *
 * Owns how far a sequence has been counted, so that a step looks only at tokens that are new to it, however long the context. Where the
 * penalties look back only so far, what leaves that window is uncounted. Next: `edit-table.ts`.
 */
import type { SamplingParams } from '../engine/types.ts';
import type { EditTable } from './edit-table.ts';
import { type SampleSource, tokenAt } from './source.ts';

export function hasPenalties(params: SamplingParams): boolean {
  if (params.extras?.repeatLastN === 0) return false;
  return params.repetitionPenalty !== 1 || countsOutput(params);
}

function countsOutput(params: SamplingParams): boolean {
  return params.frequencyPenalty !== 0 || params.presencePenalty !== 0;
}

/** Keeps the penalties of one sequence up to date. */
export class Penalties {
  private isPromptSeen = false;
  private numOutputsSeen = 0;
  /** Position of the first token that is still counted. */
  private windowStart = 0;
  /** How often each token stands in the window; kept only where there is one. */
  private readonly inWindow = new Map<number, number>();

  /** Enters the tokens that came since the last call. Mutates: table. */
  update(table: EditTable, source: SampleSource): void {
    const { promptIds, outputIds, params } = source;
    const lastN = params.extras?.repeatLastN ?? -1;
    const isWindowed = lastN >= 0;
    const { repetitionPenalty, frequencyPenalty, presencePenalty } = params;
    const repeats = repetitionPenalty !== 1;
    const counts = countsOutput(params);
    const total = promptIds.length + outputIds.length;
    const start = isWindowed ? Math.max(0, total - lastN) : 0;
    if (repeats && !this.isPromptSeen) {
      for (let i = start; i < promptIds.length; i++) {
        table.setRepetition(promptIds[i] as number, repetitionPenalty);
        if (isWindowed) this.countInWindow(promptIds[i] as number, 1);
      }
    }
    if (!this.isPromptSeen) {
      this.isPromptSeen = true;
      this.windowStart = start;
      this.numOutputsSeen = Math.max(0, start - promptIds.length);
    }
    for (; this.numOutputsSeen < outputIds.length; this.numOutputsSeen++) {
      const tokenId = outputIds[this.numOutputsSeen] as number;
      if (repeats) table.setRepetition(tokenId, repetitionPenalty);
      if (repeats && isWindowed) this.countInWindow(tokenId, 1);
      if (counts) table.countOutput(tokenId, frequencyPenalty, presencePenalty);
    }
    for (; this.windowStart < start; this.windowStart++) {
      const tokenId = tokenAt(source, this.windowStart);
      if (repeats && this.countInWindow(tokenId, -1) === 0) table.setRepetition(tokenId, 1);
      if (counts && this.windowStart >= promptIds.length) {
        table.countOutput(tokenId, frequencyPenalty, presencePenalty, -1);
      }
    }
  }

  private countInWindow(tokenId: number, change: number): number {
    const count = (this.inWindow.get(tokenId) ?? 0) + change;
    if (count === 0) this.inWindow.delete(tokenId);
    else this.inWindow.set(tokenId, count);
    return count;
  }
}
