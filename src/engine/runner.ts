/**
 * Runs one plan on the GPU: one upload, one pass, one read-back.
 *
 * Owns the step's arrays, the recorder and the order record -> submit -> read. It knows no policy: which sequences run is the
 * scheduler's, how tokens are chosen is `sampling/`'s. Next: `models/decoder.ts`, `local-engine.ts` (who calls it).
 */
import { SamplingPreparer } from '../sampling/prepare.ts';
import { StepBatch } from './batch.ts';
import type { GpuDevice } from './gpu/device.ts';
import { Recorder } from './gpu/recorder.ts';
import type { MemoryPlan } from './memory-plan.ts';
import { type Activations, allocateActivations } from './models/activations.ts';
import { Decoder, type StepInput } from './models/decoder.ts';
import type { ModelSpec } from './models/spec.ts';
import type { ModelWeights } from './models/weights.ts';
import { PREFILL_ITEM_WORDS, planAttention, planPrefillItems } from './ops/attention.ts';
import { makeContext, type OpContext } from './ops/context.ts';
import type { CacheShape, LayerCache } from './ops/kv-cache.ts';
import { allocateSampleScratch, recordSample, type SampleScratch } from './ops/sample.ts';
import { readSampled } from './ops/sample-records.ts';
import type { StepArray, Tensor } from './ops/tensor.ts';
import type { SampledToken, StepPlan, StepResult } from './plan.ts';
import { entriesToScore, PromptScorer } from './runner-scores.ts';

/** Everything a runner stands on. */
export interface RunnerParts {
  readonly device: GpuDevice;
  readonly spec: ModelSpec;
  readonly weights: ModelWeights;
  readonly plan: MemoryPlan;
  readonly shape: CacheShape;
  readonly caches: readonly LayerCache[];
  /** Use the kernels made for adapters that compute on the CPU. */
  readonly software: boolean;
}

/** Runs steps of one model on one device, one at a time. */
export class Runner {
  private readonly context: OpContext;
  private readonly batch: StepBatch;
  private readonly activations: Activations;
  private readonly decoder: Decoder;
  private readonly preparer: SamplingPreparer;
  private readonly scratch: SampleScratch;
  private readonly scorer: PromptScorer;

  constructor(parts: RunnerParts) {
    const { device, spec, plan, shape } = parts;
    const blocksPerSequence = Math.ceil(plan.maxModelLen / plan.blockSize);
    const arrayWords = plan.maxNumBatchedTokens * 16 + plan.maxNumSeqs * (blocksPerSequence + 64);
    this.context = makeContext(device, new Recorder(device, arrayWords * 4), parts.software);
    this.batch = new StepBatch(plan.blockSize);
    const attention = planAttention(device, shape, spec.heads, this.context.subgroups);
    this.activations = allocateActivations(device, spec, attention, {
      maxTokens: plan.maxNumBatchedTokens,
      maxSequences: plan.maxNumSeqs,
      maxLogitRows: plan.maxNumSeqs,
      maxModelLen: plan.maxModelLen,
    });
    this.decoder = new Decoder(this.context, spec, parts.weights, this.activations, shape, parts.caches);
    this.preparer = new SamplingPreparer(spec.vocab, spec.eosTokenIds);
    this.scratch = allocateSampleScratch(device, plan.maxNumSeqs, spec.vocab);
    this.scorer = new PromptScorer(this.context, this.decoder, this.activations.logits, this.scratch.logprobs);
  }

  /** Runs a plan. Throws: EngineError when the device failed. */
  async run(plan: StepPlan): Promise<StepResult> {
    const { recorder } = this.context;
    this.batch.build(plan);
    try {
      const step = this.upload();
      const toScore = entriesToScore(plan);
      if (toScore.length === 0) return { sampled: await this.sample(plan, this.decoder.record(step)), scored: [] };
      // Scoring needs the room of the logits, so that it goes first, in submissions of its own.
      this.decoder.recordLayers(step);
      recorder.submit();
      const scored = await this.scorer.run(toScore);
      const { numSamples, sampleRows } = this.batch;
      const logits = this.decoder.recordLogits(recorder.words(sampleRows, numSamples), numSamples);
      return { sampled: await this.sample(plan, logits), scored };
    } catch (error) {
      recorder.reset();
      throw error;
    }
  }

  /** Samples the rows of `logits`, one for each entry that samples, and runs all that was recorded. */
  private async sample(plan: StepPlan, logits: Tensor): Promise<SampledToken[]> {
    const { recorder } = this.context;
    if (plan.numSamples === 0) {
      recorder.submit();
      return [];
    }
    const rows = plan.entries.filter((entry) => entry.samples).map((entry) => entry.sequence);
    const readback = recordSample(this.context, {
      logits,
      prepared: this.preparer.prepare(rows),
      scratch: this.scratch,
    });
    return readSampled(await recorder.submitAndRead(this.scratch.records, readback.bytes), readback);
  }

  /** The logits of every token of a plan, without sampling. Shapes: [numTokens, V]. Limits: as many tokens as sequences. */
  async logits(plan: StepPlan): Promise<Float32Array> {
    const { recorder } = this.context;
    this.batch.build(plan);
    const { numTokens } = this.batch;
    if (numTokens > this.activations.logits.rows) throw new Error(`logits of ${numTokens} tokens do not fit`);
    const rows = Uint32Array.from({ length: numTokens }, (_, i) => i);
    const step = { ...this.upload(), logitRows: recorder.words(rows), numLogitRows: numTokens };
    const logits = this.decoder.record(step);
    const bytes = await recorder.submitAndRead(logits.buffer, numTokens * logits.stride * 4);
    return withoutPadding(bytes, logits, numTokens);
  }

  private upload(): StepInput {
    const { batch } = this;
    const { recorder } = this.context;
    const { numTokens, numSequences, numDecodes, numSamples, blockTableStride } = batch;
    const items = planPrefillItems(batch, this.activations.attention);
    const words = (array: Uint32Array, count: number): StepArray => recorder.words(array, count);
    return {
      numTokens,
      tokenIds: words(batch.tokenIds, numTokens),
      positions: words(batch.positions, numTokens),
      slots: words(batch.slots, numTokens),
      logitRows: words(batch.sampleRows, numSamples),
      numLogitRows: numSamples,
      attention: {
        numDecodes,
        contextLength: words(batch.contextLength, numSequences),
        blockTables: words(batch.blockTables, numSequences * blockTableStride),
        blockTableStride,
        maxContext: longestOf(batch.contextLength, numDecodes),
        prefillItems: words(items, items.length),
        numPrefillItems: items.length / PREFILL_ITEM_WORDS,
      },
    };
  }
}

/** A long prefill beside short decodes must not make them split their contexts. */
function longestOf(contextLength: Uint32Array, count: number): number {
  let longest = 0;
  for (let i = 0; i < count; i++) longest = Math.max(longest, contextLength[i] ?? 0);
  return longest;
}

function withoutPadding(bytes: Uint8Array, logits: Tensor, rows: number): Float32Array {
  const padded = new Float32Array(bytes.buffer, bytes.byteOffset, rows * logits.stride);
  if (logits.stride === logits.columns) return padded;
  const out = new Float32Array(rows * logits.columns);
  for (let row = 0; row < rows; row++) {
    out.set(padded.subarray(row * logits.stride, row * logits.stride + logits.columns), row * logits.columns);
  }
  return out;
}
