/**
 * What sampling takes in: the arrays of one step, row by row.
 *
 * Owns the shape and the neutral values, and no code. Next: `sampling/prepare.ts` (who fills it), `sample.ts` (who reads it).
 */
import type { ExtraStages } from './sample-extras.ts';

/** What the rows of a step ask for. Limits: arrays may be longer than their shape; the counts rule. */
export interface SampleBatch {
  readonly numRows: number;
  /** Of the probabilities that truncation looks at. 0 = greedy: no noise, no truncation. Shapes: [rows], as all to `numLogprobs`. */
  readonly temperature: Float32Array;
  /** Of the draw; -1 = as `stages.dynatemp` finds. Read only where `usesDrawTemperature`. */
  readonly drawTemperature: Float32Array;
  /** Natural logarithm of min-p; -1e30 or less = off. */
  readonly logMinP: Float32Array;
  /** 0 = off, else at most the vocabulary. */
  readonly topK: Uint32Array;
  /** 1 = off. */
  readonly topP: Float32Array;
  readonly seedLow: Uint32Array;
  readonly seedHigh: Uint32Array;
  /** Position of the token to sample in its sequence: with the seed it determines the noise. */
  readonly counter: Uint32Array;
  /** -1 = none, 0 = the sampled token's, n = also the n most probable tokens'. */
  readonly numLogprobs: Int32Array;
  /** Row r has the edits editStart[r] to editStart[r + 1] - 1; a token at most once. Shapes: [rows + 1]. */
  readonly editStart: Uint32Array;
  readonly numEdits: number;
  /** Most edits of one row. */
  readonly maxEdits: number;
  /** Token, then as f32 bits: bias (-1e30 or less = ban), repetition penalty (1 = none), penalty to subtract. Shapes: [numEdits][4]. */
  readonly edits: Uint32Array<ArrayBuffer>;
  readonly numMasks: number;
  /** The row of each mask, at most one per row. Shapes: [numMasks]. */
  readonly maskRows: Uint32Array;
  /** A bit per token, lowest first; 0 = not allowed. Shapes: [numMasks][ceil(V / 32)]. */
  readonly masks: Uint32Array<ArrayBuffer>;
  /** True when some row has it on. */
  readonly usesMinP: boolean;
  readonly usesTopK: boolean;
  readonly usesTopP: boolean;
  /** True when some row's two temperatures differ. */
  readonly usesDrawTemperature: boolean;
  readonly stages: ExtraStages;
  /** Largest `numLogprobs`. Limits: `maxTopLogprobs`. */
  readonly maxLogprobs: number;
}
