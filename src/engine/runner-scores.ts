/**
 * Log probabilities of prompt tokens: the rows of a step through the head in pieces, each token against the row before it.
 *
 * Owns which rows of a step are scored and the buffer of their records. The logits' room is used piece by piece, so that memory does not
 * grow with the prompt. Next: `ops/logprobs.ts` (what a record holds), `runner.ts` (who calls it, between layers and sampling).
 */
import type { GpuBuffer } from './gpu/buffer.ts';
import type { Decoder } from './models/decoder.ts';
import type { OpContext } from './ops/context.ts';
import { type LogprobsScratch, recordLogprobs, recordWords } from './ops/logprobs.ts';
import { readScored } from './ops/sample-records.ts';
import type { Tensor } from './ops/tensor.ts';
import type { StepPlan } from './plan.ts';
import type { Sequence } from './sequence.ts';
import { maxTopLogprobs, type PromptLogprobs } from './types.ts';

/** Rows of one entry, following each other in the step and in the sequence. */
export interface RowsToScore {
  readonly sequence: Sequence;
  /** Row in the step, and its position in the sequence. */
  readonly firstRow: number;
  readonly firstPosition: number;
  readonly numRows: number;
}

/** The entries of a plan that have rows to score, in their order; none in most steps. */
export function entriesToScore(plan: StepPlan): RowsToScore[] {
  const found: RowsToScore[] = [];
  let row = 0;
  for (const { sequence, start, numTokens } of plan.entries) {
    const numRows = sequence.numRowsToScoreIn(start, numTokens);
    const firstPosition = Math.max(start, sequence.numScoredRows);
    if (numRows > 0) found.push({ sequence, firstRow: row + firstPosition - start, firstPosition, numRows });
    row += numTokens;
  }
  return found;
}

/** Scores the rows of a step whose layers have been recorded. */
export class PromptScorer {
  private records: GpuBuffer | null = null;

  constructor(
    private readonly context: OpContext,
    private readonly decoder: Decoder,
    /** Where the decoder puts logits; its rows bound a piece. */
    private readonly logits: Tensor,
    /** For as many rows as the logits have. */
    private readonly scratch: LogprobsScratch,
  ) {}

  /** One list for each entry. Throws: EngineError when the device failed. */
  async run(entries: readonly RowsToScore[]): Promise<PromptLogprobs[][]> {
    const { recorder } = this.context;
    const { rows, targets, numLogprobs } = flatten(entries);
    const words = recordWords(numLogprobs.reduce((most, count) => Math.max(most, count), 0));
    const bytes = rows.length * words * 4;
    const records = this.recordsOf(bytes);
    for (let first = 0; first < rows.length; first += this.logits.rows) {
      const end = Math.min(rows.length, first + this.logits.rows);
      // Submitted piece by piece: the parameters of many pieces would not fit into one step.
      if (first > 0) recorder.submit();
      this.record(rows.subarray(first, end), targets.subarray(first, end), numLogprobs.subarray(first, end), {
        records,
        recordWords: words,
        firstRecord: first,
      });
    }
    const scores = readScored(await recorder.submitAndRead(records, bytes), numLogprobs, words, this.logits.columns);
    let at = 0;
    return entries.map(({ numRows }) => {
      at += numRows;
      return scores.slice(at - numRows, at);
    });
  }

  private record(
    rows: Uint32Array,
    targets: Uint32Array,
    numLogprobs: Int32Array,
    where: { readonly records: GpuBuffer; readonly recordWords: number; readonly firstRecord: number },
  ): void {
    const { recorder } = this.context;
    recordLogprobs(this.context, {
      logits: this.decoder.recordLogits(recorder.words(rows), rows.length),
      vocab: this.logits.columns,
      numRows: rows.length,
      numLogprobs: recorder.words(numLogprobs),
      targets: recorder.words(targets),
      scratch: this.scratch,
      ...where,
    });
  }

  private recordsOf(bytes: number): GpuBuffer {
    const { device } = this.context;
    if (this.records !== null && this.records.bytes >= bytes) return this.records;
    if (this.records !== null) device.destroyBuffer(this.records);
    this.records = device.createBuffer('prompt logprobs', bytes);
    return this.records;
  }
}

/** The entries' rows one after the other, with the token that each has to predict. */
function flatten(entries: readonly RowsToScore[]) {
  const total = entries.reduce((sum, entry) => sum + entry.numRows, 0);
  const rows = new Uint32Array(total);
  const targets = new Uint32Array(total);
  const numLogprobs = new Int32Array(total);
  let at = 0;
  for (const { sequence, firstRow, firstPosition, numRows } of entries) {
    for (let i = 0; i < numRows; i++, at++) {
      rows[at] = firstRow + i;
      targets[at] = sequence.tokenAt(firstPosition + i + 1);
      numLogprobs[at] = Math.min(sequence.params.numPromptLogprobs ?? 0, maxTopLogprobs);
    }
  }
  return { rows, targets, numLogprobs };
}
