/**
 * What the scheduler decides and gives back: the plan of one step, and the events that its results make.
 *
 * Owns only types. A plan says "sequence -> number of tokens"; prefill, a chunk of it, decode, recompute after
 * preemption and later prefix hits or speculative tokens are all that one statement.
 * Next: `scheduler.ts` (makes plans), `batch.ts` (flattens them).
 */

import type { Sequence } from './sequence.ts';
import type { PromptLogprobs, TokenEvent, TokenLogprobs } from './types.ts';

/** The part of one sequence that a step computes: tokens `start` to `start + numTokens - 1`. */
export interface StepEntry {
  readonly sequence: Sequence;
  /** Position of the first token. */
  readonly start: number;
  readonly numTokens: number;
  /** True when the last of these tokens is the sequence's newest: its logits choose the next token, at position `start + numTokens`. */
  readonly samples: boolean;
}

/** Blocks of a sequence that go to host memory or come back, in order of position. */
export interface BlockMove {
  readonly sequence: Sequence;
  readonly blocks: readonly number[];
}

/** One step. An empty plan (no entries) needs no run and no commit. Its arrays must be built before the scheduler is called again. */
export interface StepPlan {
  /** Decode entries first: one token each, all sampling; prefill entries after them. A sequence occurs at most once. */
  readonly entries: readonly StepEntry[];
  readonly numDecodes: number;
  readonly numTokens: number;
  readonly numSamples: number;
  /** Ids of the sequences that lost their blocks while this was planned; their blocks are saved, or they are computed again later. */
  readonly preempted: readonly string[];
  /** To be copied to host memory before this step writes anything. */
  readonly toSave: readonly BlockMove[];
  /** To be filled, before this step, with what was saved of their sequences. */
  readonly toRestore: readonly BlockMove[];
}

/** What sampling gave for one entry. */
export interface SampledToken {
  readonly tokenId: number;
  readonly logprobs: TokenLogprobs | null;
}

/** What running a plan gave. */
export interface StepResult {
  /** One for each entry that samples, in their order. */
  readonly sampled: ArrayLike<SampledToken>;
  /** One list for each entry with rows to score (`Sequence.numRowsToScoreIn`), in their order; empty in most steps. */
  readonly scored: readonly (readonly PromptLogprobs[])[];
}

/** An event and the request that it belongs to. */
export interface SequenceEvent {
  readonly requestId: string;
  readonly event: TokenEvent;
}

/** What a committed step changed. */
export interface CommitResult {
  /** In the order of the plan's entries; of a sequence at most one token, after what was learnt of its prompt. */
  readonly events: readonly SequenceEvent[];
  /** The sequences that ended with this step, each once; those aborted are not among them. */
  readonly finished: readonly Sequence[];
}

/** Gauges and counters of the scheduler. Counters only grow. */
export interface SchedulerStats {
  readonly numRunning: number;
  readonly numWaiting: number;
  readonly numBlocks: number;
  readonly numFreeBlocks: number;
  readonly numPreemptions: number;
  /** Committed steps. */
  readonly numSteps: number;
  /** Prompt tokens of the sequences that have a first token; recomputing counts nothing. */
  readonly promptTokens: number;
  readonly generationTokens: number;
  /** Tokens of admitted sequences, and how many of them were found in the prefix cache. */
  readonly prefixQueryTokens: number;
  readonly prefixHitTokens: number;
}
