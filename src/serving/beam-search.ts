/**
 * Beam search as a driver over the engine: each step asks for one more token of every beam, as a request of its own.
 *
 * The beams share their beginnings in the engine's prefix cache, so that a step costs little more than a decode. Nothing is given out
 * before the search has ended. Next: `beam-state.ts` (the rules), `generation.ts` (who reads the streams).
 */
import { randomUUID } from 'node:crypto';
import {
  type Engine,
  type GenerateRequest,
  maxTopLogprobs,
  type TokenEvent,
  type TokenStream,
} from '../engine/types.ts';
import { type BeamRules, BeamState, type Hypothesis, numCandidates } from './beam-state.ts';

/** What one search looks for. */
export interface BeamOptions extends BeamRules {
  /** Those of the tokens that end a hypothesis which the request named: the answer says so. */
  readonly stopTokenIds: readonly number[];
}

/** Twice as many candidates are looked at in each step. */
export const maxBeams = maxTopLogprobs / 2;

/** One search in progress. Starts at construction; gives one stream per hypothesis. */
export class BeamSearch {
  private readonly result: Promise<readonly Hypothesis[]>;
  private readonly asked = new Set<string>();
  private promptEvents: readonly TokenEvent[] = [];
  private numStreams = 0;
  private isAborted = false;

  /** Throws: EngineError when the engine does not take the first request. */
  constructor(
    private readonly engine: Engine,
    private readonly request: GenerateRequest,
    private readonly options: BeamOptions,
  ) {
    const first = this.ask([]);
    this.result = this.run(first);
    // Every stream reports it; without a stream there is nobody to tell.
    this.result.catch(() => {});
  }

  /** The next best hypothesis' tokens, once the search has ended; an `abort` event where there is none. */
  nextStream(): TokenStream {
    return this.stream(this.numStreams++);
  }

  /** Ends the search; all streams end with `abort`. Harmless when it is over. */
  readonly abort = (): void => {
    this.isAborted = true;
    for (const id of this.asked) this.engine.abort(id);
  };

  private async *stream(index: number): AsyncGenerator<readonly TokenEvent[], undefined, undefined> {
    const found = (await this.result)[index];
    const aborted: TokenEvent = { tokenId: -1, logprobs: null, finishReason: 'abort', stopTokenId: null };
    const tokens = found === undefined || this.isAborted ? [aborted] : found.tokens.map((event) => this.named(event));
    yield [...this.promptEvents, ...tokens];
    return undefined;
  }

  private named(event: TokenEvent): TokenEvent {
    const isNamed = event.finishReason === 'stop' && this.options.stopTokenIds.includes(event.tokenId);
    return isNamed ? { ...event, stopTokenId: event.tokenId } : event;
  }

  private async run(first: Promise<readonly TokenEvent[]>): Promise<readonly Hypothesis[]> {
    const state = new BeamState(this.options);
    try {
      let answers = [await first];
      this.promptEvents = (answers[0] ?? []).filter((event) => event.tokenId < 0 && event.finishReason === null);
      for (;;) {
        const tokens = answers.map((events) => events.find((event) => event.logprobs !== null));
        // The engine gave one up: so must the search.
        if (this.isAborted || tokens.includes(undefined)) {
          this.abort();
          return [];
        }
        state.advance(tokens.map((event) => event?.logprobs?.top ?? []));
        if (state.isDone) return state.finished;
        answers = await Promise.all(state.running.map((beam) => this.ask(beam.tokens)));
      }
    } catch (error) {
      this.abort();
      throw error;
    }
  }

  /** The events of one more token after `tokens`. Throws: EngineError at once when it is not taken. */
  private ask(tokens: readonly TokenEvent[]): Promise<readonly TokenEvent[]> {
    const { request, options } = this;
    const id = randomUUID();
    const isFirst = tokens.length === 0;
    const stream = this.engine.generate({
      ...request,
      id,
      promptTokenIds: isFirst ? request.promptTokenIds : joined(request.promptTokenIds, tokens),
      params: {
        ...request.params,
        temperature: 0,
        extras: null,
        maxTokens: 1,
        minTokens: 0,
        stopTokenIds: [],
        // An end is for the search to see, not for the engine.
        ignoreEos: true,
        numLogprobs: Math.min(maxTopLogprobs, numCandidates(options.numBeams, options.endTokenIds.size)),
        numPromptLogprobs: isFirst ? request.params.numPromptLogprobs : null,
      },
    });
    this.asked.add(id);
    const answer = this.read(id, stream);
    // When the next request is refused, nobody waits for this one any more.
    answer.catch(() => {});
    return answer;
  }

  private async read(id: string, stream: TokenStream): Promise<readonly TokenEvent[]> {
    const all: TokenEvent[] = [];
    try {
      for await (const events of stream) all.push(...events);
    } finally {
      this.asked.delete(id);
    }
    return all;
  }
}

function joined(prompt: GenerateRequest['promptTokenIds'], tokens: readonly TokenEvent[]): Uint32Array {
  const ids = new Uint32Array(prompt.length + tokens.length);
  ids.set(prompt);
  tokens.forEach((event, i) => {
    ids[prompt.length + i] = event.tokenId;
  });
  return ids;
}
