/**
 * Published workloads as lengths of prompts and answers, and random draws from them.
 *
 * Pure. Source: guidellm's scenario files (github.com/vllm-project/guidellm): `src/guidellm/benchmark/scenarios/{chat,rag,concurrent-1k-1k-equal}.json`
 * and `src/guidellm/schemas/benchmark/scenarios/rhaiis/concurrent-{2ki-128,8k-1k}-equal.json`. Their shared prefixes are `prefix_buckets` of synthetic data;
 * no published file has the size that the prefix cache is judged by here, so that the lengths of `shared-prefix` are our own.
 * Next: `scenario-serve.ts` (sends them).
 */

/** A normal distribution, cut off at both ends. Units: tokens. */
export interface Lengths {
  readonly mean: number;
  readonly deviation: number;
  readonly min: number;
  readonly max: number;
}

export interface Scenario {
  /** Besides the prefix. */
  readonly prompt: Lengths;
  readonly answer: Lengths;
  /** Tokens that all prompts begin with; 0 = they have nothing in common. */
  readonly prefixTokens: number;
}

const exactly = (tokens: number): Lengths => ({ mean: tokens, deviation: 0, min: tokens, max: tokens });

export const SCENARIOS = {
  chat: {
    prompt: { mean: 512, deviation: 128, min: 1, max: 1024 },
    answer: { mean: 256, deviation: 64, min: 1, max: 1024 },
    prefixTokens: 0,
  },
  rag: {
    prompt: { mean: 4096, deviation: 512, min: 2048, max: 6144 },
    answer: { mean: 512, deviation: 128, min: 1, max: 1024 },
    prefixTokens: 0,
  },
  '1k-1k': { prompt: exactly(1000), answer: exactly(1000), prefixTokens: 0 },
  '2k-128': { prompt: exactly(2048), answer: exactly(128), prefixTokens: 0 },
  '8k-1k': { prompt: exactly(8000), answer: exactly(1000), prefixTokens: 0 },
  'shared-prefix': { prompt: exactly(64), answer: exactly(64), prefixTokens: 2048 },
} satisfies Record<string, Scenario>;

export type ScenarioName = keyof typeof SCENARIOS;

export const SCENARIO_NAMES = Object.keys(SCENARIOS) as ScenarioName[];

export function isScenarioName(text: string): text is ScenarioName {
  return Object.hasOwn(SCENARIOS, text);
}

/** The longest prompt and answer together. */
export function longestTokens({ prompt, answer, prefixTokens }: Scenario): number {
  return prefixTokens + prompt.max + answer.max;
}

/** The scenario with all lengths multiplied, for models whose context is too short for it. Figures of it compare with nothing published. */
export function scaled(scenario: Scenario, factor: number): Scenario {
  if (factor === 1) return scenario;
  const whole = (tokens: number) => Math.max(1, Math.floor(tokens * factor));
  const lengths = ({ mean, deviation, min, max }: Lengths): Lengths => ({
    ...{ mean: whole(mean), deviation: deviation * factor, min: whole(min), max: whole(max) },
  });
  return {
    prompt: lengths(scenario.prompt),
    answer: lengths(scenario.answer),
    prefixTokens: Math.floor(scenario.prefixTokens * factor),
  };
}

/** Numbers in [0, 1) that are the same in every run. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Draws a length. Mutates: the generator. */
export function drawLength({ mean, deviation, min, max }: Lengths, random: () => number): number {
  // Box-Muller; both numbers are always drawn, so that one length's spread does not shift the next one's.
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Math.min(max, Math.max(min, Math.round(mean + deviation * normal)));
}
