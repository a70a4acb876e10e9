/**
 * The sampling defaults that a checkpoint brings along in `generation_config.json`.
 *
 * Values out of range are ignored rather than trusted: a default must never make a request fail. Next: `sampling.ts`.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';

/** Null where the checkpoint says nothing. */
export interface GenerationDefaults {
  readonly temperature: number | null;
  readonly topP: number | null;
  readonly topK: number | null;
  readonly minP: number | null;
  readonly repetitionPenalty: number | null;
  readonly maxNewTokens: number | null;
}

const orNull = <T>(schema: v.GenericSchema<unknown, T>) => v.fallback(v.nullable(schema), null);
const count = v.pipe(v.number(), v.integer(), v.minValue(0));

const fileSchema = v.object({
  temperature: v.optional(orNull(v.pipe(v.number(), v.minValue(0), v.maxValue(2))), null),
  top_p: v.optional(orNull(v.pipe(v.number(), v.gtValue(0), v.maxValue(1))), null),
  top_k: v.optional(orNull(count), null),
  min_p: v.optional(orNull(v.pipe(v.number(), v.minValue(0), v.maxValue(1))), null),
  repetition_penalty: v.optional(orNull(v.pipe(v.number(), v.gtValue(0), v.finite())), null),
  max_new_tokens: v.optional(orNull(v.pipe(count, v.minValue(1))), null),
});

/** The defaults in a parsed file; anything else counts as an empty one. */
export function generationDefaults(file: unknown): GenerationDefaults {
  const parsed = v.safeParse(fileSchema, file);
  const values = parsed.success ? parsed.output : v.parse(fileSchema, {});
  return {
    temperature: values.temperature,
    topP: values.top_p,
    topK: values.top_k,
    minP: values.min_p,
    repetitionPenalty: values.repetition_penalty,
    maxNewTokens: values.max_new_tokens,
  };
}

/** Reads the folder's `generation_config.json`; a missing file means no defaults. Throws: Error when it is not JSON. */
export async function loadGenerationDefaults(folder: string): Promise<GenerationDefaults> {
  const path = join(folder, 'generation_config.json');
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch {
    return generationDefaults({});
  }
  try {
    return generationDefaults(JSON.parse(text));
  } catch {
    throw new Error(`${path} is not valid JSON`);
  }
}
