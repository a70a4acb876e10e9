/**
 * The sequences of a step -> the arrays from which the GPU samples.
 *
 * Owns the arrays, which only grow, and what is kept per sequence. The order of the processors stands in `docs/sampling.md`; logprobs are
 * of the raw logits. It knows no GPU and no scheduler. Next: one file per processor here; `engine/ops/sample.ts` takes the result.
 */
import { maxTopLogprobs } from '../engine/types.ts';
import { maskWords } from './allowed.ts';
import { collectBans } from './bans.ts';
import { needsEdits, SequenceState } from './sequence-state.ts';
import type { SampleSource } from './source.ts';
import { Stages } from './stages.ts';
import { StepEdits } from './step-edits.ts';
import { NO_MIN_P, truncationOf } from './truncation.ts';

/** The arrays of the step prepared last; see `SampleBatch` in the op for shapes. Limits: arrays may be longer, the counts rule. */
export class PreparedSamples {
  numRows = 0;
  temperature = new Float32Array(0);
  drawTemperature = new Float32Array(0);
  logMinP = new Float32Array(0);
  topK = new Uint32Array(0);
  topP = new Float32Array(0);
  seedLow = new Uint32Array(0);
  seedHigh = new Uint32Array(0);
  counter = new Uint32Array(0);
  numLogprobs = new Int32Array(0);
  readonly edits = new StepEdits();
  numMasks = 0;
  maskRows = new Uint32Array(0);
  masks = new Uint32Array(0);
  usesMinP = false;
  usesTopK = false;
  usesTopP = false;
  usesDrawTemperature = false;
  readonly stages = new Stages();
  maxLogprobs = -1;
}

/** Prepares steps of one model. Not for two steps at once: each call reuses the arrays of the last. */
export class SamplingPreparer {
  private readonly out = new PreparedSamples();
  private readonly states = new WeakMap<SampleSource, SequenceState>();
  private readonly bans: number[] = [];
  private readonly repetitions = new Map<number, number>();

  constructor(
    private readonly vocab: number,
    private readonly eosTokenIds: readonly number[],
  ) {}

  /**
   * Fills the arrays, row i for the i-th sequence; each is there once. What was learnt of a sequence goes when the sequence does.
   * `positions`: of the token to sample in each, beyond the newest one where some before are not known yet; null = next to the newest.
   * Mutates: what the last call returned.
   */
  prepare(sequences: readonly SampleSource[], positions: ArrayLike<number> | null = null): PreparedSamples {
    const { out } = this;
    this.reset(sequences.length);
    for (let row = 0; row < sequences.length; row++) {
      const source = sequences[row] as SampleSource;
      const { promptIds, outputIds } = source;
      const numOutputs = positions === null ? outputIds.length : (positions[row] as number) - promptIds.length;
      const isGreedy = this.fillRow(row, source, numOutputs);
      this.fillFromState(row, source, isGreedy, numOutputs);
    }
    out.edits.collect();
    return out;
  }

  /** Must be called where the GPU was not given what was prepared last: it keeps edits from step to step. */
  forgetGpu(): void {
    this.out.edits.forgetGpu();
  }

  private reset(numRows: number): void {
    const { out } = this;
    out.numRows = numRows;
    out.numMasks = 0;
    out.usesMinP = out.usesTopK = out.usesTopP = out.usesDrawTemperature = false;
    out.stages.clear();
    out.edits.reset(numRows);
    out.maxLogprobs = -1;
    if (out.temperature.length >= numRows) return;
    const capacity = Math.max(16, numRows, 2 * out.temperature.length);
    out.temperature = new Float32Array(capacity);
    out.drawTemperature = new Float32Array(capacity);
    out.logMinP = new Float32Array(capacity);
    out.topK = new Uint32Array(capacity);
    out.topP = new Float32Array(capacity);
    out.seedLow = new Uint32Array(capacity);
    out.seedHigh = new Uint32Array(capacity);
    out.counter = new Uint32Array(capacity);
    out.numLogprobs = new Int32Array(capacity);
    out.maskRows = new Uint32Array(capacity);
  }

  /** Returns whether the row is greedy. */
  private fillRow(row: number, { params, seed, promptIds }: SampleSource, numOutputs: number): boolean {
    const { out } = this;
    const { temperature, drawTemperature, logMinP, topK, topP } = truncationOf(params, this.vocab);
    out.temperature[row] = temperature;
    out.drawTemperature[row] = drawTemperature;
    out.logMinP[row] = logMinP;
    out.topK[row] = topK;
    out.topP[row] = topP;
    out.seedLow[row] = seed[0];
    out.seedHigh[row] = seed[1];
    out.counter[row] = promptIds.length + numOutputs;
    const numLogprobs = params.numLogprobs === null ? -1 : Math.min(params.numLogprobs, maxTopLogprobs);
    out.numLogprobs[row] = numLogprobs;
    out.usesMinP ||= logMinP > NO_MIN_P;
    out.usesTopK ||= topK > 0;
    out.usesTopP ||= topP < 1;
    out.usesDrawTemperature ||= drawTemperature !== temperature;
    out.maxLogprobs = Math.max(out.maxLogprobs, numLogprobs);
    return temperature === 0;
  }

  private fillFromState(row: number, source: SampleSource, isGreedy: boolean, numOutputs: number): void {
    const { params } = source;
    const edits = needsEdits(params);
    if (!edits && params.allowedTokenIds === null && params.extras === null) return;
    let state = this.states.get(source);
    if (!state) {
      state = new SequenceState(source, this.vocab);
      this.states.set(source, state);
    }
    if (!isGreedy) this.out.stages.add(row, source, state, numOutputs);
    if (state.mask) this.copyMask(row, state.mask);
    if (edits) this.edit(row, source, state, numOutputs);
  }

  /** Brings a sequence's table up to date, with what holds in this step alone: bans, and penalties on repetitions. */
  private edit(row: number, source: SampleSource, state: SequenceState, numOutputs: number): void {
    const { table, dry } = state;
    table.endStep();
    state.update(source, numOutputs);
    collectBans(source, numOutputs, this.eosTokenIds, this.bans);
    for (const tokenId of this.bans) table.banInStep(tokenId);
    dry?.collect(source, this.repetitions);
    if (dry) for (const [tokenId, penalty] of this.repetitions) table.lowerInStep(tokenId, penalty);
    const isPending = state.countsTokens && numOutputs > source.outputIds.length;
    this.out.edits.add(row, table, source.params, isPending);
  }

  private copyMask(row: number, mask: Uint32Array): void {
    const { out } = this;
    const words = maskWords(this.vocab);
    const at = out.numMasks * words;
    out.masks = grown(out.masks, at + words);
    out.masks.set(mask, at);
    out.maskRows[out.numMasks++] = row;
  }
}

/** The array, or a larger copy: rows before the current one are in it already. */
function grown(array: Uint32Array<ArrayBuffer>, length: number): Uint32Array<ArrayBuffer> {
  if (array.length >= length) return array;
  const larger = new Uint32Array(Math.max(length, 2 * array.length));
  larger.set(array);
  return larger;
}
