/**
 * Input of the Responses API -> items with ids, as they are listed and stored; items -> messages of a chat.
 *
 * Only messages of text exist here: calls of tools, reasoning, images and files are refused with the path of the item.
 * Next: `to-chat.ts`.
 */
import { randomUUID } from 'node:crypto';
import { badRequest } from '../errors.ts';
import type { WireMessage } from '../schema/messages.ts';
import type { ResponsesBody, WireInputItem } from '../schema/responses.ts';

export type ItemContent =
  | { readonly type: 'input_text'; readonly text: string }
  | {
      readonly type: 'output_text';
      readonly text: string;
      readonly annotations: readonly [];
      readonly logprobs: readonly object[];
    }
  | { readonly type: 'refusal'; readonly refusal: string };

/** One message of a stored conversation, in the form in which OpenAI lists it. */
export interface MessageItem {
  readonly id: string;
  readonly type: 'message';
  readonly role: string;
  readonly status: 'in_progress' | 'completed' | 'incomplete';
  readonly content: readonly ItemContent[];
}

const roles: ReadonlySet<string> = new Set(['user', 'assistant', 'system', 'developer']);

/** `msg_` and 32 digits. */
export function newId(prefix: string): string {
  return `${prefix}_${randomUUID().replaceAll('-', '')}`;
}

/** Throws: ApiError 400 with the path of what is not understood. */
export function toItems(input: ResponsesBody['input']): MessageItem[] {
  if (typeof input === 'string') return [message('user', [{ type: 'input_text', text: input }])];
  return input.map((item, index) => toItem(item, `input[${index}]`));
}

function toItem(item: WireInputItem, field: string): MessageItem {
  const type = item.type ?? 'message';
  if (type !== 'message') {
    throw badRequest(`\`${field}.type\` must be message: other items are not supported yet.`, `${field}.type`);
  }
  const { role, content } = item;
  if (typeof role !== 'string' || !roles.has(role)) {
    throw badRequest(`\`${field}.role\` must be one of ${[...roles].join(', ')}.`, `${field}.role`);
  }
  if (content === null || content === undefined) {
    throw badRequest(`\`${field}.content\` is required.`, `${field}.content`);
  }
  const parts = typeof content === 'string' ? [{ type: 'input_text', text: content }] : content;
  return message(
    role,
    parts.map((part, index) => toContent(part, role, `${field}.content[${index}]`)),
  );
}

function toContent(
  part: { readonly type: string; readonly [key: string]: unknown },
  role: string,
  field: string,
): ItemContent {
  const { type, text, refusal } = part;
  if (type === 'refusal' && typeof refusal === 'string') return { type: 'refusal', refusal };
  if ((type !== 'input_text' && type !== 'output_text' && type !== 'text') || typeof text !== 'string') {
    throw badRequest(
      `\`${field}\` must be a part of type input_text or output_text with its text; this model takes no other input.`,
      field,
    );
  }
  return role === 'assistant'
    ? { type: 'output_text', text, annotations: [], logprobs: [] }
    : { type: 'input_text', text };
}

function message(role: string, content: readonly ItemContent[]): MessageItem {
  return { id: newId('msg'), type: 'message', role, status: 'completed', content };
}

/** The message that a chat template is given. */
export function toMessage(item: MessageItem): WireMessage {
  const texts = item.content.map((part) => (part.type === 'refusal' ? part.refusal : part.text));
  const [only] = texts;
  const content = texts.length === 1 && only !== undefined ? only : texts.map((text) => ({ type: 'text', text }));
  return { role: item.role, content };
}
