/**
 * The buffers that a forward pass writes: allocated once at load, reused in every step.
 *
 * Owns their shapes. Next: `decoder.ts`.
 */
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { GpuDevice } from '../gpu/device.ts';
import { type AttentionPlan, attentionScratchBytes } from '../ops/attention.ts';
import type { RopeTable } from '../ops/rope-kv.ts';
import { paddedColumns, type Tensor } from '../ops/tensor.ts';
import { ropeTable } from './rope-table.ts';
import type { ModelSpec } from './spec.ts';

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
  /** Shapes: [T, F]. */
  readonly gated: Tensor;
  /** The rows whose logits are wanted. Shapes: [S, E]. */
  readonly lastRows: Tensor;
  /** Shapes: [S, V]. */
  readonly logits: Tensor;
  readonly attention: AttentionPlan;
  readonly attentionScratch: GpuBuffer;
  /** One per rope of the spec. */
  readonly ropeTables: readonly RopeTable[];
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
    gated: tensor('gated', maxTokens, spec.ffn),
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
}

function uploadTable(device: GpuDevice, label: string, table: Float32Array): GpuBuffer {
  const buffer = device.createBuffer(label, table.byteLength);
  device.write(buffer, 0, new Uint8Array(table.buffer, table.byteOffset, table.byteLength));
  return buffer;
}
