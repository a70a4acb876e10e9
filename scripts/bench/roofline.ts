/**
 * How fast a step could be at best: bytes it must move, operations it must do, dispatches that wait for one another.
 *
 * Pure arithmetic over a model's spec; measured rates come in. Activations are left out of the bytes: they are small and mostly stay in caches.
 * Next: `ceilings.ts` and `dispatch-cost.ts` (the rates), `engine.ts` (who asks).
 */
import type { ModelSpec, MoeSpec } from '../../src/engine/models/spec.ts';
import { isQuantised, type MatrixFormat, storedBytes } from '../../src/engine/ops/tensor.ts';
import { groupsFor } from '../../src/engine/weights/quantise.ts';
import type { Ceilings } from './ceilings.ts';

/** A step, or several that make up a prefill. */
export interface StepShape {
  readonly sequences: number;
  /** Tokens that each sequence computes. */
  readonly newTokens: number;
  /** Tokens that each sequence has afterwards. */
  readonly context: number;
  /** Steps it is spread over: each reads the weights. */
  readonly numSteps: number;
}

export interface Work {
  readonly bytes: number;
  /** A multiply-add counts as two. */
  readonly operations: number;
}

/**
 * How many of `numExperts` experts `numTokens` tokens go to, if each chooses `topK` different ones and all are equally likely:
 * numExperts * (1 - (1 - topK / numExperts) ^ numTokens).
 */
export function expectedExperts(numExperts: number, topK: number, numTokens: number): number {
  return numExperts * (1 - (1 - topK / numExperts) ** numTokens);
}

/** Weights of all layers' matrices, with so many experts in each layer that is a mixture. Units: elements. */
function layerParameters(spec: ModelSpec, expertsOf: (moe: MoeSpec) => number): number {
  const q = spec.heads * spec.headDim;
  const kv = spec.kvHeads * spec.headDim;
  const { hidden, moe } = spec;
  let sum = 0;
  for (const { ffn } of spec.layers) {
    sum += hidden * (2 * q + 2 * kv);
    if (ffn === 'dense' || !moe) sum += 3 * hidden * spec.ffn;
    else sum += hidden * (moe.numExperts + 3 * (expertsOf(moe) * moe.ffn + (moe.sharedFfn ?? 0)));
  }
  return sum;
}

/** Bytes of one element of a layer's matrix, with its share of a scale, and of one of a table, which stays in 16 bits. */
function elementBytes(spec: ModelSpec, format: MatrixFormat): { layers: number; tables: number } {
  const bytes = storedBytes(format);
  if (!isQuantised(format)) return { layers: bytes, tables: bytes };
  const groups = groupsFor(format, spec.hidden);
  return { layers: groups ? bytes + 4 / groups.size : 2, tables: 2 };
}

/** What the matrices take in memory; a tied head counts once. Units: bytes. */
export function weightBytes(spec: ModelSpec, format: MatrixFormat): number {
  const element = elementBytes(spec, format);
  const tables = (spec.tiedHead ? 1 : 2) * spec.vocab * spec.hidden;
  return element.layers * layerParameters(spec, ({ numExperts }) => numExperts) + element.tables * tables;
}

/**
 * What a step must at least move and do. `kvBytes`: of one element of the cache.
 * Of a mixture it reads the experts that its tokens are expected to go to, and computes those that each token goes to.
 */
export function stepWork(spec: ModelSpec, format: MatrixFormat, kvBytes: number, step: StepShape): Work {
  const { sequences, newTokens, context, numSteps } = step;
  const element = elementBytes(spec, format);
  const tokensPerStep = (sequences * newTokens) / numSteps;
  const read = layerParameters(spec, ({ numExperts, topK }) => expectedExperts(numExperts, topK, tokensPerStep));
  const computed = layerParameters(spec, ({ topK }) => topK);
  const head = spec.vocab * spec.hidden;
  let cached = 0;
  let pairs = 0;
  for (const { window } of spec.layers) {
    // Query i of the new ones sees the tokens before it, itself included, as far as the window reaches.
    let seen = newTokens * (context - (newTokens - 1) / 2);
    if (window !== null && window < context) {
      const short = Math.max(0, window - (context - newTokens));
      const ramp = Math.min(newTokens, short);
      seen = ramp * (context - newTokens) + (ramp * (ramp + 1)) / 2 + (newTokens - ramp) * window;
    }
    pairs += sequences * seen;
    cached += sequences * Math.min(context, window === null ? context : window + newTokens - 1);
  }
  return {
    bytes:
      numSteps * element.layers * read + element.tables * head + cached * 2 * spec.kvHeads * spec.headDim * kvBytes,
    operations: 2 * sequences * newTokens * computed + 2 * sequences * head + 4 * pairs * spec.heads * spec.headDim,
  };
}

/** Bounds of a step's time and how near a measured time comes to them. Units: milliseconds; shares from 0 to 1. */
export interface Bounds {
  readonly memoryMs: number;
  readonly arithmeticMs: number;
  readonly dispatchMs: number;
  readonly boundBy: 'memory' | 'arithmetic' | 'dispatches';
  /** What its matrix products are computed with, whose rate bounds it. */
  readonly path: ArithmeticPath;
  /** Operations over the measured rate of f32, and of matrices where there are any. */
  readonly f32Share: number;
  readonly matrixShare: number | null;
  /** Of the longer one of memory and arithmetic. */
  readonly rooflineShare: number;
  /** Of that and the dispatches, one after the other. */
  readonly shareWithDispatches: number;
}

export interface Rates extends Ceilings {
  /** Of one small dispatch that waits for the one before. Units: milliseconds. */
  readonly dispatchMs: number;
}

/** Units that can do a step's matrix products. */
export type ArithmeticPath = 'f32' | 'matrix' | 'dp4a';

/** The units that a step's kernels take for its products, by the kernels' labels. */
export function arithmeticPath(labels: Iterable<string>): ArithmeticPath {
  const all = [...labels];
  if (all.some((label) => /^(moe-)?matmul-matrix\b/.test(label))) return 'matrix';
  return all.some((label) => /\bDP4A=true\b|^(moe-)?matmul-dp4a\b/.test(label)) ? 'dp4a' : 'f32';
}

/** The measured rate of some units. Units: operations per second. */
export function rateOf({ arithmetic, matrix, dp4a }: Ceilings, path: ArithmeticPath): number {
  return { f32: arithmetic, matrix: matrix ?? arithmetic, dp4a }[path];
}

/** Compares a measured time with what the adapter's measured rates allow. */
export function boundsOf(
  work: Work,
  rates: Rates,
  numDispatches: number,
  measuredMs: number,
  path: ArithmeticPath = 'f32',
): Bounds {
  const memoryMs = (work.bytes / rates.bandwidth) * 1000;
  const arithmeticMs = (work.operations / rateOf(rates, path)) * 1000;
  const dispatchMs = numDispatches * rates.dispatchMs;
  const rooflineMs = Math.max(memoryMs, arithmeticMs);
  const boundBy = dispatchMs > rooflineMs ? 'dispatches' : memoryMs > arithmeticMs ? 'memory' : 'arithmetic';
  const reached = work.operations / (measuredMs / 1000);
  return {
    ...{ memoryMs, arithmeticMs, dispatchMs, boundBy, path },
    f32Share: reached / rates.arithmetic,
    matrixShare: rates.matrix === null ? null : reached / rates.matrix,
    rooflineShare: rooflineMs / measuredMs,
    shareWithDispatches: (rooflineMs + dispatchMs) / measuredMs,
  };
}
