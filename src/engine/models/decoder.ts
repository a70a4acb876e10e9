/**
 * The decoder: records one forward pass of any model that a {@link ModelSpec} describes.
 *
 * Owns the activations and the order of ops; it never sees a family's name and decides nothing about sequences.
 * Next: `ops/*.ts` (what each call dispatches), `runner.ts` (who calls it).
 */

import { type AttentionBatch, recordAttention } from '../ops/attention.ts';
import type { OpContext } from '../ops/context.ts';
import { type EmbedArgs, recordEmbed } from '../ops/embed.ts';
import type { CacheShape, LayerCache } from '../ops/kv-cache.ts';
import { recordMatmul } from '../ops/matmul.ts';
import { recordQkNorm } from '../ops/qk-norm.ts';
import { recordRmsNorm } from '../ops/rms-norm.ts';
import { recordRopeKv } from '../ops/rope-kv.ts';
import type { StepArray, Tensor } from '../ops/tensor.ts';
import type { Activations } from './activations.ts';
import { recordFfn } from './blocks/ffn.ts';
import { recordNormed } from './blocks/norm.ts';
import type { LayerSpec, ModelSpec } from './spec.ts';
import type { LayerWeights, ModelWeights } from './weights.ts';
import { layerWeights } from './work.ts';

/** Work of one submit: a tenth of a second at 2 TFLOP/s, far from the two seconds after which drivers reset a GPU. */
const MAX_SUBMIT_FLOPS = 2e11;

/** The arrays of one step on the GPU. */
export interface StepInput {
  readonly numTokens: number;
  readonly tokenIds: StepArray;
  /** Where tokens lie that are not known yet. */
  readonly nextTokens: EmbedArgs['nextTokens'];
  readonly positions: StepArray;
  readonly slots: StepArray;
  readonly attention: AttentionBatch;
  /** Token rows whose logits are wanted. */
  readonly logitRows: StepArray;
  readonly numLogitRows: number;
}

/** Records forward passes of one model into one context. */
export class Decoder {
  constructor(
    private readonly context: OpContext,
    private readonly spec: ModelSpec,
    private readonly weights: ModelWeights,
    private readonly activations: Activations,
    private readonly cacheShape: CacheShape,
    private readonly caches: readonly LayerCache[],
  ) {}

  /** Records the step; returns the logits of the wanted rows. Shapes: [numLogitRows, V]. */
  record(step: StepInput): Tensor {
    this.recordLayers(step);
    return this.recordLogits(step.logitRows, step.numLogitRows);
  }

  /** Records the step up to the last layer. Its rows stay until the next step: {@link recordLogits} may be called for any of them. */
  recordLayers(step: StepInput): void {
    const { context, spec, weights, activations } = this;
    recordEmbed(context, {
      table: weights.embedding,
      tokenIds: step.tokenIds,
      numTokens: step.numTokens,
      nextTokens: step.nextTokens,
      y: activations.hidden,
    });
    const layersPerSubmit = Math.max(1, Math.floor(MAX_SUBMIT_FLOPS / (2 * layerWeights(spec) * step.numTokens)));
    spec.layers.forEach((layer, i) => {
      this.recordLayer(step, layer, weights.layers[i] as LayerWeights, this.caches[i] as LayerCache);
      if ((i + 1) % layersPerSubmit === 0 && i + 1 < spec.layers.length) context.recorder.flush();
    });
  }

  /** Records the logits of token rows. Shapes: [numRows, V]. Limits: as many rows as the logits have room for. */
  recordLogits(rowList: StepArray, numRows: number): Tensor {
    const { context, spec, weights } = this;
    const { hidden, lastRows, logits } = this.activations;
    if (numRows === 0) return logits;
    const eps = spec.normEps;
    recordRmsNorm(context, { x: hidden, weight: weights.finalNorm, y: lastRows, numRows, rowList, eps });
    recordMatmul(context, { x: lastRows, weight: weights.head, y: logits, numRows });
    return logits;
  }

  private recordLayer(step: StepInput, layer: LayerSpec, weights: LayerWeights, cache: LayerCache): void {
    const { context, spec, activations } = this;
    const { hidden, qkv, q, attended } = activations;
    const numRows = step.numTokens;
    const eps = spec.normEps;
    recordMatmul(context, {
      ...recordNormed(context, { spec, activations, weight: weights.attentionNorm, next: weights.qkv, numRows }),
      weight: weights.qkv,
      bias: weights.qkvBias,
      y: qkv,
      numRows,
    });
    const norm = weights.qNorm && weights.kNorm ? { q: weights.qNorm, k: weights.kNorm, eps } : null;
    const isWhole = spec.qkNorm === 'whole';
    if (norm && isWhole) recordQkNorm(context, { ...norm, qkv, numTokens: numRows });
    recordRopeKv(context, {
      qkv,
      q,
      cache,
      shape: this.cacheShape,
      numHeads: spec.heads,
      numTokens: numRows,
      positions: step.positions,
      slots: step.slots,
      rope: layer.rope === null ? null : (activations.ropeTables[layer.rope] ?? null),
      norm: isWhole ? null : norm,
    });
    recordAttention(context, {
      plan: activations.attention,
      q,
      out: attended,
      cache,
      batch: step.attention,
      scale: spec.attentionScale,
      window: layer.window,
      scratch: activations.attentionScratch,
    });
    recordMatmul(context, {
      x: attended,
      weight: weights.o,
      bias: weights.oBias,
      y: hidden,
      numRows,
      accumulate: true,
    });
    recordFfn(context, { spec, norm: weights.ffnNorm, weights: weights.ffn, activations, numRows });
  }
}
