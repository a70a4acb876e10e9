/**
 * Sampling: edited logits, truncation, one token per row, and its record for the read-back.
 *
 * Owns the order of the dispatches: raw logprobs, masks, edits (bias, bans, penalties), top-n-sigma, min-p, top-k, typical, top-p, XTC,
 * dynamic temperature, draw, pick; or Mirostat in place of all from top-n-sigma on. Stages that no row needs are not dispatched, and
 * neighbours never change a row's result. Shaders: sample-*.wgsl, one per stage.
 * Next: `sample-extras.ts` (the stages that few rows use), `sampling/prepare.ts` (who fills a {@link SampleBatch}), `sample-records.ts`
 * (reads the result).
 */
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { GpuDevice } from '../gpu/device.ts';
import { struct } from '../gpu/layout.ts';
import type { ParamValue } from '../gpu/preprocess.ts';
import { maxTopLogprobs } from '../types.ts';
import { type OpContext, variant } from './context.ts';
import {
  allocateLogprobsScratch,
  type LogprobsScratch,
  numChunks,
  recordLogprobs,
  recordWords,
  SAMPLE_CHUNK,
  SAMPLE_WG,
} from './logprobs.ts';
import { EDIT_ROW_WORDS, PATCH_WORDS, type SampleBatch } from './sample-batch.ts';
import {
  allocateExtraScratch,
  type ExtraScratch,
  type ExtraShader,
  Extras,
  type StageEntries,
  usesExtras,
} from './sample-extras.ts';
import type { SampleReadback } from './sample-records.ts';
import type { StepArray, Tensor } from './tensor.ts';

/** Of all stages; each shader uses what it needs. `temperature` to `mask_rows`, `stage` and `slots` are offsets of arrays in the step's arena. */
const sampleParams = struct('SampleParams', {
  vocab: 'u32',
  stride: 'u32',
  chunks: 'u32',
  max_rows: 'u32',
  record_words: 'u32',
  digit: 'u32',
  temperature: 'u32',
  draw_temperature: 'u32',
  log_min_p: 'u32',
  top_k: 'u32',
  top_p: 'u32',
  seed_low: 'u32',
  seed_high: 'u32',
  counter: 'u32',
  num_logprobs: 'u32',
  edit_rows: 'u32',
  patches: 'u32',
  mask_rows: 'u32',
  mask_words: 'u32',
  stage: 'u32',
  slots: 'u32',
  skips_plain: 'u32',
  narrow_stages: 'u32',
  narrow_lanes: 'u32',
});

/** Digits of typical sampling's radix search and its bins per digit, as in sample-band.wgsl. */
const NUM_DIGITS = 5;
const NUM_BINS = 128;

/**
 * How a workgroup searches a row: its invocations, and the loads that each has in flight. One workgroup does a row, so that a GPU must be
 * given enough at once to hide its memory's latency; on a CPU a barrier costs for each invocation.
 */
const NARROW = {
  gpu: { WG: 256, LOADS: 4, LIST: 1024, BITS: 8 },
  software: { WG: 16, LOADS: 1, LIST: 128, BITS: 7 },
} as const;

const EDIT_BYTES = 16;

/** Bits of `narrow_stages`, as in sample-narrow.wgsl. */
const NARROW_STAGE = { start: 1, topK: 2, topP: 4 } as const;

/** Batches of blocks times blocks of a batch in sample-narrow.wgsl, times logits of a block. */
const MAX_VOCAB = 64 * 512 * (SAMPLE_CHUNK / SAMPLE_WG);

/** The blocks of a row, as in blocks.wgsl. */
const BLOCKS = { CHUNK: SAMPLE_CHUNK, LANES: SAMPLE_WG } as const;

/**
 * Buffers of sampling, for a number of rows and a vocabulary. Edits, saved logits and masks grow with what is asked for. Edits are kept
 * from step to step: all batches come from one preparer.
 */
export interface SampleScratch {
  readonly maxRows: number;
  readonly vocab: number;
  readonly logprobs: LogprobsScratch;
  /** What sample-survey.wgsl finds of each block. Shapes: [maxRows][chunks][SAMPLE_WG][2]. */
  readonly blocks: GpuBuffer;
  /** Shapes: [maxRows][4], see kept.wgsl. */
  readonly limits: GpuBuffer;
  readonly bins: GpuBuffer;
  readonly intervals: GpuBuffer;
  readonly best: GpuBuffer;
  readonly extras: ExtraScratch;
  /** What is read back: see {@link recordWords}. */
  readonly records: GpuBuffer;
  /** The newest token of each slot, kept from step to step. Shapes: [maxRows]. */
  readonly nextTokens: GpuBuffer;
  edits: GpuBuffer;
  saved: GpuBuffer;
  masks: GpuBuffer;
}

/** Throws: Error for vocabularies that the search of a row has no room for. */
export function allocateSampleScratch(device: GpuDevice, maxRows: number, vocab: number): SampleScratch {
  if (vocab > MAX_VOCAB) throw new Error(`sampling: a vocabulary of ${vocab}, room for ${MAX_VOCAB}`);
  const parts = maxRows * numChunks(vocab);
  const isFused = numChunks(vocab) === 1;
  return {
    maxRows,
    vocab,
    logprobs: allocateLogprobsScratch(device, maxRows, vocab),
    blocks: device.createBuffer('sample blocks', parts * SAMPLE_WG * 8),
    limits: device.createBuffer('sample limits', maxRows * 16),
    bins: device.createBuffer('sample bins', isFused ? 16 : 2 * parts * NUM_BINS * 4),
    intervals: device.createBuffer('sample intervals', maxRows * 8 * 16),
    best: device.createBuffer('sample best', parts * 8),
    extras: allocateExtraScratch(device, maxRows, vocab),
    // One word more for a surprise.
    records: device.createBuffer('sample records', maxRows * (recordWords(maxTopLogprobs) + 1) * 4),
    nextTokens: device.createBuffer('next tokens', maxRows * 4),
    edits: device.createBuffer('sample edits', 1024 * 16),
    saved: device.createBuffer('sample saved', 1024 * 4),
    masks: device.createBuffer('sample masks', 16),
  };
}

export interface SampleArgs {
  /** Raw logits, row r for row r of `prepared`. Shapes: [S, V]. */
  readonly logits: Tensor;
  readonly prepared: SampleBatch;
  /** Where in `nextTokens` each row's token is kept; absent = nowhere. Shapes: [S]. */
  readonly slots?: Uint32Array;
  readonly scratch: SampleScratch;
}

/**
 * Records the sampling of `prepared.numRows` rows; the return value says what to read back and how.
 * Limits: once per submitted step, because edits and masks are written to the scratch at once.
 * Mutates: logits (masks and edits are applied in place).
 */
export function recordSample(context: OpContext, args: SampleArgs): SampleReadback {
  const { logits, prepared: batch, scratch } = args;
  const { numRows } = batch;
  const { vocab } = scratch;
  if (numRows > scratch.maxRows) throw new Error(`sampling: ${numRows} rows, room for ${scratch.maxRows}`);
  if (vocab > logits.columns) throw new Error(`sampling: ${logits.columns} logits, vocabulary of ${vocab}`);
  const stages = new Stages(context, args);
  if (batch.maxLogprobs >= 0) stages.logprobs();
  if (batch.numMasks > 0) stages.masks();
  if (batch.edits.maxEdits > 0) stages.edits();
  const extras = usesExtras(batch.stages) ? stages.extras() : null;
  const isTruncated = batch.usesMinP || batch.usesTopK || batch.usesTopP || extras !== null;
  if (isTruncated) {
    stages.survey(extras === null);
    const { sigma, typical } = batch.stages;
    // One dispatch does all truncations that no other stage comes between.
    const topK = batch.usesTopK ? NARROW_STAGE.topK : 0;
    const topP = batch.usesTopP ? NARROW_STAGE.topP : 0;
    const [first, second, third] =
      sigma.count > 0
        ? typical.count > 0
          ? [0, topK, topP]
          : [0, topK | topP, 0]
        : typical.count > 0
          ? [topK, 0, topP]
          : [topK | topP, 0, 0];
    stages.narrow(NARROW_STAGE.start | first);
    extras?.sigma();
    if (second > 0) stages.narrow(second);
    extras?.typical();
    if (third > 0) stages.narrow(third);
  }
  extras?.xtc();
  extras?.dynatemp();
  extras?.mirostat();
  stages.draw(isTruncated);
  stages.pick(batch.maxLogprobs >= 0);
  extras?.surprise();
  const words = wordsPerRecord(batch);
  const { mirostat, feedback } = batch.stages;
  return {
    buffer: scratch.records,
    bytes: numRows * words * 4,
    numRows,
    vocab,
    recordWords: words,
    numLogprobs: batch.maxLogprobs >= 0 ? batch.numLogprobs.slice(0, numRows) : null,
    surprises: feedback.map((taker, i) => ({ row: mirostat.words[i * 4] ?? 0, taker })),
  };
}

function wordsPerRecord({ maxLogprobs, stages }: SampleBatch): number {
  return recordWords(maxLogprobs) + (stages.mirostat.count > 0 ? 1 : 0);
}

type Params = { -readonly [K in keyof typeof sampleParams.fields]: number };

/** The stages of one step, with the parameters that they share. */
class Stages {
  private readonly params: Params;
  private readonly chunks: number;
  private readonly entries = new Map<StageEntries, StepArray>();

  constructor(
    private readonly context: OpContext,
    private readonly args: SampleArgs,
  ) {
    const { prepared: batch, scratch, logits } = args;
    const { numRows } = batch;
    const { recorder } = context;
    this.chunks = numChunks(scratch.vocab);
    const temperature = recorder.words(batch.temperature, numRows);
    // Logprobs look through them, too.
    const usesEditRows = batch.edits.maxEdits > 0 || batch.maxLogprobs >= 0;
    this.params = {
      vocab: scratch.vocab,
      stride: logits.stride,
      chunks: this.chunks,
      max_rows: scratch.maxRows,
      record_words: wordsPerRecord(batch),
      digit: 0,
      temperature,
      draw_temperature: batch.usesDrawTemperature ? recorder.words(batch.drawTemperature, numRows) : temperature,
      log_min_p: recorder.words(batch.logMinP, numRows),
      top_k: recorder.words(batch.topK, numRows),
      top_p: recorder.words(batch.topP, numRows),
      seed_low: recorder.words(batch.seedLow, numRows),
      seed_high: recorder.words(batch.seedHigh, numRows),
      counter: recorder.words(batch.counter, numRows),
      num_logprobs: recorder.words(batch.numLogprobs, numRows),
      edit_rows: usesEditRows ? recorder.words(batch.edits.rows, numRows * EDIT_ROW_WORDS) : 0,
      patches: usesEditRows ? recorder.words(batch.edits.patches, batch.edits.numPatches * PATCH_WORDS) : 0,
      mask_rows: recorder.words(batch.maskRows, batch.numMasks),
      mask_words: Math.ceil(scratch.vocab / 32),
      stage: 0,
      slots: args.slots ? recorder.words(args.slots, numRows) : 0,
      skips_plain: 0,
      narrow_stages: 0,
      narrow_lanes: 0,
    };
  }

  extras(): Extras {
    const { logits, prepared: batch, scratch } = this.args;
    const { stages } = batch;
    const { step, chunks } = this;
    const { limits, records } = scratch;
    return new Extras({
      ...{ stages, scratch: scratch.extras, chunks, step, logits: logits.buffer, limits, records },
      dispatch: (shader, rows, flags, buffers, x, y) => {
        this.params.stage = this.entriesAt(rows);
        this.dispatch(shader, flags, buffers, x, y);
      },
      searchBand: () => {
        this.params.stage = this.entriesAt(stages.typical);
        this.band();
      },
    });
  }

  logprobs(): void {
    const { logits, prepared: batch, scratch } = this.args;
    recordLogprobs(this.context, {
      logits,
      vocab: scratch.vocab,
      numRows: batch.numRows,
      numLogprobs: this.params.num_logprobs,
      recordWords: this.params.record_words,
      records: scratch.records,
      scratch: scratch.logprobs,
    });
  }

  masks(): void {
    const { logits, prepared: batch, scratch } = this.args;
    const words = batch.numMasks * this.params.mask_words;
    scratch.masks = this.grown(scratch.masks, words * 4);
    this.write(scratch.masks, 0, batch.masks.subarray(0, words));
    const buffers = { step: this.step, masks: scratch.masks, logits: logits.buffer };
    this.dispatch('sample-mask.wgsl', {}, buffers, Math.ceil(scratch.vocab / SAMPLE_WG), batch.numMasks);
  }

  edits(): void {
    const { logits, prepared: batch, scratch } = this.args;
    const { maxEdits, capacity, uploads } = batch.edits;
    scratch.edits = this.grown(scratch.edits, capacity * EDIT_BYTES);
    scratch.saved = this.grown(scratch.saved, capacity * 4);
    for (const { start, words } of uploads) this.write(scratch.edits, start * EDIT_BYTES, words);
    const { edits, saved, nextTokens } = scratch;
    const buffers = { step: this.step, edits, saved, logits: logits.buffer, next_tokens: nextTokens };
    this.dispatch('sample-edit.wgsl', {}, buffers, Math.ceil(maxEdits / SAMPLE_WG), batch.numRows);
  }

  /** `skipsPlain`: rows without min-p, top-k and top-p take no part in any truncation. */
  survey(skipsPlain: boolean): void {
    const { logits, prepared: batch, scratch } = this.args;
    this.params.skips_plain = skipsPlain ? 1 : 0;
    const buffers = { step: this.step, logits: logits.buffer, blocks: scratch.blocks };
    const { LOADS } = this.context.software ? NARROW.software : NARROW.gpu;
    this.dispatch('sample-survey.wgsl', { LOADS, ...BLOCKS }, buffers, this.chunks, batch.numRows);
  }

  /** `does`: of {@link NARROW_STAGE}. */
  narrow(does: number): void {
    const { logits, prepared: batch, scratch } = this.args;
    const { blocks, limits } = scratch;
    this.params.narrow_stages = does;
    const shape = this.context.software ? NARROW.software : NARROW.gpu;
    this.params.narrow_lanes = shape.WG;
    const buffers = { step: this.step, logits: logits.buffer, blocks, limits };
    this.dispatch('sample-narrow.wgsl', { ...shape, ...BLOCKS }, buffers, batch.numRows);
  }

  /** Typical sampling's search. */
  band(): void {
    const { logits, prepared: batch, scratch } = this.args;
    const { count } = batch.stages.typical;
    const isFused = this.chunks === 1;
    const flags = { CHUNK: SAMPLE_CHUNK, FUSED: isFused };
    const { bins, intervals, limits, extras } = scratch;
    const buffers = { step: this.step, logits: logits.buffer, limits, centers: extras.centers };
    if (isFused) {
      this.dispatch('sample-band.wgsl', flags, buffers, 1, count);
      return;
    }
    for (let digit = 0; digit <= NUM_DIGITS; digit++) {
      this.params.digit = digit;
      const x = digit === NUM_DIGITS ? 1 : this.chunks;
      this.dispatch('sample-band.wgsl', flags, { ...buffers, bins, intervals }, x, count);
    }
  }

  draw(isTruncated: boolean): void {
    const { logits, prepared: batch, scratch } = this.args;
    const isDynamic = batch.stages.dynatemp.count > 0;
    const flags = { CHUNK: SAMPLE_CHUNK, TRUNCATE: isTruncated, DYNAMIC: isDynamic };
    const buffers = { step: this.step, logits: logits.buffer, best: scratch.best };
    const kept = isTruncated ? { ...buffers, limits: scratch.limits, blocks: scratch.blocks } : buffers;
    const all = isDynamic ? { ...kept, heats: scratch.extras.heats } : kept;
    this.dispatch('sample-draw.wgsl', flags, all, this.chunks, batch.numRows);
  }

  pick(withLogprobs: boolean): void {
    const { logits, prepared: batch, scratch } = this.args;
    const { best, records, edits, saved, nextTokens } = scratch;
    const keep = this.args.slots !== undefined;
    const raw = { step: this.step, logits: logits.buffer, edits, saved, log_sums: scratch.logprobs.logSums };
    const kept = keep ? { best, records, step: this.step, next_tokens: nextTokens } : { best, records };
    const buffers = withLogprobs ? { ...kept, ...raw } : kept;
    this.dispatch('sample-pick.wgsl', { LOGPROBS: withLogprobs, KEEP: keep }, buffers, batch.numRows);
  }

  /** Where the entries of a stage stand in the arena; they are added at the first call. */
  private entriesAt(rows: StageEntries): StepArray {
    let at = this.entries.get(rows);
    if (at === undefined) {
      at = this.context.recorder.words(rows.words, rows.count * 4);
      this.entries.set(rows, at);
    }
    return at;
  }

  private get step(): GpuBuffer {
    return this.context.recorder.arena;
  }

  private dispatch(
    entry: ExtraShader | `sample-${'mask' | 'edit' | 'survey' | 'narrow' | 'band' | 'draw' | 'pick'}.wgsl`,
    flags: Readonly<Record<string, ParamValue>>,
    buffers: Readonly<Record<string, GpuBuffer>>,
    x: number,
    y = 1,
  ): void {
    const kernel = variant(this.context, entry, { WG: SAMPLE_WG, ...flags }, sampleParams);
    this.context.recorder.dispatch(kernel, buffers, this.params, x, y);
  }

  private write(buffer: GpuBuffer, at: number, words: Uint32Array<ArrayBuffer>): void {
    this.context.device.write(buffer, at, new Uint8Array(words.buffer, words.byteOffset, words.byteLength));
  }

  /** Commands that were submitted keep the old buffer alive. */
  private grown(buffer: GpuBuffer, bytes: number): GpuBuffer {
    if (buffer.bytes >= bytes) return buffer;
    this.context.device.destroyBuffer(buffer);
    return this.context.device.createBuffer(buffer.label, Math.max(bytes, 2 * buffer.bytes));
  }
}
