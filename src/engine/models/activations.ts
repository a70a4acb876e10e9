/**
 * The buffers that a forward pass writes: allocated once at load, reused in every step.
 *
 * Owns their shapes. Next: `decoder.ts`.
 */
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { GpuDevice } from '../gpu/device.ts';
import { type AttentionPlan, attentionScratchBytes } from '../ops/attention-plan.ts';
import { allocateMoeLists, type MoeLists } from '../ops/moe-align.ts';
import { SMALLEST_TILE_ROWS } from '../ops/moe-plan.ts';
import { allocateMoeRoutes, type MoeRoutes } from '../ops/moe-route.ts';
import type { RopeTable } from '../ops/rope-kv.ts';
import { paddedColumns, type Tensor } from '../ops/tensor.ts';
import { ropeTable } from './rope-table.ts';
import type { ModelSpec, MoeSpec } from './spec.ts';

export interface Activations {
  /** Shapes: [T, E]; the residual stream. */
  readonly hidden: Tensor;
  /** Shapes: [T, E]. */
  readonly normed: Tensor;
  /** Shapes: [T, (H + 2G) D]. */
  readonly qkv: Tensor;
  /** Shapes: [T, H D]. */
  readonly q: Tensor;
  /** Shapes: [T, H D]. */
  readonly attended: Tensor;
  /** Shapes: [T, F]; of dense layers. */
  readonly gated: Tensor;
  /** Of layers that are mixtures of experts; null where there are none. */
  readonly moe: MoeActivations | null;
  /** The rows whose logits are wanted. Shapes: [S, E]. */
  readonly lastRows: Tensor;
  /** Shapes: [S, V]. */
  readonly logits: Tensor;
  readonly attention: AttentionPlan;
  readonly attentionScratch: GpuBuffer;
  /** One per rope of the spec. */
  readonly ropeTables: readonly RopeTable[];
}

/** K = experts per token, X = experts, F = their width, F' = width of the one that all share. */
export interface MoeActivations {
  /** Shapes: [T, X (+ 1)]. */
  readonly logits: Tensor;
  readonly routes: MoeRoutes;
  readonly lists: MoeLists;
  /** Shapes: [T K, F]. */
  readonly gated: Tensor;
  /** Shapes: [T K, E]. */
  readonly rows: Tensor;
  /** Shapes: [T, F'] and [T, E]. */
  readonly shared: { readonly gated: Tensor; readonly rows: Tensor } | null;
}

/** What bounds a step. */
export interface StepLimits {
  readonly maxTokens: number;
  readonly maxSequences: number;
  readonly maxLogitRows: number;
  readonly maxModelLen: number;
}

/** Allocates the activations of a model. */
export function allocateActivations(
  device: GpuDevice,
  spec: ModelSpec,
  attention: AttentionPlan,
  limits: StepLimits,
): Activations {
  const { maxTokens, maxLogitRows } = limits;
  const tensor = (label: string, rows: number, columns: number): Tensor => {
    const stride = paddedColumns(columns);
    return { buffer: device.createBuffer(label, rows * stride * 4), rows, columns, stride };
  };
  const q = spec.heads * spec.headDim;
  const kv = spec.kvHeads * spec.headDim;
  return {
    hidden: tensor('hidden', maxTokens, spec.hidden),
    normed: tensor('normed', maxTokens, spec.hidden),
    qkv: tensor('qkv', maxTokens, q + 2 * kv),
    q: tensor('q', maxTokens, q),
    attended: tensor('attended', maxTokens, q),
    gated: tensor('gated', spec.layers.some(({ ffn }) => ffn === 'dense') ? maxTokens : 0, spec.ffn),
    moe: spec.moe && allocateMoe(spec.moe),
    lastRows: tensor('last rows', maxLogitRows, spec.hidden),
    logits: tensor('logits', maxLogitRows, spec.vocab),
    attention,
    attentionScratch: device.createBuffer(
      'attention scratch',
      attentionScratchBytes(attention, limits.maxSequences, limits.maxModelLen),
    ),
    ropeTables: spec.ropes.map((rope, i) => ({
      style: rope.style,
      dims: rope.dims,
      buffer: uploadTable(device, `rope ${i}`, ropeTable(rope, limits.maxModelLen)),
    })),
  };

  function allocateMoe({ numExperts, topK, ffn, sharedFfn }: MoeSpec): MoeActivations {
    const hasShared = sharedFfn !== null;
    const maxPairs = maxTokens * topK;
    return {
      logits: tensor('router logits', maxTokens, numExperts + (hasShared ? 1 : 0)),
      routes: allocateMoeRoutes(device, maxTokens, { numExperts, topK, hasShared }),
      lists: allocateMoeLists(device, maxPairs, numExperts, SMALLEST_TILE_ROWS),
      gated: tensor('experts gated', maxPairs, ffn),
      rows: tensor('expert rows', maxPairs, spec.hidden),
      shared: hasShared
        ? { gated: tensor('shared gated', maxTokens, sharedFfn), rows: tensor('shared rows', maxTokens, spec.hidden) }
        : null,
    };
  }
}

function uploadTable(device: GpuDevice, label: string, table: Float32Array): GpuBuffer {
  const buffer = device.createBuffer(label, table.byteLength);
  device.write(buffer, 0, new Uint8Array(table.buffer, table.byteOffset, table.byteLength));
  return buffer;
}
