/**
 * What the engine measures beside its work: how large the steps are, and how long each sequence waited for its first one.
 *
 * Times come in as parameters. Knows the plan, not the scheduler behind it. Next: `local-engine.ts`, which calls it.
 */
import type { SequenceEvent, StepPlan } from './plan.ts';
import { type SequenceStart, type StepSizes, stepTokenLimits } from './types.ts';

export class StepMeter {
  private readonly counts = new Array<number>(stepTokenLimits.length + 1).fill(0);
  private totalTokens = 0;
  /** When sequences without a step were submitted, by request id. Units: milliseconds. */
  private readonly submittedMs = new Map<string, number>();
  /** Of sequences that had a step and no event. */
  private readonly starts = new Map<string, SequenceStart>();

  get sizes(): StepSizes {
    return { counts: [...this.counts], totalTokens: this.totalTokens };
  }

  submitted(requestId: string, nowMs: number): void {
    this.submittedMs.set(requestId, nowMs);
  }

  forget(requestId: string): void {
    this.submittedMs.delete(requestId);
    this.starts.delete(requestId);
  }

  /** A step with these entries begins. */
  planned(plan: StepPlan, nowMs: number): void {
    const bucket = stepTokenLimits.findIndex((limit) => plan.numTokens <= limit);
    const index = bucket < 0 ? stepTokenLimits.length : bucket;
    this.counts[index] = (this.counts[index] ?? 0) + 1;
    this.totalTokens += plan.numTokens;
    if (this.submittedMs.size === 0) return;
    for (const { sequence } of plan.entries) {
      const atMs = this.submittedMs.get(sequence.id);
      if (atMs === undefined) continue;
      this.submittedMs.delete(sequence.id);
      this.starts.set(sequence.id, { queueMs: nowMs - atMs, cachedTokens: sequence.numCachedTokens });
    }
  }

  /** The events, with the start on the first one of each sequence. */
  marked(events: readonly SequenceEvent[]): readonly SequenceEvent[] {
    if (this.starts.size === 0) return events;
    return events.map((entry) => {
      const start = this.starts.get(entry.requestId);
      if (start === undefined) return entry;
      this.starts.delete(entry.requestId);
      return { requestId: entry.requestId, event: { ...entry.event, start } };
    });
  }
}
