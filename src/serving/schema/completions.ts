/**
 * The body of `POST /v1/completions`.
 */
import * as v from 'valibot';
import { integer, optional } from './fields.ts';
import { answerEntries, samplingEntries } from './sampling.ts';
import { unsupportedInCompletions } from './unsupported.ts';
import type { WireSchema } from './wire.ts';

const schema = v.object({
  ...samplingEntries,
  ...answerEntries,
  /** Text, texts, ids or lists of ids: told apart in `serving/prompt.ts`, once, instead of trying four schemas on a long array. */
  prompt: v.union([v.string(), v.array(v.unknown())]),
  logprobs: optional(integer(0)),
  /** 0 only with `echo`: the prompt is scored and nothing is generated. */
  max_tokens: optional(integer(0)),
  /** What follows the answer, for models that fill in the middle. */
  suffix: optional(v.string()),
});

export type CompletionBody = v.InferOutput<typeof schema>;

export const completionWire: WireSchema<CompletionBody> = { schema, unsupported: unsupportedInCompletions };
