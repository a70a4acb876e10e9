/**
 * What every request that reaches an engine must keep, so that no kernel and no codec meets a value that it cannot hold.
 *
 * Next: `src/engine/types.ts`, which says it in words.
 */
import { type EngineInfo, type GenerateRequest, maxTopLogprobs } from '../../src/engine/types.ts';

/** What a request breaks of the contract; empty = nothing. */
export function breaches({ promptTokenIds, params, priority }: GenerateRequest, info: EngineInfo): string[] {
  const { extras } = params;
  const isId = (id: number): boolean => Number.isInteger(id) && id >= 0 && id < info.vocabSize;
  const areIds = (ids: ArrayLike<number>): boolean => Array.from(ids).every(isId);
  const isWord = (word: number): boolean => Number.isInteger(word) && word >= 0 && word <= 0xffff_ffff;
  const isCount = (count: number | null): boolean =>
    count === null || (Number.isInteger(count) && count >= 0 && count <= maxTopLogprobs);
  const biased = params.logitBias.map(([id]) => id);
  const rules: Readonly<Record<string, boolean>> = {
    'prompt ids': promptTokenIds.length > 0 && areIds(promptTokenIds),
    'prompt and answer fit': promptTokenIds.length + params.maxTokens <= info.maxModelLen,
    maxTokens: Number.isInteger(params.maxTokens) && params.maxTokens >= 1,
    minTokens: Number.isInteger(params.minTokens) && params.minTokens >= 0 && params.minTokens <= params.maxTokens,
    temperature: params.temperature === 0 || isBetween(params.temperature, 0.01, 2),
    topK: Number.isInteger(params.topK) && isBetween(params.topK, 0, info.vocabSize),
    topP: params.topP > 0 && params.topP <= 1,
    minP: isBetween(params.minP, 0, 1),
    penalties: isBetween(params.presencePenalty, -2, 2) && isBetween(params.frequencyPenalty, -2, 2),
    // Logits are multiplied and divided by it in f32.
    repetitionPenalty: isBetween(params.repetitionPenalty, 1e-4, 1e4),
    seed: params.seed === null || params.seed.every(isWord),
    logitBias:
      areIds(biased) &&
      new Set(biased).size === biased.length &&
      params.logitBias.every(([, bias]) => isBetween(bias, -100, 100)),
    bannedSequences: params.bannedSequences.every((ids) => ids.length > 0 && areIds(ids)),
    allowedTokenIds:
      params.allowedTokenIds === null || (params.allowedTokenIds.length > 0 && areIds(params.allowedTokenIds)),
    stopTokenIds: areIds(params.stopTokenIds),
    numLogprobs: isCount(params.numLogprobs) && isCount(params.numPromptLogprobs),
    priority: Number.isSafeInteger(priority),
    extras: extras === null || Object.values(extras).every((value) => typeof value !== 'number' || isSingle(value)),
    // A power of nothing must be nothing.
    dynatempExponent: extras === null || Math.fround(extras.dynatempExponent) > 0,
    breakers: extras?.dry?.breakers.every((ids) => ids.length > 0 && areIds(ids)) ?? true,
  };
  return Object.entries(rules).flatMap(([name, holds]) => (holds ? [] : [name]));
}

const isBetween = (value: number, min: number, max: number): boolean => value >= min && value <= max;

const isSingle = (value: number): boolean => Number.isFinite(Math.fround(value));
