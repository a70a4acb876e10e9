/**
 * Which files of a repository are needed to serve it: configuration, tokenizer, templates and one copy of the weights.
 *
 * Owns the patterns, and the sentence for a repository that has its weights in another format only. Pure.
 * Next: `snapshot.ts`, which fetches the choice; `../weight-index.ts`, which chooses the weights.
 */

import { chooseWeightLayout, type WeightLayout } from '../weight-index.ts';
import type { RepoFile } from './api.ts';
import { HubError } from './errors.ts';

const SMALL_FILES: readonly RegExp[] = [
  /^config[^/]*\.json$/,
  /^generation_config\.json$/,
  /^tokenizer[^/]*$/,
  /^(vocab|special_tokens_map|added_tokens)\.json$/,
  /^merges\.txt$/,
  /^[^/]+\.model$/,
  /^([^/]+\/)?[^/]+\.jinja$/,
];

/** What else a repository may hold, for the error message. */
const OTHER_FORMATS: readonly (readonly [RegExp, string])[] = [
  [/(^|\/)consolidated[^/]*\.safetensors$/, 'consolidated.safetensors (the original layout of Mistral)'],
  [/\/(?!consolidated)[^/]*\.safetensors$/, 'safetensors in a subfolder'],
  [/\.gguf$/, 'GGUF'],
  [/\.(bin|pt|pth)$/, 'PyTorch (.bin, .pt, .pth)'],
  [/\.onnx(_data)?$/, 'ONNX'],
  [/\.msgpack$/, 'Flax (.msgpack)'],
  [/\.h5$/, 'TensorFlow (.h5)'],
  [/\.npz$/, 'NumPy (.npz)'],
];

/** The small files to fetch, and where the weights are. */
export interface FileChoice {
  readonly small: readonly RepoFile[];
  readonly weights: WeightLayout;
}

/** Throws: HubError `unsupported` when there is no config.json, or no safetensors to use. */
export function chooseFiles(id: string, files: readonly RepoFile[]): FileChoice {
  const names = files.map((file) => file.path);
  const weights = chooseWeightLayout(names);
  if (weights === null) {
    const formats = OTHER_FORMATS.filter(([pattern]) => names.some((name) => pattern.test(name))).map(
      ([, name]) => name,
    );
    const found = formats.length === 0 ? 'no weights at all' : `only ${formats.join(', ')}`;
    throw new HubError('unsupported', `${id} has no safetensors weights that can be loaded; it has ${found}.`);
  }
  if (!names.includes('config.json')) {
    throw new HubError('unsupported', `${id} has no config.json: it is not a checkpoint in the transformers layout.`);
  }
  return { small: files.filter((file) => SMALL_FILES.some((pattern) => pattern.test(file.path))), weights };
}
