/**
 * Keeps the GPU supplied: steps are planned and submitted ahead, and committed in the order in which they ran.
 *
 * Owns the steps in flight, and no policy: what may be planned ahead is the scheduler's to say. Next: `scheduler.ts` (why planning ahead
 * is right), `runner.ts` (what a submit is), `local-engine.ts` (who steps).
 */
import type { CommitResult, StepPlan } from './plan.ts';
import type { Runner, StepInFlight } from './runner.ts';
import type { Scheduler } from './scheduler.ts';

/** A scheduler and a runner at work together. */
export class StepPipeline {
  /** Oldest first. */
  private readonly inFlight: StepInFlight[] = [];

  constructor(
    private readonly scheduler: Scheduler,
    private readonly runner: Pick<Runner, 'submit'>,
    /** Most steps in flight. */
    private readonly depth: number,
    /** Is told of each step before it is submitted. */
    private readonly onPlan: (plan: StepPlan) => void = () => {},
  ) {}

  /** True until all that was submitted is committed, too. */
  get hasWork(): boolean {
    return this.scheduler.hasWork || this.inFlight.length > 0;
  }

  /**
   * Submits what can be planned, waits for the oldest step in flight and commits it; null when there is none.
   * The steps behind it run on while the caller uses its events.
   * Throws: EngineError when the device failed.
   */
  async step(): Promise<CommitResult | null> {
    this.fill();
    const oldest = this.inFlight.shift();
    if (oldest === undefined) return null;
    const { sampled, scored } = await oldest.read();
    return this.scheduler.commit(oldest.plan, sampled, scored);
  }

  private fill(): void {
    while (this.inFlight.length < this.depth && this.scheduler.canPlan) {
      const plan = this.scheduler.plan(performance.now());
      if (plan.entries.length === 0) return;
      this.onPlan(plan);
      this.inFlight.push(this.runner.submit(plan));
    }
  }
}
