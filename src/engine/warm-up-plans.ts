/**
 * The steps that together need every kernel that a request can need: by rows, by length of context, and by way of sampling.
 *
 * Owns these lists. A kernel that is missing here is compiled while somebody waits for a token; a test that runs unlike requests after the
 * warm-up finds it. Steps are recorded only, so that the lists may be long. Next: `warm-up.ts` (who runs them).
 */
import type { SchedulerOptions } from './scheduler-options.ts';
import { type ExtraSamplers, NEUTRAL_SAMPLING, type SamplingParams } from './types.ts';

/** Prompts that run together, by their lengths, and how their tokens are sampled. */
export interface WarmUpRun {
  readonly promptLengths: readonly number[];
  readonly params: SamplingParams;
}

/** Rows at both ends of each class for which the planners of matrix products choose another kernel. */
const ROW_COUNTS = [1, 2, 3, 4, 5, 8, 9, 12, 16, 17, 24, 32, 33, 48, 64, 65, 96, 128, 129, 256, 257, 512, 1024, 2048];
/** Contexts for which the planner of attention may choose another split. */
const CONTEXTS = [150, 300, 600, 1200, 2500, 5000, 10_000];
/** A longer context is reached by that many steps at most. */
const MAX_STEPS = 24;

const NO_EXTRAS: ExtraSamplers = {
  typicalP: 1,
  topNSigma: 0,
  temperatureLast: false,
  dynatempRange: 0,
  dynatempExponent: 1,
  xtcProbability: 0,
  xtcThreshold: 0.1,
  dry: null,
  mirostat: null,
  repeatLastN: 64,
};

/** Three lists whose members are combined with one another. */
const TRUNCATIONS: readonly Partial<SamplingParams>[] = [
  { temperature: 0 },
  { temperature: 1 },
  { temperature: 1, topK: 2 },
  { temperature: 1, topP: 0.9 },
  { temperature: 1, minP: 0.1 },
  { temperature: 1, topK: 20, topP: 0.9, minP: 0.1 },
];
const EXTRAS: readonly (Partial<ExtraSamplers> | null)[] = [
  null,
  { typicalP: 0.9 },
  { topNSigma: 1 },
  { xtcProbability: 1 },
  { dynatempRange: 0.5 },
  { mirostat: { tau: 5, eta: 0.1 } },
  { temperatureLast: true, typicalP: 0.9, topNSigma: 1, xtcProbability: 1, dynatempRange: 0.5 },
];
const ANSWERS: readonly Partial<SamplingParams>[] = [
  {},
  { numLogprobs: 0 },
  { numLogprobs: 2 },
  { repetitionPenalty: 1.5 },
  { repetitionPenalty: 1.5, allowedTokenIds: [0], numLogprobs: 2 },
];

/**
 * Everything to record. `expertRows`: further numbers of rows at which a mixture of experts takes other kernels.
 * Limits: prompts that the options let in.
 */
export function warmUpRuns(options: SchedulerOptions, expertRows: readonly number[]): WarmUpRun[] {
  const { maxNumSeqs, maxNumBatchedTokens, maxModelLen } = options;
  const longest = maxModelLen - 2;
  const budget = Math.min(longest, maxNumBatchedTokens);
  const runs: WarmUpRun[] = [];
  const add = (promptLengths: readonly number[], params: Partial<SamplingParams>) =>
    runs.push({ promptLengths, params: { ...NEUTRAL_SAMPLING, ignoreEos: true, ...params } });

  for (const rows of upTo(ROW_COUNTS, maxNumSeqs)) {
    add(Array<number>(rows).fill(1), { maxTokens: 2 });
    add(Array<number>(rows).fill(1), { temperature: 1, topP: 0.9, numLogprobs: 2 });
  }
  for (const rows of upTo(ROW_COUNTS, budget)) add([rows], {});
  for (const rows of expertRows) {
    const prompts = promptsOf(rows, longest);
    if (rows <= maxNumBatchedTokens && prompts.length <= maxNumSeqs) add(prompts, {});
  }
  for (const context of upTo(CONTEXTS, Math.min(longest, budget * MAX_STEPS))) {
    for (const count of maxNumSeqs >= 4 ? [1, 4] : [1]) add(Array<number>(count).fill(context), { maxTokens: 2 });
  }
  // A prompt beside sequences that decode.
  if (maxNumSeqs >= 3) add([1, Math.min(40, longest), Math.min(3, longest)], { maxTokens: 3 });
  for (const length of [3, 40]) if (length <= longest) add([length], { numPromptLogprobs: 2 });

  for (const truncation of TRUNCATIONS) {
    for (const some of truncation.temperature === 0 ? [null] : EXTRAS) {
      const extras = some === null ? null : { ...NO_EXTRAS, ...some };
      for (const answer of ANSWERS) add([1], { ...truncation, ...answer, extras });
    }
  }
  return runs;
}

/** Lengths of prompts that together make a step of so many rows. */
export function promptsOf(rows: number, longest: number): number[] {
  const prompts = Array<number>(Math.floor(rows / longest)).fill(longest);
  if (rows % longest > 0) prompts.push(rows % longest);
  return prompts;
}

/** The values that are not above `most`, and `most` itself. */
function upTo(values: readonly number[], most: number): number[] {
  return [...values.filter((value) => value < most), most];
}
