/**
 * Which safetensors files of a checkpoint hold its weights, and the index that spreads tensors over shards.
 *
 * Owns the rule that the downloader and the reader share, so that what is fetched is what is opened. Pure: names and text
 * in, names out. Next: `safetensors.ts` (reads them), `hub/choose-files.ts` (fetches them).
 */

import { EngineError } from '../types.ts';

export const WEIGHT_INDEX_FILE = 'model.safetensors.index.json';
const SINGLE_FILE = 'model.safetensors';

/** What holds the weights: an index that names shards, or files that are complete by themselves. */
export type WeightLayout = { readonly kind: 'index' } | { readonly kind: 'files'; readonly files: readonly string[] };

/**
 * Chooses among the file names at the top of a checkpoint. Null: it has no safetensors that can be used.
 * `consolidated*` is a second copy of the same weights under other tensor names.
 */
export function chooseWeightLayout(names: readonly string[]): WeightLayout | null {
  if (names.includes(WEIGHT_INDEX_FILE)) return { kind: 'index' };
  if (names.includes(SINGLE_FILE)) return { kind: 'files', files: [SINGLE_FILE] };
  const files = names.filter((name) => /^(?!consolidated)[^/]+\.safetensors$/.test(name)).toSorted();
  return files.length === 0 ? null : { kind: 'files', files };
}

/**
 * Reads the tensor -> shard map of an index.
 * Limits: shards lie beside the index or below it. Throws: EngineError `load-failed` that names the index.
 */
export function parseWeightIndex(text: string, indexName: string): ReadonlyMap<string, string> {
  const fail = (why: string) => new EngineError('load-failed', `${indexName}: ${why}`);
  let index: unknown;
  try {
    index = JSON.parse(text);
  } catch {
    throw fail('this is not JSON');
  }
  const weightMap = typeof index === 'object' && index !== null && 'weight_map' in index ? index.weight_map : null;
  if (typeof weightMap !== 'object' || weightMap === null || Array.isArray(weightMap)) {
    throw fail('there is no "weight_map" object');
  }
  const shards = new Map<string, string>();
  for (const [tensor, file] of Object.entries(weightMap)) {
    if (typeof file !== 'string' || !isPlainPath(file)) {
      throw fail(`tensor ${tensor} names ${JSON.stringify(file)}, which is not a .safetensors file of this checkpoint`);
    }
    shards.set(tensor, file);
  }
  if (shards.size === 0) throw fail('"weight_map" is empty');
  return shards;
}

function isPlainPath(file: string): boolean {
  if (!file.endsWith('.safetensors') || file.includes('\\') || file.includes('\0')) return false;
  return file.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}
