/**
 * The engine's aims on a GPU against what was measured: each is met, missed, or not measured here.
 *
 * Pure. A software adapter is never judged: its figures say nothing about a GPU. Next: `engine.ts` (measures), `engine-report.ts` (prints).
 */
import type { MatrixFormat } from '../../src/engine/ops/tensor.ts';
import { HOST_SEQUENCES } from './engine-cases.ts';
import type { ShapeName } from './model-shapes.ts';

/** What is needed of a measured case. */
export interface JudgedCase {
  readonly model: ShapeName;
  readonly dtype: MatrixFormat;
  readonly kind: 'decode' | 'prefill';
  readonly sequences: number;
  readonly tokens: number;
  readonly stepMs: number;
  readonly memoryMs: number;
  readonly tokensPerSecond: number;
  readonly f32Share: number;
  readonly matrixShare: number | null;
  readonly hostCpuMs: number | null;
}

export interface Verdict {
  readonly target: string;
  readonly status: 'met' | 'missed' | 'not measured here';
  /** What was measured, in words; empty where nothing was. */
  readonly measured: string;
}

/** Throughput of two batches of one model at one context. */
export interface BatchRatio {
  readonly model: ShapeName;
  readonly dtype: MatrixFormat;
  readonly context: number;
  readonly ratio: number;
}

const LARGE_BATCH = 32;
const LEAST_BATCH_RATIO = 20;
const MOST_HOST_MS = 0.3;
const LEAST_BANDWIDTH_SHARES: readonly (readonly [ShapeName, string, number])[] = [
  ['llama-3.1-8b', '8B', 0.6],
  ['llama-3.2-1b', '1B', 0.45],
];
const PREFILL = { model: 'llama-3.1-8b', tokens: 2048, leastOfMatrix: 0.35, leastOfF32: 0.6 } as const;

/** Batch 32 against batch 1, for each model and context that has both. */
export function batchRatios(cases: readonly JudgedCase[]): BatchRatio[] {
  const decodes = cases.filter(({ kind }) => kind === 'decode');
  return decodes
    .filter(({ sequences }) => sequences === LARGE_BATCH)
    .flatMap((large) => {
      const { model, dtype, tokens } = large;
      const one = decodes.find((it) => it.sequences === 1 && it.model === model && it.tokens === tokens);
      return one ? [{ model, dtype, context: tokens, ratio: large.tokensPerSecond / one.tokensPerSecond }] : [];
    });
}

/** Judges all aims. */
export function judgeTargets(cases: readonly JudgedCase[], isSoftware: boolean): Verdict[] {
  const judged = isSoftware ? [] : cases;
  const halves = judged.filter(({ dtype }) => dtype === 'bf16' || dtype === 'f16');
  return [
    ...LEAST_BANDWIDTH_SHARES.map(([model, name, least]) => {
      const one = shortest(halves, (it) => it.model === model && it.kind === 'decode' && it.sequences === 1);
      const target = `decode of 1, ${name}, bf16 or f16: at least ${percent(least)} of the measured bandwidth`;
      return verdict(target, one && one.memoryMs / one.stepMs, least, (share) => `${percent(share)}${at(one)}`);
    }),
    ...ratioVerdicts(judged),
    prefillVerdict(halves),
    hostVerdict(judged),
  ];
}

function ratioVerdicts(cases: readonly JudgedCase[]): Verdict[] {
  const target = `decode of ${LARGE_BATCH}: at least ${LEAST_BATCH_RATIO} times the throughput of 1`;
  const seen = new Set<string>();
  const shortestOfEach = batchRatios(cases)
    .toSorted((a, b) => a.context - b.context)
    .filter(({ model }) => !seen.has(model) && seen.add(model));
  if (shortestOfEach.length === 0) return [verdict(target, undefined, LEAST_BATCH_RATIO, String)];
  return shortestOfEach.map(({ model, context, ratio }) =>
    verdict(`${target}, ${model}`, ratio, LEAST_BATCH_RATIO, (it) => `${it.toFixed(1)} times at ${context}`),
  );
}

function prefillVerdict(cases: readonly JudgedCase[]): Verdict {
  const { model, tokens, leastOfMatrix, leastOfF32 } = PREFILL;
  const one = cases.find((it) => it.model === model && it.kind === 'prefill' && it.tokens === tokens);
  const what = `prefill of ${tokens}, 8B, bf16 or f16: at least`;
  if (one === undefined) {
    const target = `${what} ${percent(leastOfMatrix)} of the measured f16 matrix rate, or ${percent(leastOfF32)} of f32`;
    return verdict(target, undefined, 0, percent);
  }
  return one.matrixShare === null
    ? verdict(`${what} ${percent(leastOfF32)} of the measured f32 rate`, one.f32Share, leastOfF32, percent)
    : verdict(
        `${what} ${percent(leastOfMatrix)} of the measured f16 matrix rate`,
        one.matrixShare,
        leastOfMatrix,
        percent,
      );
}

function hostVerdict(cases: readonly JudgedCase[]): Verdict {
  const times = cases.flatMap(({ kind, sequences, hostCpuMs }) =>
    kind === 'decode' && sequences === HOST_SEQUENCES && hostCpuMs !== null ? [hostCpuMs] : [],
  );
  const target = `host, decode of ${HOST_SEQUENCES}: at most ${MOST_HOST_MS} ms of CPU per step`;
  if (times.length === 0) return { target, status: 'not measured here', measured: '' };
  const most = Math.max(...times);
  return { target, status: most <= MOST_HOST_MS ? 'met' : 'missed', measured: `${most.toFixed(2)} ms` };
}

function verdict(target: string, value: number | undefined, least: number, say: (value: number) => string): Verdict {
  if (value === undefined) return { target, status: 'not measured here', measured: '' };
  return { target, status: value >= least ? 'met' : 'missed', measured: say(value) };
}

function shortest(cases: readonly JudgedCase[], isIt: (one: JudgedCase) => boolean): JudgedCase | undefined {
  return cases.filter(isIt).toSorted((a, b) => a.tokens - b.tokens)[0];
}

function at(one: JudgedCase | undefined): string {
  return one ? ` at ${one.tokens}` : '';
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}
