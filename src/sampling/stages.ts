/**
 * Which of the further samplers a row takes part in, and with which numbers.
 *
 * Owns the translation of `ExtraSamplers` into the entries of the GPU's stages. Greedy rows take part in none: the best token survives
 * every truncation but XTC, which would defeat greediness. Next: `prepare.ts`; `engine/ops/sample-extras.ts` (the stages).
 */
import { MirostatState } from './mirostat.ts';
import { uniformOf } from './random.ts';
import type { SequenceState } from './sequence-state.ts';
import type { SampleSource } from './source.ts';
import { StageRows } from './stage-rows.ts';

/** Above this no two tokens can reach the threshold, and XTC does nothing. */
const MAX_XTC_THRESHOLD = 0.5;

/** A logarithm that is below that of every probability, and finite. */
const LOWEST_LOG = -1e4;

/** Entries of a step. */
export class Stages {
  /** Deviations to keep. */
  readonly sigma = new StageRows();
  /** Probability to keep. */
  readonly typical = new StageRows();
  /** Natural logarithm of the threshold; only rows whose coin fell for it. */
  readonly xtc = new StageRows();
  /** Lowest temperature, highest temperature, exponent. */
  readonly dynatemp = new StageRows();
  /** Bits of surprise allowed. */
  readonly mirostat = new StageRows();
  /** Parallel to `mirostat`. */
  readonly feedback: MirostatState[] = [];

  clear(): void {
    for (const rows of [this.sigma, this.typical, this.xtc, this.dynatemp, this.mirostat]) rows.clear();
    this.feedback.length = 0;
  }

  /** Enters a row that is not greedy; `numOutputs` tokens come before the one to sample. Mutates: state. */
  add(row: number, source: SampleSource, state: SequenceState, numOutputs: number): void {
    const { params, seed, promptIds } = source;
    const { extras, temperature } = params;
    if (extras === null) return;
    if (extras.mirostat) {
      state.mirostat ??= new MirostatState(extras.mirostat);
      this.mirostat.add(row, state.mirostat.begin(numOutputs));
      this.feedback.push(state.mirostat);
      return;
    }
    if (extras.topNSigma > 0) this.sigma.add(row, extras.topNSigma);
    if (extras.typicalP < 1) this.typical.add(row, extras.typicalP);
    const { xtcProbability, xtcThreshold, dynatempRange } = extras;
    if (xtcProbability > 0 && xtcThreshold <= MAX_XTC_THRESHOLD) {
      const isExcluding = uniformOf(seed, promptIds.length + numOutputs) <= xtcProbability;
      if (isExcluding) this.xtc.add(row, Math.max(LOWEST_LOG, Math.log(xtcThreshold)));
    }
    if (dynatempRange > 0) {
      const lowest = Math.max(0, temperature - dynatempRange);
      this.dynatemp.add(row, lowest, temperature + dynatempRange, extras.dynatempExponent);
    }
  }
}
