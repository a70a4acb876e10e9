/**
 * Golden logits and greedy tokens that Hugging Face transformers made (scripts/goldens).
 */
import { readFileSync } from 'node:fs';

export interface GoldenPrompt {
  readonly ids: readonly number[];
  readonly greedy: readonly number[];
  /** Best minus second-best logit of each greedy step. */
  readonly margins: readonly number[];
  readonly length: number;
  readonly firstPosition: number;
  /** Units: floats from the start of the file. */
  readonly logitsOffset: number;
}

export interface Golden {
  readonly model: string;
  readonly dtype: string;
  readonly vocab: number;
  /** How far rounding keys and values to f16 moved the logits in transformers. */
  readonly halfCacheDifference: number;
  readonly prompts: readonly GoldenPrompt[];
  readonly logits: Float32Array;
}

export function readGolden(name: string): Golden {
  const base = new URL(`../fixtures/goldens/${name}`, import.meta.url).pathname;
  const golden = JSON.parse(readFileSync(`${base}.json`, 'utf8')) as Omit<Golden, 'logits'>;
  const bytes = readFileSync(`${base}.f32`);
  const logits = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  return { ...golden, logits };
}

/** The golden logits of one prompt from its first stored position on. */
export function goldenLogits(golden: Golden, prompt: GoldenPrompt): Float32Array {
  const rows = prompt.length - (prompt.firstPosition ?? 0);
  return golden.logits.subarray(prompt.logitsOffset, prompt.logitsOffset + rows * golden.vocab);
}
