/**
 * Wire sampling fields -> the engine's parameters, with the checkpoint's defaults and the checks that depend on the model.
 *
 * Source of ranges and order of defaults: vLLM's SamplingParams. Next: `to-engine.ts`, which adds the lengths.
 */
import type { SamplingParams } from '../engine/types.ts';
import type { TokenTable } from '../text/token-table.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { badRequest } from './errors.ts';
import { toExtraSamplers } from './extra-samplers.ts';
import type { GenerationDefaults } from './generation-defaults.ts';
import type { WireSampling } from './schema/sampling.ts';

/** Everything but what differs between the prompts and choices of a request. */
export type SharedParams = Omit<SamplingParams, 'seed' | 'maxTokens' | 'numLogprobs' | 'numPromptLogprobs'>;

export interface SamplingSources {
  readonly defaults: GenerationDefaults;
  /** Used where neither the request nor the checkpoint names a temperature. */
  readonly fallbackTemperature: number;
  /** The model's vocabulary, which bounds every token id. */
  readonly vocabSize: number;
  readonly tokenizer: Tokenizer;
  readonly tokens: TokenTable;
}

const greedyBelow = 1e-5;
const smallestTemperature = 0.01;
const maxLogitBias = 100;
/** Logits that are multiplied or divided by more are no numbers any more in f32. */
const penaltyLimits = { min: 1e-4, max: 1e4 } as const;

/** Throws: ApiError 400 that names the field. */
export function toSharedParams(wire: WireSampling, sources: SamplingSources): SharedParams {
  const { defaults, vocabSize } = sources;
  const temperature = effectiveTemperature(wire.temperature ?? defaults.temperature ?? sources.fallbackTemperature);
  const isGreedy = temperature === 0;
  if (isGreedy && wire.use_beam_search !== true) {
    if ((wire.n ?? 1) > 1) throw badRequest('`n` must be 1 when temperature is 0.', 'n');
    if ((wire.best_of ?? 1) > 1) throw badRequest('`best_of` must be 1 when temperature is 0.', 'best_of');
  }
  const topK = wire.top_k ?? defaults.topK ?? 0;
  return {
    temperature,
    topK: isGreedy || topK < 1 ? 0 : Math.min(topK, vocabSize),
    topP: isGreedy ? 1 : (wire.top_p ?? defaults.topP ?? 1),
    minP: isGreedy ? 0 : (wire.min_p ?? defaults.minP ?? 0),
    presencePenalty: wire.presence_penalty ?? 0,
    frequencyPenalty: wire.frequency_penalty ?? 0,
    repetitionPenalty: effectivePenalty(wire.repetition_penalty ?? defaults.repetitionPenalty ?? 1),
    logitBias: logitBias(wire.logit_bias ?? {}, vocabSize),
    bannedSequences: bannedSequences(wire.bad_words ?? [], sources.tokenizer),
    allowedTokenIds: wire.allowed_token_ids
      ? inVocabulary(wire.allowed_token_ids, vocabSize, 'allowed_token_ids')
      : null,
    minTokens: wire.min_tokens ?? 0,
    stopTokenIds: inVocabulary(wire.stop_token_ids ?? [], vocabSize, 'stop_token_ids'),
    ignoreEos: wire.ignore_eos ?? false,
    extras: toExtraSamplers(wire, isGreedy, sources.tokens),
  };
}

/**
 * The seed of choice `index`: distinct per choice, the same for every prompt of a request, so that a prompt's answer does not depend on
 * its neighbours. Null when the engine shall draw one.
 */
export function choiceSeed(seed: number | null | undefined, index: number): readonly [number, number] | null {
  if (seed === null || seed === undefined || seed === -1) return null;
  const word = BigInt.asUintN(64, BigInt(seed) + BigInt(index));
  return [Number(word & 0xffff_ffffn), Number(word >> 32n)];
}

/** The first id outside the vocabulary is reported as `field[index]`. */
export function inVocabulary(ids: readonly number[], vocabSize: number, field: string): readonly number[] {
  const index = ids.findIndex((id) => id >= vocabSize);
  if (index < 0) return ids;
  throw badRequest(
    `\`${field}[${index}]\` is not a token id of this model (0 to ${vocabSize - 1}).`,
    `${field}[${index}]`,
  );
}

/** Tiny temperatures overflow when logits are divided by them. */
function effectiveTemperature(temperature: number): number {
  return temperature < greedyBelow ? 0 : Math.max(temperature, smallestTemperature);
}

function effectivePenalty(penalty: number): number {
  return Math.min(penaltyLimits.max, Math.max(penaltyLimits.min, penalty));
}

function logitBias(wire: Readonly<Record<string, number>>, vocabSize: number): [number, number][] {
  return Object.entries(wire).map(([key, bias]) => {
    // One spelling for each id, so that none comes twice.
    const id = /^(0|[1-9]\d{0,9})$/.test(key) ? Number(key) : Number.NaN;
    if (!(id < vocabSize)) {
      throw badRequest(
        `A key of \`logit_bias\` is not a token id of this model (0 to ${vocabSize - 1}).`,
        'logit_bias',
      );
    }
    return [id, Math.min(maxLogitBias, Math.max(-maxLogitBias, bias))];
  });
}

/** A word is banned as it stands and after a space, because tokenizers spell the two differently. */
function bannedSequences(words: readonly string[], tokenizer: Tokenizer): number[][] {
  const sequences = new Map<string, number[]>();
  for (const word of words) {
    for (const text of [word, ` ${word.trimStart()}`]) {
      const ids = tokenizer.encode(text, { addSpecialTokens: false });
      if (ids.length > 0) sequences.set(ids.join(), ids);
    }
  }
  return [...sequences.values()];
}
