/**
 * Runs the choices of one request on the engine and merges what they produce into one sequence of updates.
 *
 * Owns starting, aborting and the end of every engine request it started. Both folds of `from-engine.ts`, and anything else that
 * answers, read the same updates. Knows no wire format.
 */
import type { Engine, GenerateRequest, TokenStream } from '../engine/types.ts';
import { ChoiceDecoder, type ChoiceDecoderOptions, type ChoiceUpdate } from './choice-decoder.ts';

/** One sequence of a request and how its tokens become text. */
export interface ChoicePlan {
  /** Position in the answer: prompt index times n plus choice. */
  readonly index: number;
  readonly request: GenerateRequest;
  readonly decoding: ChoiceDecoderOptions;
}

export interface GenerationPlan {
  readonly choices: readonly ChoicePlan[];
  /** Each prompt counted once, however many choices it has. */
  readonly promptTokens: number;
}

/** Told what happens, for metrics. */
export interface GenerationObserver {
  /** Tokens of one choice arrived; `total` counts all of its tokens so far. */
  tokens(index: number, total: number): void;
  /** One choice ended. */
  choiceEnded(reason: 'stop' | 'length' | 'abort' | 'error', numTokens: number): void;
  /** The whole request ended, in whatever way. */
  ended(): void;
}

/** A request in progress. */
export class Generation {
  private readonly streams: TokenStream[] = [];
  private readonly unfinished = new Map<number, GenerateRequest>();
  private inbox: ChoiceUpdate[] = [];
  private failure: { readonly error: unknown } | null = null;
  private wake: () => void = () => {};

  /** Queues all choices at once. Throws: EngineError when the engine refuses one; none is left running then. */
  constructor(
    private readonly engine: Engine,
    private readonly plan: GenerationPlan,
    private readonly observer: GenerationObserver,
  ) {
    try {
      for (const choice of plan.choices) {
        this.streams.push(engine.generate(choice.request));
        this.unfinished.set(choice.index, choice.request);
      }
    } catch (error) {
      this.abort();
      for (const stream of this.streams) void stream.return?.();
      observer.ended();
      throw error;
    }
    for (const [position, choice] of plan.choices.entries()) {
      const stream = this.streams[position];
      if (stream !== undefined) void this.pump(choice, stream);
    }
  }

  get promptTokens(): number {
    return this.plan.promptTokens;
  }

  /** Ends what still runs; its choices finish with `abort`. Harmless when all is over. */
  abort(): void {
    for (const request of this.unfinished.values()) this.engine.abort(request.id);
  }

  /**
   * All updates, several at a time when they arrive faster than they are read. To be read once; leaving early aborts the rest.
   * Throws: EngineError when the engine gives a choice up.
   */
  async *updates(): AsyncGenerator<readonly ChoiceUpdate[], void, undefined> {
    try {
      for (;;) {
        if (this.inbox.length > 0) {
          const batch = this.inbox;
          this.inbox = [];
          yield batch;
        } else if (this.failure !== null) {
          throw this.failure.error;
        } else if (this.unfinished.size === 0) {
          return;
        } else {
          await new Promise<void>((resolve) => {
            this.wake = resolve;
          });
        }
      }
    } finally {
      this.abort();
    }
  }

  /** Decodes one choice as its tokens arrive, so that a stop string frees the engine at once. Never rejects. */
  private async pump(choice: ChoicePlan, stream: TokenStream): Promise<void> {
    const decoder = new ChoiceDecoder(choice.index, choice.decoding);
    let numTokens = 0;
    let reason: 'stop' | 'length' | 'abort' | 'error' = 'error';
    try {
      let last: ChoiceUpdate | null = null;
      for await (const events of stream) {
        last = this.deliver(decoder.push(events), numTokens);
        numTokens = last.numTokens;
        // After a stop string the engine does not know yet that the sequence is over: leaving the loop aborts it.
        if (last.finish !== null) break;
      }
      if (last === null || last.finish === null) last = this.deliver(decoder.endAborted(), numTokens);
      reason = last.finish?.reason ?? 'abort';
    } catch (error) {
      this.failure ??= { error };
    }
    this.unfinished.delete(choice.index);
    this.observer.choiceEnded(reason, numTokens);
    if (this.failure !== null) this.abort();
    if (this.unfinished.size === 0) this.observer.ended();
    this.wake();
  }

  private deliver(update: ChoiceUpdate, tokensBefore: number): ChoiceUpdate {
    if (update.numTokens > tokensBefore) this.observer.tokens(update.index, update.numTokens);
    this.inbox.push(update);
    this.wake();
    return update;
  }
}
