/**
 * Which tokens of which sequences the next step computes, and what its results mean.
 *
 * Owns the queues, the block pool and the policy. Pure: no GPU, no clock (times come in), no await, no randomness; the same
 * calls give the same plans. A step is `plan()`, somebody runs it, `commit()`. One token budget goes to decodes first, then
 * to prompts that are partly computed, then to new ones in strict order: who does not fit holds up those behind.
 *
 * Several steps may be in flight. The GPU runs them in the order of their plans, so that the state here after a plan is the
 * cache's once that step has run, and each plan follows from it as if the steps before were done; only what was sampled is
 * unknown until `commit`. So a block may be freed and handed out while a step in flight still writes it: the new owner's writes
 * come later, and it reads only places that it wrote, or that the prefix cache vouches for. That knows blocks whose tokens are
 * known and whose computing is planned; whoever finds one reads in a later step. A sequence that turns out to have ended leaves
 * at once, and what its later entries bring is dropped. One that is preempted gets its pending tokens at their commits and is not
 * admitted before: it may be computed again only from tokens that are known. Slots, like blocks, go from hand to hand in order.
 * Next: `plan.ts` (the values), `sequence.ts` (the state), `batch.ts` (plan -> arrays).
 */

import { BlockPool } from './block-pool.ts';
import type {
  BlockMove,
  CommitResult,
  SampledToken,
  SchedulerStats,
  SequenceEvent,
  StepEntry,
  StepPlan,
  StepResult,
} from './plan.ts';
import { PrefixCache, type PrefixMatch } from './prefix-cache.ts';
import { AdmissionDelay } from './scheduler-delay.ts';
import { assertSchedulerInvariants } from './scheduler-invariants.ts';
import {
  assertRequestFits,
  drawSeed,
  invalidRequest,
  resolveSchedulerOptions,
  type SchedulerOptions,
} from './scheduler-options.ts';
import { SwapSpace } from './scheduler-swap.ts';
import { type Finish, Sequence } from './sequence.ts';
import { SequenceQueue } from './sequence-queue.ts';
import type { GenerateRequest, TokenEvent } from './types.ts';

const NOTHING_CACHED: PrefixMatch = { blocks: [], tail: '' };
const NO_TOKEN: TokenEvent = { tokenId: -1, logprobs: null, finishReason: null, stopTokenId: null };
const ABORTED: TokenEvent = { ...NO_TOKEN, finishReason: 'abort' };

/** Continuous batching over a paged KV cache. Throws: RangeError for options that contradict each other. */
export class Scheduler {
  /** The options with the clipping applied: what buffers must be sized for. */
  readonly options: SchedulerOptions;
  private readonly pool: BlockPool;
  private readonly prefixes: PrefixCache | null;
  private readonly eosTokenIds: ReadonlySet<number>;
  private readonly swap: SwapSpace;
  private readonly delay: AdmissionDelay;
  /** Everything not finished, by request id. */
  private readonly live = new Map<string, Sequence>();
  /** Both queues are in the order of the policy: the first one runs first and is preempted last. */
  private readonly waiting: SequenceQueue;
  private readonly running: SequenceQueue;
  /** Oldest first. */
  private readonly inFlight: StepPlan[] = [];
  /** Whether the newest step in flight scores a prompt. */
  private isScoring = false;
  /** Slots of no running sequence. */
  private readonly freeSlots: number[] = [];
  private numArrivals = 0;
  private numPreemptions = 0;
  private numSteps = 0;
  private promptTokens = 0;
  private generationTokens = 0;

  constructor(options: SchedulerOptions) {
    this.options = resolveSchedulerOptions(options);
    this.pool = new BlockPool(options.numBlocks, options.blockSize);
    this.prefixes = options.enablePrefixCaching ? new PrefixCache(options.blockSize) : null;
    this.eosTokenIds = new Set(options.eosTokenIds);
    this.swap = new SwapSpace(options.swapBlocks ?? 0, options.blockSize);
    this.delay = new AdmissionDelay(options.delayFactor ?? 0);
    this.waiting = new SequenceQueue(options.policy);
    this.running = new SequenceQueue(options.policy);
    for (let slot = this.options.maxNumSeqs - 1; slot >= 0; slot--) this.freeSlots.push(slot);
  }

  get hasWork(): boolean {
    return this.live.size > 0;
  }

  /** Plans that have not been committed. */
  get numInFlight(): number {
    return this.inFlight.length;
  }

  /**
   * Whether {@link plan} may be called now: always without a step in flight; otherwise not while one scores a prompt (it takes several
   * submits, with the room that others need), and not while they sample more tokens of a sequence than may be unknown when its next is planned.
   */
  get canPlan(): boolean {
    if (this.inFlight.length === 0) return true;
    if (this.isScoring) return false;
    for (const sequence of this.running.items) if (sequence.isAwaited) return false;
    return true;
  }

  get stats(): SchedulerStats {
    return {
      numRunning: this.running.length,
      numWaiting: this.waiting.length,
      numBlocks: this.pool.numBlocks,
      numFreeBlocks: this.pool.numFree,
      numPreemptions: this.numPreemptions,
      numSteps: this.numSteps,
      promptTokens: this.promptTokens,
      generationTokens: this.generationTokens,
      prefixQueryTokens: this.prefixes?.numQueriedTokens ?? 0,
      prefixHitTokens: this.prefixes?.numHitTokens ?? 0,
    };
  }

  /**
   * Queues a request at a time in milliseconds, which counts where admissions are delayed. `maxTokens` is clipped so that prompt and output fit into `maxModelLen`.
   * Throws: EngineError 'invalid-request' when it can never run.
   * Mutates: the queue.
   */
  add(request: GenerateRequest, nowMs = 0): void {
    if (this.live.has(request.id)) throw invalidRequest(`request ${request.id} is in progress already`);
    assertRequestFits(request, this.options);
    const sequence = new Sequence(request, {
      arrival: this.numArrivals,
      arrivalMs: nowMs,
      maxTokens: Math.min(request.params.maxTokens, this.options.maxModelLen - request.promptTokenIds.length),
      seed: drawSeed(this.options.seed, this.numArrivals),
      maxUnknownTokens: this.options.maxUnknownTokens?.(request.params) ?? 0,
    });
    this.numArrivals++;
    this.live.set(sequence.id, sequence);
    this.waiting.insert(sequence);
  }

  /**
   * Ends a request now and gives its last event, once; null when no such request is in progress.
   * Safe while steps are in flight: what they bring for it is dropped.
   * Mutates: queues and blocks; its id may be used again at once.
   */
  abort(requestId: string): SequenceEvent | null {
    const sequence = this.live.get(requestId);
    if (sequence === undefined) return null;
    this.leave(sequence);
    return { requestId, event: ABORTED };
  }

  /**
   * Decides the next step at a time in milliseconds and takes the blocks that it needs. Where there is work and no step in flight there is at least one entry.
   * Throws: Error unless {@link canPlan}.
   * Mutates: queues, blocks and how far sequences are computed; tokens not before `commit`.
   */
  plan(nowMs = 0): StepPlan {
    if (!this.canPlan) throw new Error('the step before has not been committed');
    const { maxNumBatchedTokens, maxNumSeqs, enableChunkedPrefill } = this.options;
    const decodes: StepEntry[] = [];
    const prefills: StepEntry[] = [];
    const preempted: string[] = [];
    const toSave: BlockMove[] = [];
    const toRestore: BlockMove[] = [];
    let budget = maxNumBatchedTokens;
    let numSamples = 0;
    let scores = false;
    const schedule = (sequence: Sequence, numTokens: number) => {
      const remaining = sequence.numRemaining;
      const start = sequence.numComputedTokens;
      const samples = numTokens === remaining;
      (remaining === 1 ? decodes : prefills).push({ sequence, start, numTokens, samples });
      sequence.numComputedTokens = start + numTokens;
      budget -= numTokens;
      if (sequence.numRowsToScoreIn(start, numTokens) > 0) scores = true;
      if (!samples) return;
      sequence.numPending++;
      numSamples++;
    };

    // The queue is in order of rank and shrinks from its end: whoever is preempted here has not been scheduled yet.
    for (const sequence of this.running.items) {
      if (sequence.numRemaining > 1 || sequence.isPlannedOut) continue;
      if (this.growOrPreempt(sequence, preempted, toSave)) schedule(sequence, 1);
    }
    for (const sequence of this.running.items) {
      if (sequence.numRemaining > 1 && budget > 0) schedule(sequence, Math.min(sequence.numRemaining, budget));
    }
    const isDue = this.delay.admits(nowMs, this.waiting.items, this.running.length);
    // Who has just been preempted is the first to wait; taking it back in the same step would be thrashing.
    while (isDue && preempted.length === 0 && budget > 0 && this.running.length < maxNumSeqs) {
      const [sequence] = this.waiting.items;
      if (sequence === undefined || sequence.numPending > 0 || sequence.saved?.isThere === false) break;
      if (!enableChunkedPrefill && sequence.numRemaining > budget) break;
      if (!this.tryAdmit(sequence, toRestore)) break;
      schedule(sequence, Math.min(sequence.numRemaining, budget));
    }

    const entries = prefills.length === 0 ? decodes : decodes.concat(prefills);
    const numTokens = maxNumBatchedTokens - budget;
    const plan: StepPlan = { entries, numDecodes: decodes.length, numTokens, numSamples, preempted, toSave, toRestore };
    this.delay.planned(prefills.length > 0);
    if (entries.length === 0) {
      // There is no step before which anything could be copied.
      for (const { sequence } of toSave) this.swap.drop(sequence);
      toSave.length = 0;
    } else {
      this.inFlight.push(plan);
      this.isScoring = scores;
    }
    return plan;
  }

  /**
   * Takes the results of the oldest step in flight, see {@link StepResult}.
   * Throws: Error for another plan or a wrong number of results; nothing has changed then.
   * Mutates: sequences, queues and blocks.
   */
  commit(plan: StepPlan, sampled: StepResult['sampled'], scored: StepResult['scored'] = []): CommitResult {
    if (plan.entries.length === 0) return { events: [], finished: [] };
    if (plan !== this.inFlight[0]) throw new Error('this plan is not in flight, or not the oldest');
    if (sampled.length !== plan.numSamples) throw new Error(`${sampled.length} results for ${plan.numSamples} samples`);
    this.inFlight.shift();
    this.numSteps++;
    for (const { sequence } of plan.toSave) if (sequence.saved) sequence.saved.isThere = true;
    const events: SequenceEvent[] = [];
    const finished: Sequence[] = [];
    let sampleIndex = 0;
    let scoreIndex = 0;
    for (const { sequence, start, numTokens, samples } of plan.entries) {
      const result = samples ? sampled[sampleIndex++] : undefined;
      const numScores = sequence.numRowsToScoreIn(start, numTokens);
      const promptLogprobs = numScores > 0 ? scored[scoreIndex++] : undefined;
      if (sequence.status === 'finished') continue;
      sequence.numScoredRows += numScores;
      if (promptLogprobs !== undefined) events.push({ requestId: sequence.id, event: { ...NO_TOKEN, promptLogprobs } });
      const finish = result === undefined ? null : this.append(sequence, result.tokenId);
      this.prefixes?.index(sequence);
      if (result === undefined) continue;
      events.push({ requestId: sequence.id, event: tokenEvent(result, finish) });
      if (finish === null) continue;
      this.leave(sequence);
      finished.push(sequence);
    }
    return { events, finished };
  }

  /** Checks queues, block tables and pool against each other. Throws: Error that names the first fault. */
  assertInvariants(): void {
    const { pool, live, waiting, running, inFlight, swap } = this;
    const { maxNumSeqs } = this.options;
    assertSchedulerInvariants({ pool, live, waiting, running, inFlight, swap, maxNumSeqs });
  }

  /**
   * Moves the first waiting sequence to the running ones, with blocks for all tokens that it has now: a prompt in
   * chunks never waits for blocks half-way.
   * Watermark: beside others it is taken only if a block stays free for each sequence, itself included, that may still
   * need one. So no admission leads to a preemption within the next `blockSize` steps.
   */
  private tryAdmit(sequence: Sequence, toRestore: BlockMove[]): boolean {
    const needed = this.pool.blocksFor(sequence.numTokens);
    let reserve = 0;
    if (this.running.length > 0) {
      for (const other of this.running.items) reserve += this.mayGrow(other, other.blockTable.length) ? 1 : 0;
      reserve += this.mayGrow(sequence, needed) ? 1 : 0;
    }
    const { saved } = sequence;
    const cached = (saved === null ? this.prefixes?.match(sequence) : null) ?? NOTHING_CACHED;
    let numShared = 0;
    for (const block of cached.blocks) numShared += this.pool.refCount(block) > 0 ? 1 : 0;
    if (needed - numShared + reserve > this.pool.numFree) return false;
    this.attach(sequence, cached);
    if (!this.tryGrow(sequence)) throw new Error(`${sequence.id} was admitted without room`);
    if (saved !== null) {
      toRestore.push({ sequence, blocks: sequence.blockTable.slice(0, saved.numBlocks) });
      sequence.numComputedTokens = saved.numTokens;
      this.swap.drop(sequence);
    }
    this.waiting.shift();
    sequence.status = 'running';
    sequence.slot = this.freeSlots.pop() as number;
    this.running.insert(sequence);
    return true;
  }

  /** Gives a sequence the cached beginning: these tokens are not computed again. */
  private attach(sequence: Sequence, cached: PrefixMatch): void {
    for (const block of cached.blocks) {
      this.pool.retain(block);
      sequence.blockTable.push(block);
    }
    sequence.numComputedTokens = cached.blocks.length * this.options.blockSize;
    sequence.numCachedTokens = sequence.numComputedTokens;
    sequence.numIndexedBlocks = cached.blocks.length;
    sequence.prefixTail = cached.tail;
    this.prefixes?.countAdmission(sequence, cached.blocks.length);
  }

  /** Gives a decode its block, at the cost of the last in rank; false when that was the sequence itself. */
  private growOrPreempt(sequence: Sequence, preempted: string[], toSave: BlockMove[]): boolean {
    while (!this.tryGrow(sequence)) {
      const victim = this.running.pop();
      if (victim === undefined) throw new Error(`no blocks for ${sequence.id} alone`);
      const blocks = this.swap.trySave(victim);
      if (blocks !== null) toSave.push({ sequence: victim, blocks });
      this.release(victim);
      victim.status = 'waiting';
      this.waiting.insert(victim);
      this.numPreemptions++;
      preempted.push(victim.id);
      if (victim === sequence) return false;
    }
    return true;
  }

  /** Extends the block table to all tokens that the sequence has now. */
  private tryGrow(sequence: Sequence): boolean {
    const missing = this.pool.blocksFor(sequence.numPlannedTokens) - sequence.blockTable.length;
    if (missing <= 0) return true;
    const allocation = this.pool.tryAllocate(missing);
    if (!allocation.ok) return false;
    this.prefixes?.evict(allocation.blocks);
    for (const block of allocation.blocks) sequence.blockTable.push(block);
    return true;
  }

  private mayGrow(sequence: Sequence, numBlocks: number): boolean {
    return this.pool.blocksFor(sequence.maxCachedTokens) > numBlocks;
  }

  private leave(sequence: Sequence): void {
    this.live.delete(sequence.id);
    (sequence.status === 'running' ? this.running : this.waiting).remove(sequence);
    sequence.status = 'finished';
    this.swap.drop(sequence);
    this.release(sequence);
  }

  private release(sequence: Sequence): void {
    if (sequence.slot >= 0) this.freeSlots.push(sequence.slot);
    sequence.slot = -1;
    this.pool.free(sequence.blockTable);
    sequence.blockTable.length = 0;
    sequence.numComputedTokens = 0;
    sequence.numIndexedBlocks = 0;
    sequence.prefixTail = '';
  }

  private append(sequence: Sequence, tokenId: number): Finish | null {
    if (sequence.outputIds.length === 0) this.promptTokens += sequence.promptIds.length;
    this.generationTokens++;
    return sequence.append(tokenId, this.eosTokenIds);
  }
}

function tokenEvent({ tokenId, logprobs }: SampledToken, finish: Finish | null): TokenEvent {
  return { tokenId, logprobs, finishReason: finish?.reason ?? null, stopTokenId: finish?.stopTokenId ?? null };
}
