/**
 * Sampling as the engine does it, for tests: sequences and raw logits in, tokens and the state of the logits out.
 */
import type { GpuDevice } from '../../src/engine/gpu/device.ts';
import type { OpContext } from '../../src/engine/ops/context.ts';
import { allocateSampleScratch, recordSample, type SampleScratch } from '../../src/engine/ops/sample.ts';
import { usesExtras } from '../../src/engine/ops/sample-extras.ts';
import { readSampled, type SampledRow } from '../../src/engine/ops/sample-records.ts';
import { SamplingPreparer } from '../../src/sampling/prepare.ts';
import type { SampleSource } from '../../src/sampling/source.ts';
import { context, readTensor, tensor, type Variant } from './gpu.ts';

export interface SampledBatch {
  readonly rows: SampledRow[];
  /** After edits. Shapes: [rows][V]. */
  readonly edited: Float32Array[];
  /** Ids that truncation kept, in order of id; all where nothing truncates. */
  readonly kept: number[][];
  /** Of each row's draw. */
  readonly temperatures: number[];
  readonly numDispatches: number;
}

/** Runs batches over one vocabulary; keeps its buffers between them, as the engine does. */
export class Sampler {
  readonly preparer: SamplingPreparer;
  private readonly scratch: SampleScratch;
  private readonly context: OpContext;

  constructor(
    private readonly device: GpuDevice,
    readonly vocab: number,
    maxRows: number,
    eosTokenIds: readonly number[] = [],
    variant?: Variant,
  ) {
    this.preparer = new SamplingPreparer(vocab, eosTokenIds);
    this.scratch = allocateSampleScratch(device, maxRows, vocab);
    this.context = context(device, variant);
  }

  /**
   * Samples row i of `logits` ([rows, V]) for the i-th sequence. `hidden`: rows whose newest token is not told, but lies where the step
   * before would have left it.
   */
  async run(
    sources: readonly SampleSource[],
    logits: Float32Array,
    hidden: readonly number[] = [],
  ): Promise<SampledBatch> {
    const { device, vocab, scratch } = this;
    const numRows = sources.length;
    const positions = sources.map(({ promptIds, outputIds }) => promptIds.length + outputIds.length);
    const tokensOf = (row: number) => (sources[row] as SampleSource).outputIds as number[];
    const newest = hidden.map((row) => tokensOf(row).pop() as number);
    hidden.forEach((row, i) => {
      device.write(scratch.nextTokens, (numRows - 1 - row) * 4, new Uint8Array(Uint32Array.of(newest[i] ?? 0).buffer));
    });
    const prepared = this.preparer.prepare(sources, positions);
    hidden.forEach((row, i) => void tokensOf(row).push(newest[i] as number));
    const input = tensor(device, 'logits', numRows, vocab, logits);
    const isTruncated = prepared.usesMinP || prepared.usesTopK || prepared.usesTopP || usesExtras(prepared.stages);
    const slots = Uint32Array.from(sources, (_, row) => numRows - 1 - row);
    const readback = recordSample(this.context, { logits: input, prepared, slots, scratch });
    const { numDispatches } = this.context.recorder;
    const bytes = await this.context.recorder.submitAndRead(readback.buffer, readback.bytes);
    const rows = readSampled(bytes, readback);
    const kept = words(await device.read(scratch.nextTokens, 0, numRows * 4));
    rows.forEach(({ tokenId }, row) => {
      if (kept[numRows - 1 - row] !== tokenId) throw new Error(`row ${row}: another token was kept for the next step`);
    });
    const all = await readTensor(device, input);
    const limits = words(await device.read(scratch.limits, 0, numRows * 16));
    const heats = new Float32Array(words(await device.read(scratch.extras.heats, 0, numRows * 4)).buffer);
    device.destroyBuffer(input.buffer);
    const edited = sources.map((_, row) => all.subarray(row * vocab, (row + 1) * vocab));
    const keptIds = edited.map((values, row) => {
      const [lowest, highest] = isTruncated ? limits.subarray(row * 4 + 1) : [0, 2 ** 32];
      const isKept = (key: number) => key >= (lowest ?? 0) && key <= (highest ?? 0);
      return Array.from(values, (_, id) => id).filter((id) => isKept(orderKey(values[id] ?? 0)));
    });
    const temperatures = sources.map((_, row) => {
      const given = prepared.drawTemperature[row] ?? 0;
      return given < 0 ? (heats[row] ?? 0) : given;
    });
    return { rows, edited, kept: keptIds, temperatures, numDispatches };
  }
}

/** A copy, because views must be aligned. */
function words(bytes: Uint8Array): Uint32Array<ArrayBuffer> {
  return new Uint32Array(bytes.slice().buffer);
}

const bits = new DataView(new ArrayBuffer(4));

function orderKey(x: number): number {
  bits.setFloat32(0, x === 0 ? 0 : x);
  const word = bits.getUint32(0);
  return (word & 0x80000000 ? ~word : word | 0x80000000) >>> 0;
}
