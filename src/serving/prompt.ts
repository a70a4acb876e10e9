/**
 * Conversations and prompts -> token ids: the chat template, encoding, truncation, filling in the middle, and the length limit.
 *
 * Everything a client can get wrong about a prompt is refused here with a 400. Next: `message-content.ts`, `to-engine.ts`.
 */
import type { ChatTemplate } from '../text/chat-template.ts';
import type { ContentForm } from '../text/content-form.ts';
import { infillParts } from '../text/fill-in-the-middle.ts';
import type { TextEncoderPool } from '../text/tokenizer-pool.ts';
import { badRequest } from './errors.ts';
import { templateContent } from './message-content.ts';
import { inVocabulary } from './sampling.ts';
import type { WireConversation, WireMessage } from './schema/messages.ts';
import type { ServedModel, ServingSettings } from './served-model.ts';

/** One prompt of a completions request: text, or ids that are used as they are. */
export type PromptInput = (
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'ids'; readonly ids: readonly number[] }
) & {
  /** Its path in the body. */
  readonly field: string;
  /** The text after the answer. */
  readonly suffix?: string;
};

/** The limits that a prompt has to keep. */
export interface PromptLimits {
  readonly maxModelLen: number;
  readonly vocabSize: number;
  /** Longer prompts lose tokens on one side until they have so many; null = they are refused. */
  readonly truncation: { readonly maxTokens: number; readonly side: 'left' | 'right' } | null;
}

/** What of the configuration decides how conversations are rendered. */
export type TemplateSettings = Pick<
  ServingSettings,
  'chatTemplateContentFormat' | 'trustRequestChatTemplate' | 'defaultChatTemplateKwargs'
>;

/** The text that the chat template makes of a conversation. Throws: ApiError 400, ChatTemplateError. */
export function renderConversation(
  model: ServedModel,
  wire: WireConversation,
  settings: TemplateSettings = {},
): string {
  const continueFinalMessage = wire.continue_final_message ?? false;
  if (continueFinalMessage && wire.add_generation_prompt === true) {
    throw badRequest(
      '`continue_final_message` and `add_generation_prompt` cannot both be true.',
      'continue_final_message',
    );
  }
  const template = templateOf(model, wire, settings);
  const formOf = formsOf(template, settings);
  const knowsDeveloper = template.mentions('developer');
  return template.render({
    messages: wire.messages.map((message, index) =>
      toTemplateMessage(message, `messages[${index}]`, formOf, knowsDeveloper),
    ),
    tools: null,
    documents: wire.documents ?? null,
    addGenerationPrompt: !continueFinalMessage && (wire.add_generation_prompt ?? true),
    continueFinalMessage,
    variables: {
      ...settings.defaultChatTemplateKwargs,
      ...(wire.reasoning_effort ? { reasoning_effort: wire.reasoning_effort } : {}),
      ...wire.chat_template_kwargs,
    },
  });
}

/** The request's own template where the server takes such. Throws: ApiError 400. */
function templateOf(model: ServedModel, wire: WireConversation, settings: TemplateSettings): ChatTemplate {
  if (!wire.chat_template) return model.chatTemplate;
  if (settings.trustRequestChatTemplate === true) return model.chatTemplate.replacedBy(wire.chat_template);
  throw badRequest(
    '`chat_template` is not accepted: this server was not started with TRUST_REQUEST_CHAT_TEMPLATE.',
    'chat_template',
  );
}

/** What a role's contents have to look like. */
type FormOf = (role: string) => ContentForm;

function formsOf(template: ChatTemplate, settings: TemplateSettings): FormOf {
  switch (settings.chatTemplateContentFormat ?? 'auto') {
    case 'string':
      return () => 'text';
    case 'openai':
      return () => 'parts';
    case 'auto':
      return (role) => template.contentForm(role);
  }
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
  if (input.suffix !== undefined) {
    const ids = await encodeInfill(model, input, input.suffix, addSpecialTokens, limits);
    return fitted(ids, input.field, limits);
  }
  if (input.kind === 'ids') return inVocabulary(fitted(input.ids, input.field, limits), limits.vocabSize, input.field);
  if (limits.truncation === null) assertMayFit(model, input, limits.maxModelLen);
  return fitted(asIds(await model.encoder.encode(input.text, { addSpecialTokens })), input.field, limits);
}

/** The ids around a hole, in the order that the model was trained with. Throws: ApiError 400. */
async function encodeInfill(
  model: ServedModel,
  input: PromptInput,
  suffix: string,
  addSpecialTokens: boolean,
  limits: PromptLimits,
): Promise<number[]> {
  const parts = infillParts(model.tokenizer);
  if (parts === null) {
    throw badRequest(
      "`suffix` is not supported: the model's tokenizer has no tokens for filling in the middle.",
      'suffix',
    );
  }
  const encode = async (text: string): Promise<Iterable<number>> =>
    model.encoder.encode(text, { addSpecialTokens: false });
  const prefix =
    input.kind === 'ids' ? inVocabulary(input.ids, limits.vocabSize, input.field) : await encode(input.text);
  const texts = { prefix, suffix: await encode(suffix) };
  const ids = addSpecialTokens ? beginTokens(model) : [];
  for (const part of parts) {
    if ('token' in part) ids.push(part.token);
    else for (const id of texts[part.text]) ids.push(id);
  }
  return ids;
}

/** What the tokenizer puts before every text. */
function beginTokens(model: ServedModel): number[] {
  const probe = 'a';
  const plain = model.tokenizer.encode(probe, { addSpecialTokens: false });
  const framed = model.tokenizer.encode(probe, { addSpecialTokens: true });
  const start = framed.indexOf(plain[0] ?? -1);
  return start > 0 ? framed.slice(0, start) : [];
}

/** The ids after truncation. Throws: ApiError 400 when there are too many or none. */
function fitted<T extends readonly number[] | Uint32Array>(ids: T, field: string, limits: PromptLimits): T {
  const { truncation, maxModelLen } = limits;
  let kept = ids;
  if (truncation !== null && ids.length > truncation.maxTokens) {
    const start = truncation.side === 'left' ? ids.length - truncation.maxTokens : 0;
    kept = ids.slice(start, start + truncation.maxTokens) as T;
  }
  assertLength(kept.length, maxModelLen, field);
  return kept;
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

function toTemplateMessage(
  message: WireMessage,
  field: string,
  formOf: FormOf,
  knowsDeveloper: boolean,
): Record<string, unknown> {
  // `developer` is OpenAI's newer name for `system`; templates that do not know it would drop the message.
  const role = message.role === 'developer' && !knowsDeveloper ? 'system' : message.role;
  const reasoning = message.reasoning_content ?? message.reasoning;
  return {
    role,
    content: templateContent(message.content, `${field}.content`, formOf(role)),
    ...(message.name ? { name: message.name } : {}),
    ...(reasoning ? { reasoning, reasoning_content: reasoning } : {}),
    ...(message.tool_calls
      ? { tool_calls: message.tool_calls.map((call, i) => toTemplateCall(call, `${field}.tool_calls[${i}]`)) }
      : {}),
    ...(message.tool_call_id ? { tool_call_id: message.tool_call_id } : {}),
  };
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
