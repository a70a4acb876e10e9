/** Sampling parameters with every processor off: greedy, and never ended by a token. */
import type { SamplingParams } from '../../src/engine/types.ts';

export const PLAIN_PARAMS: SamplingParams = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
  seed: null,
  logitBias: [],
  bannedSequences: [],
  allowedTokenIds: null,
  maxTokens: 1,
  minTokens: 0,
  stopTokenIds: [],
  ignoreEos: true,
  numLogprobs: null,
  numPromptLogprobs: null,
  extras: null,
};
