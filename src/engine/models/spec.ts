/**
 * What a decoder must know about a model: the smallest set of fields that covers every supported family.
 *
 * A family file turns a checkpoint's `config.json` into this value; the decoder reads only this. Every mechanism is a field
 * with a neutral value, so a new family is data. Fields whose other values no kernel implements yet are typed with what is implemented.
 * Next: `families/*.ts` (data), `registry.ts` (architecture name -> family), `decoder.ts`.
 */

/** Rotary embedding of one kind of layer. */
export interface RopeSpec {
  /** `half`: pairs (i, i + d/2); `interleaved`: pairs (2i, 2i + 1). */
  readonly style: 'half' | 'interleaved';
  /** Rotated dimensions of each head, even, at most headDim. */
  readonly dims: number;
  readonly theta: number;
  readonly scaling: RopeScaling;
}

/** How `inv_freq` is changed for long contexts. Source: transformers `modeling_rope_utils`. */
export type RopeScaling =
  | { readonly kind: 'default' }
  | { readonly kind: 'linear'; readonly factor: number }
  | {
      readonly kind: 'llama3';
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalMaxPositions: number;
    }
  | {
      readonly kind: 'yarn';
      readonly factor: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      readonly originalMaxPositions: number;
      /** Multiplier on cos and sin. */
      readonly attentionFactor: number;
      readonly truncate: boolean;
    };

/** Attention reach of one layer. `window` counts the token itself: key j is seen by query i when i - window < j <= i; null = all. */
export interface LayerSpec {
  readonly window: number | null;
  /** Index into {@link ModelSpec.ropes}; null = no positions. */
  readonly rope: number | null;
  /** `moe`: as {@link ModelSpec.moe} says; `dense`: one gated feed-forward block of `ffn`. */
  readonly ffn: 'dense' | 'moe';
}

/** A mixture of experts in place of one feed-forward block: each token goes through `topK` of them. */
export interface MoeSpec {
  readonly numExperts: number;
  readonly topK: number;
  /** Width of each expert. */
  readonly ffn: number;
  /** How the router's logits become shares; the highest are chosen. */
  readonly router: 'softmax' | 'sigmoid';
  /** The shares of the chosen are divided by their sum. */
  readonly renormalize: boolean;
  /** Multiplier on the shares. */
  readonly routedScale: number;
  /** Width of the expert that all tokens go through, weighted by the sigmoid of a logit of its own; null = none. */
  readonly sharedFfn: number | null;
}

/** Names of a mixture's tensors, with `{e}` for an expert's index. */
export interface MoeNames {
  readonly router: string;
  readonly gate: string;
  readonly up: string;
  readonly down: string;
  /** The expert that all tokens go through. */
  readonly shared?: {
    readonly router: string;
    readonly gate: string;
    readonly up: string;
    readonly down: string;
  };
}

/** Names of a layer's tensors with `{i}` for its index; a missing entry means that the model has no such tensor. */
export interface TensorNames {
  readonly embedding: string;
  readonly finalNorm: string;
  /** Absent in a file where the head is tied. */
  readonly head: string;
  readonly attentionNorm: string;
  readonly q: string;
  readonly k: string;
  readonly v: string;
  readonly o: string;
  readonly qNorm?: string;
  readonly kNorm?: string;
  readonly ffnNorm: string;
  readonly gate: string;
  readonly up: string;
  readonly down: string;
  readonly moe?: MoeNames;
}

/** One model. Units: counts of elements unless said otherwise. */
export interface ModelSpec {
  readonly architecture: string;
  readonly hidden: number;
  readonly vocab: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Width of dense feed-forward blocks. */
  readonly ffn: number;
  /** Null where all layers are dense. */
  readonly moe: MoeSpec | null;
  readonly layers: readonly LayerSpec[];
  readonly ropes: readonly RopeSpec[];
  readonly normEps: number;
  readonly activation: 'silu' | 'gelu-tanh' | 'gelu';
  /** Which projections carry a bias vector. */
  readonly bias: { readonly qkv: boolean; readonly o: boolean; readonly ffn: boolean };
  /** RMS norm of q and k before the rotation: over each head, or over all heads together. */
  readonly qkNorm: 'none' | 'head' | 'whole';
  /** Multiplier on q k^T. */
  readonly attentionScale: number;
  readonly tiedHead: boolean;
  /** The longest context that the checkpoint declares. */
  readonly maxPositions: number;
  readonly names: TensorNames;
  /** Tensors in the file that are known to carry nothing for inference. */
  readonly ignoredTensors: readonly RegExp[];
  readonly bosTokenId: number | null;
  readonly eosTokenIds: readonly number[];
}
