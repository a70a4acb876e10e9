/**
 * What sampling takes in: the arrays of one step, row by row.
 *
 * Owns the shape and the neutral values, and no code. Next: `sampling/prepare.ts` (who fills it), `sample.ts` (who reads it).
 */
import type { ExtraStages } from './sample-extras.ts';

/** Words of {@link EditBatch.rows} per row, and of a patch. */
export const EDIT_ROW_WORDS = 9;
export const PATCH_WORDS = 5;

/**
 * Changes to logits. The GPU keeps a heap of edits from step to step: (token, f32 bias (-1e30 or less = ban), 2 * occurrences in the output
 * + 1 where the token occurs at all, f32 penalty to subtract). A step brings what changed.
 */
export interface EditBatch {
  /** Most edits of one row; 0 = none has any. */
  readonly maxEdits: number;
  /** Edits for which the heap must have room. When it grows, all that rows of this step need of it is in `uploads`. */
  readonly capacity: number;
  /**
   * First edit in the heap; edits, a token at most once; how many of them the heap had before the patches; first patch; patches; f32
   * repetition (1 = none), frequency and presence penalty; 1 where the newest token is in its slot alone and must be counted, else 0. Of a
   * row without edits only the second and the last word are set. Shapes: [rows][EDIT_ROW_WORDS].
   */
  readonly rows: Uint32Array;
  readonly numPatches: number;
  /** Index among the row's edits, then the edit. Of two for one edit the last holds. Shapes: [numPatches][PATCH_WORDS]. */
  readonly patches: Uint32Array;
  /** Edits to be written into the heap, from `start` on, before the step. */
  readonly uploads: readonly { readonly start: number; readonly words: Uint32Array<ArrayBuffer> }[];
}

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
  readonly edits: EditBatch;
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
