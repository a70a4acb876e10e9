/**
 * The kernels that are measured, at the shapes of a small real model (smaller ones where the adapter is a CPU), with the bytes
 * and operations that each must at least move and do.
 *
 * Next: `attention-cases.ts` and `sampling-cases.ts`, the cases with a batch behind them.
 */
import type { GpuDevice } from '../../src/engine/gpu/device.ts';
import type { OpContext } from '../../src/engine/ops/context.ts';
import { recordEmbed } from '../../src/engine/ops/embed.ts';
import { recordGatedMatmul, recordMatmul } from '../../src/engine/ops/matmul.ts';
import { allocateQuantisedRows } from '../../src/engine/ops/quantise-rows.ts';
import { recordRmsNorm } from '../../src/engine/ops/rms-norm.ts';
import { type MatrixFormat, rowBytes } from '../../src/engine/ops/tensor.ts';
import { attentionCases } from './attention-cases.ts';
import { benchMatrices, benchTensor, benchVector, destroyMatrices } from './bench-values.ts';
import type { Call } from './gpu-timer.ts';
import { samplingCases } from './sampling-cases.ts';

export interface KernelCase {
  readonly name: string;
  /** That must come from or go to memory in one call. */
  readonly bytes: number;
  readonly flops: number;
  /** Makes the buffers. `prepare` adds the step's arrays and gives what records one call. */
  make(context: OpContext): Promise<{ prepare(): Call; release(): void }>;
}

/** Outputs, inputs. */
type Shape = readonly [number, number];

export function kernelCases(device: GpuDevice): KernelCase[] {
  const { isSoftware } = device.adapter;
  const shapes: Shape[] = isSoftware
    ? [
        [512, 512],
        [2048, 512],
      ]
    : [
        [2048, 2048],
        [8192, 2048],
      ];
  const [, wide = [1, 1]] = shapes;
  const formats: MatrixFormat[] = ['f16', 'f32', 'int8', 'int4'];
  return [
    ...[1, 4, 16, 64, 256].flatMap((rows) => shapes.map((shape) => matmulCase(rows, shape, 'bf16'))),
    ...formats.flatMap((format) => [1, 256].map((rows) => matmulCase(rows, wide, format))),
    ...(['int8', 'int4'] as const).flatMap((format) => [1, 256].map((rows) => bytesCase(rows, wide, format))),
    ...[1, 256].map((rows) => gatedCase(rows, wide)),
    ...[1, 256].map((rows) => normCase(rows, wide[1])),
    embedCase(256, wide[1]),
    ...attentionCases(isSoftware),
    ...samplingCases(isSoftware),
  ];
}

function matmulCase(rows: number, [n, k]: Shape, format: MatrixFormat): KernelCase {
  return {
    name: `matmul ${rows} x ${n} x ${k} ${format}`,
    bytes: n * rowBytes(format, k) + rows * (n + k) * 4,
    flops: 2 * rows * n * k,
    async make(context) {
      const { device } = context;
      const weights = await benchMatrices(device, format, n, k);
      const x = await benchTensor(device, 'x', rows, k);
      const y = await benchTensor(device, 'y', rows, n);
      return {
        prepare: () => (i) => {
          const weight = weights[i % weights.length];
          if (weight) recordMatmul(context, { x, weight, y, numRows: rows });
        },
        release: () => {
          destroyMatrices(device, weights);
          for (const { buffer } of [x, y]) device.destroyBuffer(buffer);
        },
      };
    },
  };
}

/** As {@link matmulCase}, with the activations rounded to bytes first. */
function bytesCase(rows: number, shape: Shape, format: MatrixFormat): KernelCase {
  const plain = matmulCase(rows, shape, format);
  return {
    ...plain,
    name: `${plain.name} by bytes`,
    async make(context) {
      const dp4a = allocateQuantisedRows(context.device, rows, shape[1]);
      const made = await plain.make({ ...context, dp4a });
      return {
        ...made,
        release: () => {
          made.release();
          for (const buffer of [dp4a.quants, dp4a.scales]) context.device.destroyBuffer(buffer);
        },
      };
    },
  };
}

function gatedCase(rows: number, [n, k]: Shape): KernelCase {
  return {
    name: `gated matmul ${rows} x ${n} x ${k} bf16`,
    bytes: 2 * n * rowBytes('bf16', k) + rows * (n + k) * 4,
    flops: 4 * rows * n * k,
    async make(context) {
      const { device } = context;
      const gates = await benchMatrices(device, 'bf16', n, k);
      const ups = await benchMatrices(device, 'bf16', n, k);
      const x = await benchTensor(device, 'x', rows, k);
      const y = await benchTensor(device, 'y', rows, n);
      return {
        prepare: () => (i) => {
          const [gate, up] = [gates[i % gates.length], ups[i % ups.length]];
          if (gate && up) recordGatedMatmul(context, { x, gate, up, y, numRows: rows, activation: 'silu' });
        },
        release: () => {
          destroyMatrices(device, [...gates, ...ups]);
          for (const { buffer } of [x, y]) device.destroyBuffer(buffer);
        },
      };
    },
  };
}

function normCase(rows: number, columns: number): KernelCase {
  return {
    name: `rms-norm ${rows} x ${columns}`,
    bytes: (2 * rows + 1) * columns * 4,
    flops: 4 * rows * columns,
    async make(context) {
      const { device } = context;
      const x = await benchTensor(device, 'x', rows, columns);
      const y = await benchTensor(device, 'y', rows, columns);
      const weight = await benchVector(device, 'norm weight', columns);
      return {
        prepare: () => () => recordRmsNorm(context, { x, weight, y, numRows: rows, rowList: null, eps: 1e-5 }),
        release: () => {
          for (const { buffer } of [x, y, weight]) device.destroyBuffer(buffer);
        },
      };
    },
  };
}

function embedCase(tokens: number, columns: number): KernelCase {
  const vocab = 4096;
  return {
    name: `embed ${tokens} x ${columns} bf16`,
    bytes: tokens * (rowBytes('bf16', columns) + columns * 4),
    flops: 0,
    async make(context) {
      const { device } = context;
      const tables = await benchMatrices(device, 'bf16', vocab, columns);
      const y = await benchTensor(device, 'y', tokens, columns);
      const nextTokens = device.createBuffer('next tokens', 16);
      return {
        prepare: () => {
          const ids = Uint32Array.from({ length: tokens }, (_, i) => (i * 613) % vocab);
          const tokenIds = context.recorder.words(ids);
          return (i) => {
            const table = tables[i % tables.length];
            if (table) recordEmbed(context, { table, tokenIds, numTokens: tokens, nextTokens, y });
          };
        },
        release: () => {
          destroyMatrices(device, tables);
          for (const buffer of [y.buffer, nextTokens]) device.destroyBuffer(buffer);
        },
      };
    },
  };
}
