/**
 * Penalties on tokens that occurred: repetition over prompt and output, frequency and presence over the output alone.
 *
 * Owns how far a sequence has been counted, so that a step looks only at tokens that are new to it, however long the context. Where the
 * penalties look back only so far, what leaves that window is uncounted. What a count costs the GPU works out: it may have one token more
 * than the host knows. Next: `edit-table.ts`; `shaders/sample-edit.wgsl`.
 */
import type { SamplingParams } from '../engine/types.ts';
import type { EditTable } from './edit-table.ts';
import { type SampleSource, tokenAt } from './source.ts';

export function hasPenalties(params: SamplingParams): boolean {
  if (params.extras?.repeatLastN === 0) return false;
  return params.repetitionPenalty !== 1 || params.frequencyPenalty !== 0 || params.presencePenalty !== 0;
}

/** Keeps the counts of one sequence up to date. */
export class Penalties {
  private isPromptSeen = false;
  private numOutputsSeen = 0;
  /** Position of the first token that is still counted. */
  private windowStart = 0;

  /**
   * Enters the tokens that came since the last call. `numOutputs`: tokens that come before the one to sample; one more than is known where
   * the newest is still to come, and then the GPU counts that one.
   * Throws: Error where more than one is not known. Mutates: table.
   */
  update(table: EditTable, source: SampleSource, numOutputs: number): void {
    const { promptIds, outputIds, params } = source;
    if (numOutputs > outputIds.length + 1) throw new Error('penalties need all tokens but the newest');
    const lastN = params.extras?.repeatLastN ?? -1;
    const countsPrompt = params.repetitionPenalty !== 1;
    const start = lastN >= 0 ? Math.max(0, promptIds.length + numOutputs - lastN) : 0;
    if (!this.isPromptSeen) {
      this.isPromptSeen = true;
      this.windowStart = start;
      this.numOutputsSeen = Math.max(0, start - promptIds.length);
      if (countsPrompt) for (let i = start; i < promptIds.length; i++) table.count(promptIds[i] as number, false);
    }
    for (; this.numOutputsSeen < outputIds.length; this.numOutputsSeen++) {
      table.count(outputIds[this.numOutputsSeen] as number, true);
    }
    for (; this.windowStart < start; this.windowStart++) {
      const isOutput = this.windowStart >= promptIds.length;
      if (isOutput || countsPrompt) table.count(tokenAt(source, this.windowStart), isOutput, -1);
    }
  }
}
