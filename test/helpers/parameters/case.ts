/**
 * One row of the table of request parameters: a good value, and what shows that it acts.
 *
 * A row proves its effect by difference: the same request without the value must look otherwise. Knows no test runner.
 * Next: `shared.ts`, `chat.ts`, `completions.ts` (the rows), `test/http/parameters.test.ts` (who runs them).
 */
import type { ExtraSamplers, GenerateRequest, SamplingParams } from '../../../src/engine/types.ts';
import type { Script } from '../fake-engine.ts';
import { says, type testApp, tokenizer } from '../test-app.ts';

type Json = Record<string, unknown>;

/** What a request led to. */
export interface Seen {
  /** What the engine was asked for. */
  readonly requests: readonly GenerateRequest[];
  /** The body of the answer. */
  readonly text: string;
  readonly hasStream: boolean;
}

export interface ParameterCase {
  /** Path of the field: `top_k`, `stream_options.include_usage`, `messages.name`. */
  readonly field: string;
  /** A body with the field. */
  readonly body: Json;
  /** The same without it. */
  readonly without: Json;
  readonly observe: (seen: Seen) => unknown;
  readonly gives: unknown;
  /** What the engine says; `hello world` unless set. */
  readonly script: Script;
  readonly overrides: NonNullable<Parameters<typeof testApp>[1]>;
  /** Why the two requests look the same; null = they must differ. */
  readonly isDefault: string | null;
}

type Options = Partial<Pick<ParameterCase, 'script' | 'overrides' | 'isDefault'>> & { readonly needs?: Json };

/** A row for a field of the body itself. `options.needs`: what must stand beside it. */
export function acts(
  field: string,
  value: unknown,
  observe: ParameterCase['observe'],
  gives: unknown,
  options: Options = {},
): ParameterCase {
  const { needs = {}, ...rest } = options;
  return { ...defaults, field, body: { ...needs, [field]: value }, without: needs, observe, gives, ...rest };
}

/** A row whose two bodies are written out. */
export function differs(
  field: string,
  body: Json,
  without: Json,
  observe: ParameterCase['observe'],
  gives: unknown,
  options: Omit<Options, 'needs'> = {},
): ParameterCase {
  return { ...defaults, field, body, without, observe, gives, ...options };
}

const defaults = { script: says('hello world'), overrides: {}, isDefault: null } as const;

/** An engine parameter of the first sequence. */
export const param =
  (name: keyof SamplingParams) =>
  ({ requests }: Seen): unknown =>
    requests[0]?.params[name];

/** One of llama.cpp's samplers. */
export const extra =
  (name: keyof ExtraSamplers) =>
  ({ requests }: Seen): unknown =>
    requests[0]?.params.extras?.[name];

/** Text of the first prompt, special tokens in it included. */
export const promptText = ({ requests }: Seen): string =>
  tokenizer.decode([...(requests[0]?.promptTokenIds ?? [])], { skipSpecialTokens: false });

export const numSequences = ({ requests }: Seen): number => requests.length;

/** The whole answer. */
export const answer = ({ text }: Seen): Json => JSON.parse(text) as Json;

/** A field of the first choice. */
export const choice =
  (name: string) =>
  (seen: Seen): unknown =>
    (answer(seen).choices as Json[])[0]?.[name];

export const numChoices = (seen: Seen): number => (answer(seen).choices as Json[]).length;

/** What the first choice says, of either route. */
export const said = (seen: Seen): unknown => {
  const [first] = answer(seen).choices as { text?: string; message?: { content: string } }[];
  return first?.text ?? first?.message?.content;
};

/** Chunks of a stream that carry usage, and all chunks. */
export const usageChunks = ({ text }: Seen): readonly [number, number] => {
  const chunks = text.split('\n\n').filter((frame) => frame.startsWith('data: {'));
  return [chunks.filter((frame) => frame.includes('"usage":{')).length, chunks.length];
};
