/**
 * One response from its first event to its last: updates of a generation -> typed events, and the response as it stands.
 *
 * The same run answers whole (its events are read and dropped), streamed, and in the background. Knows no HTTP.
 * Next: `response-format.ts`, `store.ts`; `routes/openai/responses.ts` reads the events.
 */
import type { ChoiceFinish, ChoiceUpdate, ScoredPosition } from '../choice-decoder.ts';
import { toApiError } from '../errors.ts';
import {
  isFinal,
  outputMessage,
  outputText,
  type ResponseHead,
  type ResponseProgress,
  responseObject,
  wireLogprobs,
} from './response-format.ts';

/** One event of a stream; the other fields depend on the type. */
export interface ResponseEvent {
  readonly type: string;
  /** Counts from 0 within a response. */
  readonly sequence_number: number;
  readonly [field: string]: unknown;
}

/** The part of a generation that a run needs. */
export interface UpdateSource {
  updates(): AsyncIterable<readonly ChoiceUpdate[]>;
  abort(): void;
}

export interface ResponseRunOptions {
  /** Units: seconds since 1970. */
  now(): number;
  /** The response has its last status. Called once. */
  onSettled(): void;
}

/** A response in progress, then the finished one. */
export class ResponseRun {
  private readonly progress: ResponseProgress;
  /** Log probabilities of text that is held back. */
  private waiting: ScoredPosition[] = [];
  private sequenceNumber = 0;
  private thrown: { readonly error: unknown } | null = null;

  constructor(
    readonly head: ResponseHead,
    private readonly source: UpdateSource,
    private readonly options: ResponseRunOptions,
  ) {
    this.progress = {
      status: head.body.background === true ? 'queued' : 'in_progress',
      hasOutput: false,
      text: '',
      logprobs: [],
      numTokens: 0,
      error: null,
      completedAt: null,
    };
  }

  get status(): ResponseProgress['status'] {
    return this.progress.status;
  }

  /** What the engine threw, for the caller to report or to answer with. */
  get failure(): { readonly error: unknown } | null {
    return this.thrown;
  }

  /** The response as it stands. */
  object(): Record<string, unknown> {
    return responseObject(this.head, this.progress);
  }

  /** Gives the response up: its status says so at once, its events end soon after. Harmless when it is over. */
  cancel(): void {
    if (isFinal(this.progress.status)) return;
    this.progress.status = 'cancelled';
    this.source.abort();
  }

  /** All events, in batches that arrived together; to be read once. Leaving early cancels the response. Never throws. */
  async *events(): AsyncGenerator<readonly ResponseEvent[], void, undefined> {
    const { progress } = this;
    let finish: ChoiceFinish | null = null;
    try {
      yield [this.snapshot('response.created'), this.snapshot(`response.${progress.status}`)];
      for await (const updates of this.source.updates()) {
        const events = this.open();
        for (const update of updates) {
          events.push(...this.delta(update));
          finish = update.finish ?? finish;
        }
        if (finish !== null) events.push(...this.end(finish));
        yield events;
        if (finish !== null) break;
      }
    } catch (error) {
      this.thrown = { error };
      if (progress.status !== 'cancelled') this.fail(toApiError(error).message);
      yield [this.snapshot(this.endEvent())];
    } finally {
      if (!isFinal(progress.status)) progress.status = 'cancelled';
      this.options.onSettled();
    }
  }

  /** The events before the first text. */
  private open(): ResponseEvent[] {
    if (this.progress.hasOutput) return [];
    const events: ResponseEvent[] = [];
    if (this.progress.status === 'queued') {
      this.progress.status = 'in_progress';
      events.push(this.snapshot('response.in_progress'));
    }
    events.push(
      this.event('response.output_item.added', {
        output_index: 0,
        item: { ...outputMessage(this.head, this.progress), content: [] },
      }),
      this.event('response.content_part.added', { ...this.place(), part: outputText(this.head, this.progress) }),
    );
    this.progress.hasOutput = true;
    return events;
  }

  private delta(update: ChoiceUpdate): ResponseEvent[] {
    const { progress } = this;
    progress.numTokens = update.numTokens;
    progress.text += update.text;
    if (this.head.wantsLogprobs) {
      progress.logprobs.push(...update.logprobs);
      this.waiting.push(...update.logprobs);
    }
    const isLate = update.finish !== null && this.waiting.length > 0;
    if (update.text === '' && !isLate) return [];
    const logprobs = wireLogprobs(this.waiting);
    this.waiting = [];
    return [this.event('response.output_text.delta', { ...this.place(), delta: update.text, logprobs })];
  }

  /** The events after the last text. Mutates: the status. */
  private end(finish: ChoiceFinish): ResponseEvent[] {
    const { head, progress } = this;
    if (progress.status !== 'cancelled') this.settle(finish.reason);
    const part = outputText(head, progress);
    const logprobs = wireLogprobs(progress.logprobs);
    return [
      this.event('response.output_text.done', { ...this.place(), text: progress.text, logprobs }),
      this.event('response.content_part.done', { ...this.place(), part }),
      this.event('response.output_item.done', { output_index: 0, item: outputMessage(head, progress) }),
      this.snapshot(this.endEvent()),
    ];
  }

  private settle(reason: ChoiceFinish['reason']): void {
    const { progress } = this;
    if (reason === 'stop') {
      progress.status = 'completed';
      progress.completedAt = this.options.now();
    } else if (reason === 'length') progress.status = 'incomplete';
    else this.fail('The server ended the response before it was complete.');
  }

  /** There is no event of its own for a cancelled response: its status says so. */
  private endEvent(): string {
    const { status } = this.progress;
    return status === 'completed' || status === 'failed' ? `response.${status}` : 'response.incomplete';
  }

  private fail(message: string): void {
    this.progress.status = 'failed';
    this.progress.error = { code: 'server_error', message };
  }

  private place(): object {
    return { item_id: this.head.messageId, output_index: 0, content_index: 0 };
  }

  private snapshot(type: string): ResponseEvent {
    return this.event(type, { response: this.object() });
  }

  private event(type: string, fields: object): ResponseEvent {
    return { type, sequence_number: this.sequenceNumber++, ...fields };
  }
}
