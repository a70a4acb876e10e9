/**
 * Conversations and prompts -> token ids: flattening of contents, the chat template, encoding, and the length limit.
 *
 * Everything a client can get wrong about a prompt is refused here with a 400. Next: `to-engine.ts`.
 */
import type { TextEncoderPool } from '../text/tokenizer-pool.ts';
import { badRequest } from './errors.ts';
import { inVocabulary } from './sampling.ts';
import type { WireConversation, WireMessage } from './schema/messages.ts';
import type { ServedModel } from './served-model.ts';

/** One prompt of a completions request: text, or ids that are used as they are. `field` is its path in the body. */
export type PromptInput =
  | { readonly kind: 'text'; readonly text: string; readonly field: string }
  | { readonly kind: 'ids'; readonly ids: readonly number[]; readonly field: string };

/** The limits that a prompt has to keep. */
export interface PromptLimits {
  readonly maxModelLen: number;
  readonly vocabSize: number;
}

/** The text that the chat template makes of a conversation. Throws: ApiError 400, ChatTemplateError. */
export function renderConversation(model: ServedModel, wire: WireConversation): string {
  const continueFinalMessage = wire.continue_final_message ?? false;
  if (continueFinalMessage && wire.add_generation_prompt === true) {
    throw badRequest(
      '`continue_final_message` and `add_generation_prompt` cannot both be true.',
      'continue_final_message',
    );
  }
  const knowsDeveloper = model.chatTemplate.mentions('developer');
  return model.chatTemplate.render({
    messages: wire.messages.map((message, index) => toTemplateMessage(message, `messages[${index}]`, knowsDeveloper)),
    tools: null,
    documents: wire.documents ?? null,
    addGenerationPrompt: !continueFinalMessage && (wire.add_generation_prompt ?? true),
    continueFinalMessage,
    variables: {
      ...(wire.reasoning_effort ? { reasoning_effort: wire.reasoning_effort } : {}),
      ...wire.chat_template_kwargs,
    },
  });
}

/** The four forms of a completions prompt as a list. Throws: ApiError 400. */
export function toPromptInputs(prompt: string | readonly unknown[]): PromptInput[] {
  if (typeof prompt === 'string') return [{ kind: 'text', text: prompt, field: 'prompt' }];
  if (prompt.length === 0) throw badRequest('`prompt` must not be empty.', 'prompt');
  if (prompt.every(isTokenId)) return [{ kind: 'ids', ids: prompt, field: 'prompt' }];
  return prompt.map((item, index) => {
    const field = `prompt[${index}]`;
    if (typeof item === 'string') return { kind: 'text', text: item, field };
    if (Array.isArray(item) && item.every(isTokenId)) return { kind: 'ids', ids: item, field };
    throw badRequest(`\`${field}\` must be text or an array of token ids.`, field);
  });
}

/** Ids of a prompt that fits. Throws: ApiError 400. */
export async function encodePrompt(
  model: ServedModel,
  input: PromptInput,
  addSpecialTokens: boolean,
  limits: PromptLimits,
): Promise<readonly number[] | Uint32Array> {
  if (input.kind === 'ids') {
    assertLength(input.ids.length, limits.maxModelLen, input.field);
    return inVocabulary(input.ids, limits.vocabSize, input.field);
  }
  assertMayFit(model, input, limits.maxModelLen);
  const ids = asIds(await model.encoder.encode(input.text, { addSpecialTokens }));
  assertLength(ids.length, limits.maxModelLen, input.field);
  return ids;
}

function asIds(ids: Awaited<ReturnType<TextEncoderPool['encode']>>): readonly number[] | Uint32Array {
  return ids instanceof Uint32Array || Array.isArray(ids) ? (ids as readonly number[] | Uint32Array) : [...ids];
}

function assertLength(numTokens: number, maxModelLen: number, field: string): void {
  if (numTokens === 0) throw badRequest('The prompt has no tokens.', field);
  if (numTokens < maxModelLen) return;
  throw badRequest(
    `Input length (${numTokens}) exceeds model's maximum context length (${maxModelLen}): at least one token must be left for the answer.`,
    field,
  );
}

/** Refuses a text that no choice of tokens could make short enough, before work is spent on it. */
function assertMayFit(model: ServedModel, input: PromptInput & { kind: 'text' }, maxModelLen: number): void {
  const { kind } = model.tokens;
  // Elsewhere a run of unknown characters may become a single token.
  const spellsEverything = kind.kind === 'byte-level' || (kind.kind === 'pieces' && kind.byteFallback);
  if (!spellsEverything) return;
  const fewestTokens = Math.floor(input.text.length / model.tokenizer.longestToken);
  if (fewestTokens < maxModelLen) return;
  throw badRequest(
    `Input length (at least ${fewestTokens}) exceeds model's maximum context length (${maxModelLen}).`,
    input.field,
  );
}

const isTokenId = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function toTemplateMessage(message: WireMessage, field: string, knowsDeveloper: boolean): Record<string, unknown> {
  // `developer` is OpenAI's newer name for `system`; templates that do not know it would drop the message.
  const role = message.role === 'developer' && !knowsDeveloper ? 'system' : message.role;
  const reasoning = message.reasoning_content ?? message.reasoning;
  return {
    role,
    content: flattenContent(message.content, `${field}.content`),
    ...(message.name ? { name: message.name } : {}),
    ...(reasoning ? { reasoning, reasoning_content: reasoning } : {}),
    ...(message.tool_calls
      ? { tool_calls: message.tool_calls.map((call, i) => toTemplateCall(call, `${field}.tool_calls[${i}]`)) }
      : {}),
    ...(message.tool_call_id ? { tool_call_id: message.tool_call_id } : {}),
  };
}

type WireContent = WireMessage['content'];

/** Templates expect one text: parts are joined by line breaks, nothing (an assistant turn that only calls tools) is empty. */
function flattenContent(content: WireContent, field: string): string {
  if (typeof content === 'string') return content;
  if (content === null || content === undefined) return '';
  return content
    .map((part, index) => {
      const text = part.type === 'refusal' ? part.refusal : part.type === 'text' ? part.text : undefined;
      if (typeof text === 'string') return text;
      throw badRequest(
        `\`${field}[${index}]\` must be a part of type text with its text; this model takes no other input.`,
        `${field}[${index}]`,
      );
    })
    .join('\n');
}

/** Templates iterate over arguments as an object, the wire carries them as JSON text. */
function toTemplateCall(
  call: NonNullable<NonNullable<WireMessage['tool_calls']>[number]>,
  field: string,
): Record<string, unknown> {
  const given = call.function.arguments;
  let args: unknown = given ?? {};
  if (typeof given === 'string') {
    try {
      args = given.trim() === '' ? {} : JSON.parse(given);
    } catch {
      throw badRequest(`\`${field}.function.arguments\` must be JSON.`, `${field}.function.arguments`);
    }
  }
  return {
    ...(call.id ? { id: call.id } : {}),
    type: call.type ?? 'function',
    function: { name: call.function.name, arguments: args },
  };
}
