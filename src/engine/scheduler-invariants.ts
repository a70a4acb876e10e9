/**
 * What must hold between any two calls of the scheduler.
 *
 * Owns the checks alone: it changes nothing and is no part of a step. Tests run it after every step.
 * Next: `scheduler.ts`.
 */

import type { BlockPool } from './block-pool.ts';
import type { StepPlan } from './plan.ts';
import type { SwapSpace } from './scheduler-swap.ts';
import type { Sequence } from './sequence.ts';
import type { SequenceQueue } from './sequence-queue.ts';

/** The scheduler's state, laid open. */
export interface SchedulerState {
  readonly pool: BlockPool;
  readonly live: ReadonlyMap<string, Sequence>;
  readonly waiting: SequenceQueue;
  readonly running: SequenceQueue;
  /** Oldest first. */
  readonly inFlight: readonly StepPlan[];
  readonly maxNumSeqs: number;
  readonly swap: SwapSpace;
}

/** Checks queues, sequences and pool against each other. Throws: Error that names the first fault. */
export function assertSchedulerInvariants(state: SchedulerState): void {
  state.pool.assertInvariants();
  state.swap.assertInvariants(state.waiting.items);
  assertQueues(state);
  assertSequences(state);
  assertPending(state);
  assertOwners(state);
}

function assertQueues({ live, waiting, running, maxNumSeqs }: SchedulerState): void {
  for (const queue of [waiting, running]) {
    queue.assertInvariants();
    for (const s of queue.items) if (live.get(s.id) !== s) throw new Error(`${s.id} is queued but not live`);
  }
  if (live.size !== waiting.length + running.length) throw new Error('a live sequence is in no queue');
  if (running.length > maxNumSeqs) throw new Error(`${running.length} sequences run, at most ${maxNumSeqs} may`);
}

function assertSequences({ pool, waiting, running, maxNumSeqs }: SchedulerState): void {
  for (const s of waiting.items) {
    const hasState = s.blockTable.length > 0 || s.numComputedTokens > 0 || s.slot >= 0;
    if (s.status !== 'waiting' || hasState) throw new Error(`${s.id} waits but holds state`);
  }
  const slots = new Set<number>();
  for (const s of running.items) {
    if (s.slot < 0 || s.slot >= maxNumSeqs || slots.has(s.slot)) throw new Error(`${s.id} has slot ${s.slot}`);
    slots.add(s.slot);
    if (s.saved !== null) throw new Error(`${s.id} runs, but is saved`);
    if (s.status !== 'running' || s.numRemaining < 1) throw new Error(`${s.id} runs but has nothing to compute`);
    if (s.blockTable.length < pool.blocksFor(s.numComputedTokens)) throw new Error(`${s.id} lacks blocks`);
    if (s.outputIds.length >= s.maxTokens) throw new Error(`${s.id} has ended, but runs`);
    if (s.outputIds.length + s.numPending > s.maxTokens) throw new Error(`${s.id} is planned beyond its limit`);
  }
}

/** Each token that the host waits for comes from one entry in flight, and each such entry of a live sequence brings one. */
function assertPending({ live, inFlight }: SchedulerState): void {
  const pending = new Map<Sequence, number>();
  for (const { entries } of inFlight) {
    for (const { sequence, samples } of entries) if (samples) pending.set(sequence, (pending.get(sequence) ?? 0) + 1);
  }
  for (const s of live.values()) {
    if (s.numPending !== (pending.get(s) ?? 0)) throw new Error(`${s.id} waits for ${s.numPending} tokens`);
  }
}

/** Each held block has as many owners as references, all of them running. No sequence holds it twice. */
function assertOwners({ pool, running }: SchedulerState): void {
  const owners = new Uint32Array(pool.numBlocks);
  for (const { id, blockTable } of running.items) {
    if (new Set(blockTable).size !== blockTable.length) throw new Error(`${id} holds a block twice`);
    for (const block of blockTable) owners[block] = (owners[block] ?? 0) + 1;
  }
  owners.forEach((count, block) => {
    if (count !== pool.refCount(block))
      throw new Error(`block ${block}: ${count} owners, ${pool.refCount(block)} references`);
  });
}
