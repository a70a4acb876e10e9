/**
 * Updates of a generation -> a message of the Messages API, whole or as typed events. Source: Anthropic's API description.
 *
 * Pure apart from reading the iterator. A generation that was ended from outside is an error, since this API has no reason for it.
 */
import type { ChoiceFinish, ChoiceUpdate } from '../choice-decoder.ts';
import { unavailable } from '../errors.ts';

/** What is known before the first token. */
export interface MessageHead {
  readonly id: string;
  readonly model: string;
  readonly promptTokens: number;
}

/** One event of a stream; the other fields depend on the type. */
export interface MessageEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

type Updates = AsyncIterable<readonly ChoiceUpdate[]>;

/** The whole message. Throws: what the updates throw; ApiError 503 when the answer was cut off. */
export async function foldMessage(updates: Updates, head: MessageHead): Promise<object> {
  let text = '';
  let numTokens = 0;
  let finish: ChoiceFinish | null = null;
  for await (const batch of updates) {
    for (const update of batch) {
      text += update.text;
      numTokens = update.numTokens;
      finish = update.finish ?? finish;
    }
  }
  return message(head, text === '' ? [] : [{ type: 'text', text }], ending(finish), numTokens);
}

/** The events of a streamed message, in batches that arrived together. Throws: as {@link foldMessage}. */
export async function* foldMessageEvents(
  updates: Updates,
  head: MessageHead,
): AsyncGenerator<readonly MessageEvent[], void, undefined> {
  let isOpen = false;
  let numTokens = 0;
  let finish: ChoiceFinish | null = null;
  yield [{ type: 'message_start', message: message(head, [], { stop_reason: null, stop_sequence: null }, 0) }];
  for await (const batch of updates) {
    const events: MessageEvent[] = [];
    for (const update of batch) {
      numTokens = update.numTokens;
      finish = update.finish ?? finish;
      if (update.text === '') continue;
      if (!isOpen) {
        isOpen = true;
        events.push(
          { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
          { type: 'ping' },
        );
      }
      events.push({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: update.text } });
    }
    if (events.length > 0) yield events;
  }
  const delta = ending(finish);
  const last: MessageEvent[] = isOpen ? [{ type: 'content_block_stop', index: 0 }] : [];
  last.push({ type: 'message_delta', delta, usage: usage(head, numTokens) }, { type: 'message_stop' });
  yield last;
}

interface Ending {
  readonly stop_reason: 'end_turn' | 'max_tokens' | 'stop_sequence' | null;
  readonly stop_sequence: string | null;
}

/** Stop token ids, which this API does not know, end a turn. */
function ending(finish: ChoiceFinish | null): Ending {
  if (finish === null || finish.reason === 'abort')
    throw unavailable('The server ended the message before it was complete.');
  if (finish.reason === 'length') return { stop_reason: 'max_tokens', stop_sequence: null };
  const { stopReason } = finish;
  return typeof stopReason === 'string'
    ? { stop_reason: 'stop_sequence', stop_sequence: stopReason }
    : { stop_reason: 'end_turn', stop_sequence: null };
}

function message(head: MessageHead, content: readonly object[], end: Ending, outputTokens: number): object {
  return {
    id: head.id,
    type: 'message',
    role: 'assistant',
    model: head.model,
    content,
    ...end,
    usage: usage(head, outputTokens),
  };
}

/** Null: the engine does not say which tokens it found in its cache. */
function usage(head: MessageHead, outputTokens: number): object {
  return {
    input_tokens: head.promptTokens,
    cache_creation_input_tokens: null,
    cache_read_input_tokens: null,
    output_tokens: outputTokens,
  };
}
