/**
 * The model that an image carries: from the build's arguments to a record in the image, and from there to flags of the server.
 *
 * Owns the record's place and form. It imports nothing of the server, because `bake.ts` runs in a layer that holds little of it.
 * Next: `bake.ts` writes the record, `start.ts` reads it.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where models lie in an image when the build names no BASE_PATH. A volume would hide what is under `/runpod-volume`. */
export const DEFAULT_BAKE_PATH = '/models';
/** Where BuildKit mounts the secret. */
export const TOKEN_FILE = '/run/secrets/HF_TOKEN';

const RECORD_FILE = fileURLToPath(new URL('../../../baked-model.json', import.meta.url));

export type Environment = Readonly<Record<string, string | undefined>>;

/** What a build was asked to put into the image. */
export interface BakeOrder {
  readonly model: string;
  readonly revision: string;
  /** null = the model's own. */
  readonly tokenizer: { readonly name: string; readonly revision: string } | null;
  readonly quantization: string | null;
  /** Root of the cache, in the Hub's layout. */
  readonly cacheDir: string;
  readonly endpoint: string;
}

/** The order that the build's arguments make; null when they name no model. */
export function bakeOrder(env: Environment): BakeOrder | null {
  const value = (name: string): string | null => env[name]?.trim() || null;
  const model = value('MODEL_NAME');
  if (model === null) return null;
  const tokenizer = value('TOKENIZER_NAME');
  const revision = value('MODEL_REVISION') ?? 'main';
  return {
    model,
    revision,
    tokenizer: tokenizer === null ? null : { name: tokenizer, revision: value('TOKENIZER_REVISION') ?? 'main' },
    quantization: value('QUANTIZATION'),
    cacheDir: join(value('BASE_PATH') ?? DEFAULT_BAKE_PATH, 'huggingface-cache', 'hub'),
    endpoint: value('HF_ENDPOINT') ?? 'https://huggingface.co',
  };
}

/** The flags that make a server use what was baked, and nothing else. Flags go before variables and files. */
export function flagsOf({ model, revision, tokenizer, quantization, cacheDir }: BakeOrder): readonly string[] {
  const flags = ['--model', model, '--revision', revision, '--download-dir', cacheDir, '--hf-hub-offline'];
  if (tokenizer !== null) flags.push('--tokenizer', tokenizer.name, '--tokenizer-revision', tokenizer.revision);
  if (quantization !== null) flags.push('--quantization', quantization);
  return flags;
}

/** What the record says; empty for an image without a model. Throws: Error when it is damaged. */
export function readBakedFlags(file: string = RECORD_FILE): readonly string[] {
  const text = readText(file);
  if (text === null) return [];
  const record: unknown = JSON.parse(text);
  if (Array.isArray(record) && record.every((flag) => typeof flag === 'string')) return record;
  throw new Error(`${file} is no list of flags.`);
}

/** The record's path with the text to write there. */
export function recordOf(order: BakeOrder): { readonly file: string; readonly text: string } {
  return { file: RECORD_FILE, text: `${JSON.stringify(flagsOf(order), null, 2)}\n` };
}

function readText(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}
