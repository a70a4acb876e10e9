/**
 * The responses that can be fetched, continued and cancelled: in memory, bounded by number and by size.
 *
 * The one that was used longest ago goes first; one that is being made stays. Nothing survives a restart. Pure apart from its own state.
 * Next: `run.ts`, `routes/openai/responses.ts`.
 */
import { ApiError, badRequest } from '../errors.ts';
import type { MessageItem } from './items.ts';
import { isFinal } from './response-format.ts';
import type { ResponseRun } from './run.ts';

export interface ResponseStoreLimits {
  readonly maxResponses: number;
  /** Units: UTF-16 code units of the responses and their input as JSON. */
  readonly maxChars: number;
}

/** A response and the conversation that led to it. */
export interface StoredResponse {
  readonly run: Pick<ResponseRun, 'status' | 'object' | 'cancel'>;
  /** Everything the model was told, earlier turns first; not the answer. */
  readonly input: readonly MessageItem[];
}

interface Entry extends StoredResponse {
  numChars: number;
}

export class ResponseStore {
  /** Least recently used first. */
  private readonly entries = new Map<string, Entry>();
  private totalChars = 0;

  constructor(private readonly limits: ResponseStoreLimits) {}

  get size(): number {
    return this.entries.size;
  }

  add(id: string, stored: StoredResponse): void {
    this.entries.set(id, { ...stored, numChars: 0 });
    this.measure(id);
  }

  /** Counts what a response has grown to, as a use of it. To be called when it has ended; one that was deleted is ignored. */
  measure(id: string): void {
    const entry = this.entries.get(id);
    if (entry === undefined) return;
    const numChars = JSON.stringify(entry.run.object()).length + JSON.stringify(entry.input).length;
    this.totalChars += numChars - entry.numChars;
    entry.numChars = numChars;
    this.touch(id, entry);
    this.evict();
  }

  /** Throws: ApiError 404. */
  get(id: string, field = 'response_id'): StoredResponse {
    const entry = this.entries.get(id);
    if (entry === undefined) {
      throw new ApiError(
        404,
        'There is no stored response with this id: it was never stored, deleted or dropped.',
        field,
      );
    }
    this.touch(id, entry);
    return entry;
  }

  /** The conversation that a new response goes on with. Throws: ApiError 404, or 400 when that response has no answer. */
  conversation(id: string): readonly MessageItem[] {
    const field = 'previous_response_id';
    const { run, input } = this.get(id, field);
    if (run.status !== 'completed' && run.status !== 'incomplete') {
      throw badRequest(`The response of \`${field}\` is ${run.status}: it has no answer to go on with.`, field);
    }
    return [...input, ...(run.object().output as readonly MessageItem[])];
  }

  /** Cancels it where it runs. Throws: ApiError 404. */
  delete(id: string): void {
    const { run } = this.get(id);
    run.cancel();
    this.drop(id);
  }

  private touch(id: string, entry: Entry): void {
    this.entries.delete(id);
    this.entries.set(id, entry);
  }

  private evict(): void {
    for (const [id, entry] of this.entries) {
      if (this.entries.size <= this.limits.maxResponses && this.totalChars <= this.limits.maxChars) return;
      if (isFinal(entry.run.status)) this.drop(id);
    }
  }

  private drop(id: string): void {
    this.totalChars -= this.entries.get(id)?.numChars ?? 0;
    this.entries.delete(id);
  }
}
