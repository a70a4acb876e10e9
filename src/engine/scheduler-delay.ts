/**
 * Lets prompts wait a little beside sequences that decode, so that more of them share a step.
 *
 * Owns what is known of the last step with a prompt. Times come in as parameters. Next: `scheduler.ts` (who asks).
 */
import type { Sequence } from './sequence.ts';

/** Decides when new sequences may be admitted. `factor` 0 = always. */
export class AdmissionDelay {
  private lastPlanMs = 0;
  private lastHadPrompt = false;
  /** From the last plan with a prompt to the one after it. Units: milliseconds. */
  private promptMs = 0;

  constructor(private readonly factor: number) {}

  /** Whether a plan made now may admit: when nothing runs, or the oldest of those that wait has waited long enough. */
  admits(nowMs: number, waiting: readonly Sequence[], numRunning: number): boolean {
    if (this.factor === 0) return true;
    if (this.lastHadPrompt) this.promptMs = nowMs - this.lastPlanMs;
    this.lastPlanMs = nowMs;
    this.lastHadPrompt = false;
    if (numRunning === 0) return true;
    const earliestMs = waiting.reduce((earliest, { arrivalMs }) => Math.min(earliest, arrivalMs), nowMs);
    return nowMs - earliestMs > this.factor * this.promptMs;
  }

  /** Says whether that plan computes a prompt. */
  planned(hasPrompt: boolean): void {
    this.lastHadPrompt = hasPrompt;
  }
}
