/**
 * Which decodes and prefills `bench engine` measures by default, and in what order: what the targets ask for comes first.
 *
 * Pure. Next: `engine.ts` (measures them), `targets.ts` (judges).
 */
import type { ShapeName } from './model-shapes.ts';
import type { Patience } from './step-driver.ts';

export interface Case {
  readonly kind: 'decode' | 'prefill';
  readonly sequences: number;
  /** Of a decode: the context; of a prefill: the prompt. */
  readonly tokens: number;
}

/** What a user asks for; null: a default that suits the adapter. */
export interface WantedCases {
  readonly batches: readonly number[] | null;
  readonly contexts: readonly number[] | null;
  readonly prefills: readonly number[] | null;
}

interface Defaults {
  /** A model may have others in its place, which are taken where it does not fit the memory. */
  readonly models: readonly (readonly ShapeName[])[];
  readonly batches: readonly number[];
  readonly contexts: readonly number[];
  readonly prefills: readonly number[];
  readonly patience: Omit<Patience, 'budgetMs'>;
}

/** What is measured by default: on a CPU only what ends soon. */
const DEFAULTS: Record<'software' | 'gpu', Defaults> = {
  software: {
    models: [['demo'], ['smollm-135m']],
    ...{ batches: [1, 8], contexts: [128], prefills: [128] },
    patience: { warmUpRuns: 1, minRuns: 3, maxRuns: 20 },
  },
  gpu: {
    models: [['llama-3.1-8b'], ['llama-3.2-1b'], ['qwen3-0.6b'], ['mixtral-8x7b', 'mixtral-8x7b-2-layers']],
    ...{ batches: [1, 32, 8, 128], contexts: [128, 2048, 8192, 32_768], prefills: [2048, 512, 8192] },
    patience: { warmUpRuns: 5, minRuns: 10, maxRuns: 100 },
  },
};
/** The host's time is judged by a decode of so many sequences. */
export const HOST_SEQUENCES = 64;

/** Models in the order in which they are measured, each with what takes its place; and how long to measure a case. */
export function defaultsFor(isSoftware: boolean): Pick<Defaults, 'models' | 'patience'> {
  return DEFAULTS[isSoftware ? 'software' : 'gpu'];
}

/** The cases of each model: decodes of the first context, then prefills, then decodes of the longer contexts. */
export function casesFor(wanted: WantedCases, isSoftware: boolean): Case[] {
  const defaults = DEFAULTS[isSoftware ? 'software' : 'gpu'];
  const [first, ...longer] = wanted.contexts ?? defaults.contexts;
  const batches = wanted.batches ?? defaults.batches;
  const decodes = (tokens: number) => batches.map((sequences): Case => ({ kind: 'decode', sequences, tokens }));
  const forHost: Case[] =
    wanted.batches === null && !isSoftware && first !== undefined
      ? [{ kind: 'decode', sequences: HOST_SEQUENCES, tokens: first }]
      : [];
  return [
    ...(first === undefined ? [] : decodes(first)),
    ...forHost,
    ...(wanted.prefills ?? defaults.prefills).map((tokens): Case => ({ kind: 'prefill', sequences: 1, tokens })),
    ...longer.flatMap(decodes),
  ];
}

export function caseName({ kind, sequences, tokens }: Case): string {
  return kind === 'decode' ? `decode of ${sequences} at ${tokens}` : `prefill of ${tokens}`;
}
