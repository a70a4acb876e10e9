/**
 * Runs plans on the GPU: one upload, one pass and one read-back each; several may be submitted before the first is read.
 *
 * Owns the step's arrays, the recorder and the order record -> submit -> read. The arrays are free for the next step once a step is
 * submitted: uploads are copies, and the queue keeps them in order with the steps. It knows no policy: which sequences run is the
 * scheduler's, how tokens are chosen is `sampling/`'s. Next: `models/decoder.ts`, `local-engine.ts` (who calls it).
 */
import { SamplingPreparer } from '../sampling/prepare.ts';
import { StepBatch } from './batch.ts';
import type { GpuDevice } from './gpu/device.ts';
import { Recorder } from './gpu/recorder.ts';
import type { MemoryPlan } from './memory-plan.ts';
import { type Activations, allocateActivations } from './models/activations.ts';
import { type ExpertStep, expertSteps } from './models/blocks/moe.ts';
import { Decoder, type StepInput } from './models/decoder.ts';
import type { ModelSpec } from './models/spec.ts';
import type { ModelWeights } from './models/weights.ts';
import { productRows } from './models/work.ts';
import { PREFILL_ITEM_WORDS, planAttention, planPrefillItems } from './ops/attention-plan.ts';
import { makeContext, type OpContext } from './ops/context.ts';
import type { CacheShape, LayerCache } from './ops/kv-cache.ts';
import { reservePackedRows } from './ops/matmul-f16.ts';
import { allocateQuantisedRows } from './ops/quantise-rows.ts';
import { allocateSampleScratch, recordSample, type SampleScratch } from './ops/sample.ts';
import { readSampled } from './ops/sample-records.ts';
import type { StepArray, Tensor } from './ops/tensor.ts';
import type { TunedPlans } from './ops/tuned-plans.ts';
import type { SampledToken, StepPlan, StepResult } from './plan.ts';
import { entriesToScore, PromptScorer, type RowsToScore } from './runner-scores.ts';
import { SwapStore } from './runner-swap.ts';
import type { Sequence } from './sequence.ts';

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
  /** Measured sizes of kernels. */
  readonly tuned: TunedPlans;
  /** Multiply integer weights with activations as bytes. */
  readonly dp4a?: boolean;
}

/** A step that the GPU has been given. */
export interface StepInFlight {
  readonly plan: StepPlan;
  /** Waits for its results, once. Steps are waited for in the order of their submits. Throws: EngineError when the device failed. */
  read(): Promise<StepResult>;
}

/** Dispatches after which an idle GPU is given what is recorded. */
const EARLY_DISPATCHES = 32;
/** The longest context is rounded up to this many tokens, so that the shape of a step changes seldom. */
const CONTEXT_QUANTUM = 128;
/** Read of a step that samples nothing. */
const FENCE_BYTES = 16;

/** Runs steps of one model on one device, in the order in which they are submitted. */
export class Runner {
  private readonly context: OpContext;
  private readonly batch: StepBatch;
  private readonly activations: Activations;
  private readonly decoder: Decoder;
  private readonly preparer: SamplingPreparer;
  private readonly scratch: SampleScratch;
  private readonly scorer: PromptScorer;
  private readonly swap: SwapStore;
  private readonly rows: Sequence[] = [];
  /** For the warm-up: numbers of tokens from which a mixture's products take other kernels. Empty without one. */
  readonly expertSteps: readonly ExpertStep[];
  /** Submitted and not read. */
  private numInFlight = 0;

  constructor(parts: RunnerParts) {
    const { device, spec, plan, shape } = parts;
    const blocksPerSequence = Math.ceil(plan.maxModelLen / plan.blockSize);
    const arrayWords = plan.maxNumBatchedTokens * 16 + plan.maxNumSeqs * (blocksPerSequence + 128);
    const recorder = new Recorder(device, arrayWords * 4);
    const rows = Math.max(plan.maxNumBatchedTokens, plan.maxNumSeqs);
    const products = productRows(spec).map((each) => ({ ...each, rows: each.rows * rows }));
    // One product at a time, so that only the number of blocks counts.
    const mostBytes = Math.max(...products.map((each) => each.rows * roundedUp(each.columns, 32)));
    const dp4a = parts.dp4a ? allocateQuantisedRows(device, 1, mostBytes) : null;
    this.context = { ...makeContext(device, recorder, parts.software), tuned: parts.tuned, dp4a };
    this.batch = new StepBatch(plan.blockSize);
    const attention = planAttention(
      device,
      shape,
      spec.heads,
      this.context.subgroups,
      parts.software ? null : this.context.matrix,
    );
    this.activations = allocateActivations(device, spec, attention, {
      maxTokens: plan.maxNumBatchedTokens,
      maxSequences: plan.maxNumSeqs,
      maxLogitRows: plan.maxNumSeqs,
      maxModelLen: plan.maxModelLen,
    });
    reservePackedRows(this.context, products);
    this.expertSteps = expertSteps(this.context, spec, parts.weights, plan.maxNumBatchedTokens);
    this.decoder = new Decoder(this.context, spec, parts.weights, this.activations, shape, parts.caches);
    this.preparer = new SamplingPreparer(spec.vocab, spec.eosTokenIds);
    this.scratch = allocateSampleScratch(device, plan.maxNumSeqs, spec.vocab);
    this.swap = new SwapStore(device, shape, parts.caches);
    this.scorer = new PromptScorer(this.context, this.decoder, this.activations.logits, this.scratch.logprobs);
  }

  /** Runs a plan and waits for its results. Throws: EngineError when the device failed. */
  run(plan: StepPlan): Promise<StepResult> {
    return this.submit(plan).read();
  }

  /**
   * Gives the GPU a plan, behind those that it has. Tokens that the host does not know yet come from the steps before.
   * Limits: nothing may be submitted between a plan with rows to score and its {@link StepInFlight.read}.
   * Throws: EngineError when the device failed.
   */
  submit(plan: StepPlan): StepInFlight {
    const { recorder, software } = this.context;
    this.batch.build(plan);
    const arrival = this.swap.move(plan);
    // A software adapter computes with the cores that record, and a busy GPU needs no head start.
    recorder.numEarlyDispatches = software || this.numInFlight > 0 ? 0 : EARLY_DISPATCHES;
    try {
      const step = this.upload();
      const toScore = entriesToScore(plan);
      let results: () => Promise<StepResult>;
      if (toScore.length === 0) {
        const sampled = this.sample(plan, this.record(step));
        results = async () => ({ sampled: await sampled(), scored: [] });
      } else {
        this.decoder.recordLayers(step);
        recorder.submit();
        results = () => this.score(plan, toScore);
      }
      this.numInFlight++;
      return {
        plan,
        read: async () => {
          this.numInFlight--;
          await arrival?.();
          return results();
        },
      };
    } catch (error) {
      recorder.reset();
      this.preparer.forgetGpu();
      throw error;
    }
  }

  /** Records a forward pass. Those of the same shape follow each other for long in decoding, and the arrays hold all that differs. */
  private record(step: StepInput): Tensor {
    if (this.batch.numDecodes < this.batch.numSequences) return this.decoder.record(step);
    this.context.recorder.replay(keyOf(step), () => this.decoder.record(step));
    return this.activations.logits;
  }

  /** Scores and samples a step whose layers are submitted. Scoring needs the room of the logits, so that it goes first, in submits of its own. */
  private async score(plan: StepPlan, toScore: readonly RowsToScore[]): Promise<StepResult> {
    const { recorder } = this.context;
    recorder.numEarlyDispatches = 0;
    try {
      const scored = await this.scorer.run(toScore);
      const { numSamples, sampleRows } = this.batch;
      const logits = this.decoder.recordLogits(recorder.words(sampleRows, numSamples), numSamples);
      return { sampled: await this.sample(plan, logits)(), scored };
    } catch (error) {
      recorder.reset();
      this.preparer.forgetGpu();
      throw error;
    }
  }

  /** Samples the rows of `logits`, one for each entry that samples, and submits all that was recorded; the result waits for it. */
  private sample(plan: StepPlan, logits: Tensor): () => Promise<SampledToken[]> {
    const { recorder } = this.context;
    if (plan.numSamples === 0) {
      // Waited for all the same: otherwise the chunks of a long prompt would pile up, and nobody could come between.
      const pending = recorder.submitForRead(this.scratch.records, FENCE_BYTES);
      return async () => {
        await pending.read();
        return [];
      };
    }
    this.rows.length = 0;
    for (const { samples, sequence } of plan.entries) if (samples) this.rows.push(sequence);
    const readback = recordSample(this.context, {
      logits,
      prepared: this.preparer.prepare(this.rows, this.batch.samplePositions),
      slots: this.batch.sampleSlots,
      scratch: this.scratch,
    });
    const pending = recorder.submitForRead(this.scratch.records, readback.bytes);
    return async () => readSampled(await pending.read(), readback);
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
      nextTokens: this.scratch.nextTokens,
      positions: words(batch.positions, numTokens),
      slots: words(batch.slots, numTokens),
      logitRows: words(batch.sampleRows, numSamples),
      numLogitRows: numSamples,
      attention: {
        numDecodes,
        contextLength: words(batch.contextLength, numSequences),
        blockTables: words(batch.blockTables, numSequences * blockTableStride),
        blockTableStride,
        maxContext: roundedUp(longestOf(batch.contextLength, numDecodes), CONTEXT_QUANTUM),
        prefillItems: words(items, items.length),
        numPrefillItems: items.length / PREFILL_ITEM_WORDS,
      },
    };
  }
}

/** All that a forward pass is recorded from, as text. Throws: Error for what is no number. */
function keyOf(input: object): string {
  let key = '';
  for (const value of Object.values(input) as unknown[]) {
    if (typeof value === 'number') key += `${value} `;
    else if (typeof value === 'object' && value !== null) key += 'raw' in value ? '' : keyOf(value);
    else throw new Error(`a step cannot depend on ${String(value)}`);
  }
  return key;
}

function roundedUp(value: number, quantum: number): number {
  return Math.ceil(value / quantum) * quantum;
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
