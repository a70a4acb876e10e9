/**
 * Rows with further samplers, for tests: their parameters, and the check of a row against the reference.
 */
import { expect } from 'bun:test';
import type { ExtraSamplers, SamplingParams } from '../../src/engine/types.ts';
import type { SampleSource } from '../../src/sampling/source.ts';
import { drawReference, editedReference, gumbelReference, philox } from '../reference/sample.ts';
import { type Chain, type ChainState, chainReference } from '../reference/sample-extras.ts';
import type { SampledBatch } from './sampling.ts';
import { expectClose } from './tolerance.ts';

/** All off. */
export const NO_EXTRAS: ExtraSamplers = {
  typicalP: 1,
  topNSigma: 0,
  temperatureLast: false,
  dynatempRange: 0,
  dynatempExponent: 1,
  xtcProbability: 0,
  xtcThreshold: 0.1,
  dry: null,
  mirostat: null,
  repeatLastN: -1,
};

export function extras(changes: Partial<ExtraSamplers>): { extras: ExtraSamplers } {
  return { extras: { ...NO_EXTRAS, ...changes } };
}

/** How much thresholds are moved to see which tokens float32 may decide either way. */
const CLOSE = 2e-5;

/** The coin that a row's seed and position give. */
export function coinOf({ seed, promptIds, outputIds }: SampleSource): number {
  return ((philox([0, promptIds.length + outputIds.length, 1, 0], seed)[0] ?? 0) + 0.5) / 2 ** 32;
}

/** Checks a row's edits, kept tokens, temperature and draw. Returns what the reference keeps. */
export function checkExtras(
  row: SampleSource,
  raw: Float32Array,
  got: SampledBatch,
  index: number,
  mu = Number.NaN,
): Chain {
  const { params } = row;
  const what = `V=${raw.length} row ${index} ${JSON.stringify({ ...params, bannedSequences: 0, logitBias: 0 })}`;
  const edited = got.edited[index] ?? new Float32Array(0);
  expectClose('logprob', edited, editedReference(raw, { ...row, eosTokenIds: [] }), what, 50);
  const state: ChainState = { coin: coinOf(row), mu, shift: 0 };
  const chain = chainReference(edited, params, state);
  const variants = [-CLOSE, CLOSE].flatMap((by) =>
    [-CLOSE, CLOSE].map((shift) => {
      const moved = { ...state, mu: mu + by, shift };
      return new Set(chainReference(edited, perturbed(params, by), moved).kept);
    }),
  );
  const want = new Set(chain.kept);
  const kept = new Set(got.kept[index] ?? []);
  for (let id = 0; id < raw.length; id++) {
    if (kept.has(id) === want.has(id) || !((edited[id] ?? 0) > -1e30)) continue;
    const isClose = variants.some((variant) => variant.has(id) !== want.has(id));
    if (!isClose) throw new Error(`${what}: token ${id} kept: ${kept.has(id)}, expected ${want.has(id)}`);
  }
  const temperature = got.temperatures[index] ?? -1;
  if (kept.size === want.size) expectClose('logprob', [temperature], [chain.temperature], `${what} temperature`, 5);
  const counter = row.promptIds.length + row.outputIds.length;
  const draw = drawReference(edited, [...kept], temperature, gumbelReference(raw.length, row.seed, counter));
  const token = got.rows[index]?.tokenId ?? -1;
  if (token !== draw.token && draw.gap > 1e-5 * (50 + temperature)) {
    throw new Error(`${what}: token ${token}, expected ${draw.token}`);
  }
  expect(kept.has(token)).toBe(true);
  return chain;
}

function perturbed(params: SamplingParams, by: number): SamplingParams {
  const { extras: known } = params;
  if (known === null) return params;
  return {
    ...params,
    topP: params.topP * (1 + by),
    minP: params.minP * (1 - by),
    extras: {
      ...known,
      typicalP: known.typicalP * (1 + by),
      topNSigma: known.topNSigma * (1 + by),
      xtcThreshold: known.xtcThreshold > 0.499 ? known.xtcThreshold : known.xtcThreshold * (1 + by),
    },
  };
}
