/**
 * The stages of the further samplers: top-n-sigma, typical, XTC, dynamic temperature and Mirostat.
 *
 * Owns their buffers and dispatches; each runs over the rows that ask for it alone. Shaders: sample-moments, -sigma, -masses, -typical,
 * -xtc, -heat, -mirostat, -surprise. Next: `sample.ts` (the order of all stages), `sampling/stages.ts` (who fills the entries).
 */
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { GpuDevice } from '../gpu/device.ts';
import { numChunks, SAMPLE_CHUNK } from './logprobs.ts';
import type { SurpriseTaker } from './sample-records.ts';

/** Rows of one stage. */
export interface StageEntries {
  readonly count: number;
  /** Row, then up to three f32 as bits. Shapes: [count][4]. */
  readonly words: Uint32Array;
}

/** Who takes part in what. The numbers of each entry stand in the shader's header. */
export interface ExtraStages {
  readonly sigma: StageEntries;
  readonly typical: StageEntries;
  readonly xtc: StageEntries;
  readonly dynatemp: StageEntries;
  readonly mirostat: StageEntries;
  /** Who is told the surprise of each entry's token. */
  readonly feedback: readonly SurpriseTaker[];
}

/** True when some row needs a stage. */
export function usesExtras({ sigma, typical, xtc, dynatemp, mirostat }: ExtraStages): boolean {
  return sigma.count + typical.count + xtc.count + dynatemp.count + mirostat.count > 0;
}

export interface ExtraScratch {
  /** Partial sums. Shapes: [rows, chunks][4] f32. */
  readonly parts: GpuBuffer;
  /** The logits around which typical sampling keeps. Shapes: [rows] f32. */
  readonly centers: GpuBuffer;
  /** Dynamic temperatures. Shapes: [rows] f32. */
  readonly heats: GpuBuffer;
}

export function allocateExtraScratch(device: GpuDevice, maxRows: number, vocab: number): ExtraScratch {
  return {
    parts: device.createBuffer('sample parts', maxRows * numChunks(vocab) * 16),
    centers: device.createBuffer('sample centers', maxRows * 4),
    heats: device.createBuffer('sample heats', maxRows * 4),
  };
}

export type ExtraShader =
  `sample-${'moments' | 'sigma' | 'masses' | 'typical' | 'xtc' | 'heat' | 'mirostat' | 'surprise'}.wgsl`;

/** What the stages need of the step. */
export interface ExtraArgs {
  readonly stages: ExtraStages;
  readonly scratch: ExtraScratch;
  readonly chunks: number;
  readonly step: GpuBuffer;
  readonly logits: GpuBuffer;
  readonly limits: GpuBuffer;
  readonly records: GpuBuffer;
  /** Dispatches over `rows`: adds the entries to the step, if they are not in it, and points `params.stage` at them. */
  dispatch(
    shader: ExtraShader,
    rows: StageEntries,
    flags: Readonly<Record<string, number>>,
    buffers: Readonly<Record<string, GpuBuffer>>,
    x: number,
    y?: number,
  ): void;
  /** The radix search around `centers`, over the entries of typical sampling. */
  searchBand(): void;
}

/** The stages of one step. A stage that no row takes part in does nothing. */
export class Extras {
  constructor(private readonly args: ExtraArgs) {}

  /** Mutates: limits. */
  sigma(): void {
    const { stages, step, logits, limits, scratch } = this.args;
    const rows = stages.sigma;
    if (rows.count === 0) return;
    const { parts } = scratch;
    this.overChunks('sample-moments.wgsl', rows, { step, logits, limits, parts });
    this.overRows('sample-sigma.wgsl', rows, { step, parts, limits });
  }

  /** Mutates: limits. */
  typical(): void {
    const { stages, step, limits, scratch } = this.args;
    const rows = stages.typical;
    if (rows.count === 0) return;
    const { parts, centers } = scratch;
    this.masses(rows);
    this.overRows('sample-typical.wgsl', rows, { step, parts, limits, centers });
    this.args.searchBand();
  }

  /** Mutates: limits. */
  xtc(): void {
    const { stages, step, logits, limits, scratch } = this.args;
    const rows = stages.xtc;
    if (rows.count === 0) return;
    this.masses(rows);
    this.overChunks('sample-xtc.wgsl', rows, { step, logits, parts: scratch.parts, limits });
  }

  /** Sets the temperatures that the draw looks up. */
  dynatemp(): void {
    const { stages, step, scratch } = this.args;
    const rows = stages.dynatemp;
    if (rows.count === 0) return;
    this.masses(rows);
    this.overRows('sample-heat.wgsl', rows, { step, parts: scratch.parts, heats: scratch.heats });
  }

  /** Mutates: limits. Leaves in `parts` what {@link surprise} needs: nothing may come between. */
  mirostat(): void {
    const { stages, step, limits, scratch } = this.args;
    const rows = stages.mirostat;
    if (rows.count === 0) return;
    this.masses(rows);
    this.overRows('sample-mirostat.wgsl', rows, { step, parts: scratch.parts, limits });
    this.masses(rows);
  }

  /** Writes the surprise of the token that was picked into the last word of each record. */
  surprise(): void {
    const { stages, step, logits, limits, scratch, records } = this.args;
    const rows = stages.mirostat;
    if (rows.count === 0) return;
    this.overRows('sample-surprise.wgsl', rows, { step, logits, limits, parts: scratch.parts, records });
  }

  private masses(rows: StageEntries): void {
    const { step, logits, limits, scratch } = this.args;
    this.overChunks('sample-masses.wgsl', rows, { step, logits, limits, parts: scratch.parts });
  }

  private overChunks(shader: ExtraShader, rows: StageEntries, buffers: Readonly<Record<string, GpuBuffer>>): void {
    this.args.dispatch(shader, rows, { CHUNK: SAMPLE_CHUNK }, buffers, this.args.chunks, rows.count);
  }

  private overRows(shader: ExtraShader, rows: StageEntries, buffers: Readonly<Record<string, GpuBuffer>>): void {
    this.args.dispatch(shader, rows, {}, buffers, rows.count);
  }
}
