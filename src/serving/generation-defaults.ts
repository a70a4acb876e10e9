/**
 * The sampling defaults that a checkpoint brings along in `generation_config.json`, and those that the server's owner sets.
 *
 * A checkpoint's values out of range are ignored rather than trusted: a default must never make a request fail. The owner's are refused.
 * Next: `sampling.ts`.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';

/** Null where nothing is said. */
export interface GenerationDefaults {
  readonly temperature: number | null;
  readonly topP: number | null;
  readonly topK: number | null;
  readonly minP: number | null;
  readonly repetitionPenalty: number | null;
  readonly maxNewTokens: number | null;
}

/** Where defaults come from. */
export interface DefaultsSources {
  /** `auto` (the default) = the model's folder, `vllm` = no file, else a folder with a `generation_config.json`. */
  readonly generationConfig?: string;
  /** Values that go before the file's, under its names. */
  readonly overrideGenerationConfig?: Readonly<Record<string, unknown>> | null;
}

const count = v.pipe(v.number(), v.integer(), v.minValue(0));

/** What is understood of a file. Source of the selection: vLLM. */
const valueSchemas = {
  temperature: v.pipe(v.number(), v.minValue(0), v.maxValue(2)),
  top_p: v.pipe(v.number(), v.gtValue(0), v.maxValue(1)),
  // -1 is off, as in requests.
  top_k: v.pipe(v.number(), v.integer(), v.minValue(-1)),
  min_p: v.pipe(v.number(), v.minValue(0), v.maxValue(1)),
  repetition_penalty: v.pipe(v.number(), v.gtValue(0), v.finite()),
  max_new_tokens: v.pipe(count, v.minValue(1)),
};

type Field = keyof typeof valueSchemas;

const fields = Object.keys(valueSchemas) as Field[];

/** The defaults in a parsed file; anything else counts as an empty one. */
export function generationDefaults(file: unknown): GenerationDefaults {
  const given = (typeof file === 'object' && file !== null ? file : {}) as Readonly<Record<string, unknown>>;
  const value = (field: Field): number | null => {
    const parsed = v.safeParse(valueSchemas[field], given[field]);
    return parsed.success ? parsed.output : null;
  };
  return {
    temperature: value('temperature'),
    topP: value('top_p'),
    topK: value('top_k'),
    minP: value('min_p'),
    repetitionPenalty: value('repetition_penalty'),
    maxNewTokens: value('max_new_tokens'),
  };
}

/** The defaults of a model folder. Throws: Error naming the file that is missing or no JSON, or the setting that is wrong. */
export async function loadGenerationDefaults(
  folder: string,
  sources: DefaultsSources = {},
): Promise<GenerationDefaults> {
  const override = sources.overrideGenerationConfig ?? {};
  assertOverride(override);
  const from = sources.generationConfig ?? 'auto';
  const file = from === 'vllm' ? {} : await readConfig(from === 'auto' ? folder : from, from === 'auto');
  return generationDefaults({ ...(file as object), ...override });
}

function assertOverride(override: Readonly<Record<string, unknown>>): void {
  for (const field of fields) {
    const value = override[field];
    if (value === undefined || value === null || v.is(valueSchemas[field], value)) continue;
    throw new Error(`OVERRIDE_GENERATION_CONFIG: ${field} cannot be ${JSON.stringify(value)}`);
  }
}

/** The parsed file. A model need not have one; a folder that was named does. */
async function readConfig(folder: string, mayBeMissing: boolean): Promise<unknown> {
  const path = join(folder, 'generation_config.json');
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch {
    if (mayBeMissing) return {};
    throw new Error(`GENERATION_CONFIG: ${path} cannot be read`);
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${path} is not valid JSON`);
  }
}
