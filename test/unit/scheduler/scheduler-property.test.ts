/**
 * Random arrivals, lengths and aborts against pools so small that they preempt, over 10,000 steps for each number of steps in flight.
 * Every seed is a test of its own: a failure names it, and it repeats exactly.
 */

import { describe, expect, test } from 'bun:test';
import { StepBatch } from '../../../src/engine/batch.ts';
import type { SampledToken, SequenceEvent, StepPlan } from '../../../src/engine/plan.ts';
import { Scheduler } from '../../../src/engine/scheduler.ts';
import type { SchedulerOptions } from '../../../src/engine/scheduler-options.ts';
import type { FinishReason, GenerateRequest, SamplingParams } from '../../../src/engine/types.ts';
import { EOS, request, VOCAB_SIZE } from './fixtures.ts';
import { chosenToken, generatedAlone, PagedModel } from './paged-model.ts';

const NUM_SEEDS = 24;
const STEPS_PER_SEED = 420;

/** Source: mulberry32. */
function generator(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  };
}

interface Tracked {
  readonly request: GenerateRequest;
  readonly received: number[];
  finishReason: FinishReason | null;
  /** Step in which its first token was planned. */
  firstStep: number | null;
}

function maxUnknownTokens({ presencePenalty, frequencyPenalty }: SamplingParams): number {
  return presencePenalty > 0 ? 0 : frequencyPenalty > 0 ? 1 : Number.POSITIVE_INFINITY;
}

class Simulation {
  readonly random: (limit: number) => number;
  readonly options: SchedulerOptions;
  readonly scheduler: Scheduler;
  readonly batch: StepBatch;
  readonly model: PagedModel;
  /** In order of arrival. */
  readonly requests: Tracked[] = [];
  private readonly live = new Map<string, Tracked>();
  /** Plans that have run, with what they sampled. Oldest first. */
  private readonly inFlight: { readonly plan: StepPlan; readonly sampled: readonly SampledToken[] }[] = [];
  private numSteps = 0;
  private nowMs = 0;
  numRestored = 0;
  /** Steps that were planned while another was in flight. */
  numAhead = 0;

  constructor(
    seed: number,
    private readonly depth: number,
  ) {
    this.random = generator(seed);
    const blockSize = [1, 2, 4, 8][this.random(4)] ?? 1;
    const maxModelLen = 8 + this.random(56);
    const numBlocks = Math.ceil(maxModelLen / blockSize) + this.random(2 + Math.ceil(48 / blockSize));
    this.scheduler = new Scheduler({
      numBlocks,
      blockSize,
      maxModelLen,
      maxNumSeqs: 1 + this.random(12),
      maxNumBatchedTokens: 1 + this.random(40),
      enableChunkedPrefill: seed % 3 !== 0,
      enablePrefixCaching: seed % 2 === 0,
      policy: seed % 4 === 3 ? 'priority' : 'fcfs',
      vocabSize: VOCAB_SIZE,
      eosTokenIds: [EOS],
      seed,
      swapBlocks: seed % 3 === 1 ? this.random(2 * numBlocks) : 0,
      delayFactor: seed % 5 === 0 ? 2 : 0,
      maxUnknownTokens,
    });
    this.options = this.scheduler.options;
    this.batch = new StepBatch(blockSize);
    this.model = new PagedModel(numBlocks, blockSize);
  }

  get isBusy(): boolean {
    return this.scheduler.hasWork || this.inFlight.length > 0;
  }

  arrive(): void {
    const { maxModelLen } = this.options;
    const numPromptTokens = 1 + this.random(this.random(3) === 0 ? maxModelLen - 1 : Math.min(12, maxModelLen - 1));
    // Two in three prompts begin like others, so that cached prefixes are found.
    const common = this.random(3);
    const prompt = Array.from({ length: numPromptTokens }, (_, i) =>
      common > 0 && i < numPromptTokens - this.random(4) ? (i * 7 + common) % VOCAB_SIZE : this.random(VOCAB_SIZE),
    );
    const params = {
      maxTokens: 1 + this.random(maxModelLen),
      minTokens: this.random(6),
      ignoreEos: this.random(2) === 0,
      stopTokenIds: this.random(2) === 0 ? [this.random(VOCAB_SIZE)] : [],
      presencePenalty: this.random(24) === 0 ? 1 : 0,
      frequencyPenalty: this.requests.length % 16 === 5 ? 1 : 0,
    };
    const one = request(`r${this.requests.length}`, prompt, params, this.random(3));
    const tracked: Tracked = { request: one, received: [], finishReason: null, firstStep: null };
    this.scheduler.add(one, this.nowMs);
    this.requests.push(tracked);
    this.live.set(one.id, tracked);
  }

  abortOne(): void {
    const ids = [...this.live.keys()];
    const id = ids[this.random(ids.length)];
    if (id === undefined) return;
    const event = this.scheduler.abort(id);
    if (event === null) throw new Error(`${id} could not be aborted`);
    this.receive(event);
    expect(this.scheduler.abort(id)).toBeNull();
    this.scheduler.assertInvariants();
  }

  /** Plans until enough steps are in flight, then takes the results of the oldest; `mayAbort`: also in between. */
  step(mayAbort: boolean): void {
    if (mayAbort && this.random(20) === 0) this.abortOne();
    const depth = this.random(8) === 0 ? 1 : this.depth;
    while (this.inFlight.length < depth && this.scheduler.canPlan) {
      if (!this.plan()) break;
      if (mayAbort && this.random(15) === 0) this.abortOne();
    }
    const oldest = this.inFlight.shift();
    if (oldest === undefined) return;
    for (const event of this.scheduler.commit(oldest.plan, oldest.sampled).events) this.receive(event);
    this.scheduler.assertInvariants();
    this.numSteps++;
  }

  /** Plans and runs a step; false when there is nothing to do. */
  private plan(): boolean {
    this.nowMs += this.random(4);
    const plan = this.scheduler.plan(this.nowMs);
    this.scheduler.assertInvariants();
    this.checkPlan(plan);
    if (plan.entries.length === 0) return false;
    const { sampleSlots, samplePositions } = this.batch.build(plan);
    this.model.move(plan);
    const hashes = this.model.run(this.batch);
    const sampling = plan.entries.filter((entry) => entry.samples);
    const sampled = sampling.map(({ sequence }, i) => {
      const numOutputs = (samplePositions[i] ?? 0) - sequence.promptIds.length;
      if (numOutputs > sequence.outputIds.length + sequence.maxUnknownTokens)
        throw new Error(`${sequence.id} was planned ahead`);
      const tokenId = chosenToken(hashes[i] ?? -1, sequence.params, numOutputs);
      this.model.keep(sampleSlots[i] ?? -1, tokenId);
      return { tokenId, logprobs: null };
    });
    this.numRestored += plan.toRestore.length;
    if (this.inFlight.length > 0) this.numAhead++;
    this.inFlight.push({ plan, sampled });
    return true;
  }

  private receive({ requestId, event }: SequenceEvent): void {
    const tracked = this.live.get(requestId);
    if (tracked === undefined) throw new Error(`an event for ${requestId}, which has ended`);
    if (event.tokenId >= 0) tracked.received.push(event.tokenId);
    tracked.finishReason = event.finishReason;
    if (event.finishReason !== null) this.live.delete(requestId);
  }

  private checkPlan(plan: StepPlan): void {
    const { maxNumBatchedTokens, maxNumSeqs, policy, enableChunkedPrefill } = this.options;
    const numTokens = plan.entries.reduce((sum, entry) => sum + entry.numTokens, 0);
    expect(plan.numTokens).toBe(numTokens);
    expect(numTokens).toBeLessThanOrEqual(maxNumBatchedTokens);
    expect(plan.entries.length).toBeLessThanOrEqual(maxNumSeqs);
    if (this.inFlight.length === 0) expect(plan.entries.length > 0).toBe(this.live.size > 0);
    const ids = new Set(plan.entries.map(({ sequence }) => sequence.id));
    expect(ids.size).toBe(plan.entries.length);
    for (const [i, { sequence, start, numTokens: length, samples }] of plan.entries.entries()) {
      if (length < 1 || start + length !== sequence.numComputedTokens)
        throw new Error(`${sequence.id} starts at ${start}`);
      // The tokens before it, known or not; what it samples is counted already.
      const numTokensBefore = sequence.numPlannedTokens - (samples ? 1 : 0);
      expect(samples).toBe(start + length === numTokensBefore);
      expect(length === 1 && samples).toBe(i < plan.numDecodes);
      if (!enableChunkedPrefill) expect(samples).toBe(true);
      const tracked = this.live.get(sequence.id);
      if (tracked !== undefined) tracked.firstStep ??= this.numSteps;
    }
    for (const id of plan.preempted) if (ids.has(id)) throw new Error(`${id} is preempted and planned`);
    // No starvation: the oldest request is in every step, so each waits at most for the tokens of those before it.
    const [oldest] = this.live.keys();
    if (policy === 'fcfs' && oldest !== undefined && this.inFlight.length === 0) expect(ids.has(oldest)).toBe(true);
  }

  checkEnd(): void {
    expect(this.live.size).toBe(0);
    expect(this.scheduler.hasWork).toBe(false);
    expect(this.scheduler.stats).toMatchObject({ numFreeBlocks: this.options.numBlocks, numRunning: 0, numWaiting: 0 });
    let lastFirstStep = 0;
    for (const { request: one, received, finishReason, firstStep } of this.requests) {
      const alone = generatedAlone(one.promptTokenIds, one.params, this.options.maxModelLen);
      const isAborted = finishReason === 'abort';
      expect(received).toEqual(isAborted ? alone.slice(0, received.length) : alone);
      if (this.options.policy === 'priority' || firstStep === null) continue;
      expect(firstStep).toBeGreaterThanOrEqual(lastFirstStep);
      lastFirstStep = firstStep;
    }
  }
}

describe.each([1, 2, 3])('random traffic, %i steps in flight', (depth) => {
  let numSteps = 0;
  let numPreemptions = 0;
  let numAborted = 0;
  let numFinished = 0;
  let numHitTokens = 0;
  let numAhead = 0;
  let numRestored = 0;

  for (let seed = 1; seed <= NUM_SEEDS; seed++) {
    test(`seed ${seed}: every request gets what it would get alone`, () => {
      const simulation = new Simulation(seed + depth * NUM_SEEDS, depth);
      // The share of steps with an arrival decides between idle, busy and overloaded.
      const pressure = 2 + simulation.random(12);
      for (let i = 0; i < STEPS_PER_SEED; i++) {
        if (simulation.random(pressure) === 0) for (let n = simulation.random(4); n > 0; n--) simulation.arrive();
        simulation.step(true);
      }
      const remaining = simulation.requests.length * simulation.options.maxModelLen * 4;
      let drain = 0;
      for (; simulation.isBusy && drain < remaining; drain++) simulation.step(false);
      simulation.checkEnd();
      numSteps += STEPS_PER_SEED + drain;
      numAhead += simulation.numAhead;
      numRestored += simulation.numRestored;
      numPreemptions += simulation.scheduler.stats.numPreemptions;
      numHitTokens += simulation.scheduler.stats.prefixHitTokens;
      for (const { finishReason } of simulation.requests) finishReason === 'abort' ? numAborted++ : numFinished++;
    });
  }

  test('the traffic above was dense enough to mean something', () => {
    expect(numSteps).toBeGreaterThanOrEqual(10_000);
    expect(numPreemptions).toBeGreaterThan(250);
    expect(numRestored).toBeGreaterThan(50);
    expect(numAborted).toBeGreaterThan(100);
    expect(numFinished).toBeGreaterThan(250);
    expect(numHitTokens).toBeGreaterThan(2500);
    if (depth > 1) expect(numAhead).toBeGreaterThan(3000);
    else expect(numAhead).toBe(0);
  });
});
