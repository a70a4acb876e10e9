/**
 * A queue of sequences in the order of a scheduling policy.
 *
 * Owns the one comparison that decides who runs first and who is preempted last. It changes no sequence.
 * Next: `scheduler.ts`, which keeps one queue of those that wait and one of those that run.
 */

import type { Sequence } from './sequence.ts';

/** `fcfs`: by arrival; `priority`: lower `priority` first, then by arrival. */
export type SchedulingPolicy = 'fcfs' | 'priority';

/** Sequences by rank, first one first. */
export class SequenceQueue {
  private readonly sequences: Sequence[] = [];

  constructor(private readonly policy: SchedulingPolicy) {}

  /** Live view: iterating while the last ones are popped is allowed and ends early. */
  get items(): readonly Sequence[] {
    return this.sequences;
  }

  get length(): number {
    return this.sequences.length;
  }

  /** Inserts at its rank: a new arrival at the end, a preempted one before all who came later. */
  insert(sequence: Sequence): void {
    let low = 0;
    let high = this.sequences.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.compare(this.sequences[middle] as Sequence, sequence) < 0) low = middle + 1;
      else high = middle;
    }
    this.sequences.splice(low, 0, sequence);
  }

  /** Takes the first one. */
  shift(): Sequence | undefined {
    return this.sequences.shift();
  }

  /** Takes the last one. */
  pop(): Sequence | undefined {
    return this.sequences.pop();
  }

  /** Takes one out, wherever it stands. */
  remove(sequence: Sequence): void {
    const index = this.sequences.indexOf(sequence);
    if (index >= 0) this.sequences.splice(index, 1);
  }

  /** Throws: Error when two neighbours are out of order or the same. */
  assertInvariants(): void {
    this.sequences.forEach((sequence, i) => {
      const before = this.sequences[i - 1];
      if (before !== undefined && this.compare(before, sequence) >= 0)
        throw new Error(`${sequence.id} is out of order`);
    });
  }

  private compare(a: Sequence, b: Sequence): number {
    const byPriority = this.policy === 'priority' ? a.priority - b.priority : 0;
    return byPriority || a.arrival - b.arrival;
  }
}
