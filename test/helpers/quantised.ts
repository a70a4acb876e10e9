/**
 * Quantised matrices for tests: packed by the loader's packer, read back by the layout's definition, uploaded in shards.
 */
import type { GpuDevice } from '../../src/engine/gpu/device.ts';
import type { GroupSize, Matrix, QuantisedFormat } from '../../src/engine/ops/tensor.ts';
import { quantiseRows } from '../../src/engine/weights/quantise.ts';
import { dequantise } from '../reference/quantised.ts';
import { upload } from './gpu.ts';

/** Packs and uploads [rows, columns] values, cut into shards; gives what the kernel's weights are besides. */
export function quantisedMatrix(
  device: GpuDevice,
  label: string,
  format: QuantisedFormat,
  size: GroupSize,
  columns: number,
  values: Float32Array,
  rowsPerShard: number,
): { matrix: Matrix; values: Float32Array } {
  const groups = { size, zeros: format === 'int4' };
  const packed = quantiseRows(format, groups, values, columns);
  const shards = [];
  for (let firstRow = 0; firstRow < packed.rows; firstRow += rowsPerShard) {
    const rows = Math.min(rowsPerShard, packed.rows - firstRow);
    const part = (array: Uint32Array) => {
      const perRow = array.length / packed.rows;
      return array.slice(firstRow * perRow, (firstRow + rows) * perRow);
    };
    shards.push({
      buffer: upload(device, `${label}[${firstRow}]`, part(packed.words)),
      scales: upload(device, `${label}[${firstRow}] scales`, part(packed.scales)),
      firstRow,
      rows,
    });
  }
  return {
    matrix: { format, groups, rows: packed.rows, columns, shards },
    values: Float32Array.from(dequantise(packed)),
  };
}
