/**
 * From tensors in files to matrices and vectors on the GPU: chunk by chunk, converted, padded and sharded by rows.
 *
 * Owns the buffers' shapes and the progress count; never holds more than one chunk of a file in memory. It knows tensor names
 * only as strings. Next: `models/weights.ts` (which tensors a model has), `convert.ts`, `weight-files.ts`.
 */
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { GpuDevice } from '../gpu/device.ts';
import {
  isQuantised,
  type Matrix,
  type MatrixFormat,
  type MatrixShard,
  paddedColumns,
  rowBytes,
  type StoredFormat,
  storedBytes,
  type Vector,
} from '../ops/tensor.ts';
import { EngineError } from '../types.ts';
import { ChunkConverter } from './convert.ts';
import { groupsFor, type PackedMatrix, quantiseRows } from './quantise.ts';
import { assertFloatEntry, type FloatTensorEntry, tensorError } from './tensor-entry.ts';
import type { WeightFiles } from './weight-files.ts';

/** One read and one upload. Units: bytes of the file. */
const CHUNK_BYTES = 8 * 2 ** 20;
/** Larger buffers are refused by some drivers although the limit allows them. */
const MAX_SHARD_BYTES = 2 ** 30;

/**
 * How matrices are to be stored: the setting `DTYPE`, null to keep what the file has, or an integer format for the layers' matrices.
 * With the last, tables and vectors keep 16-bit floats as they are, and f32 tables become bf16.
 */
export type WantedFormat = MatrixFormat | null;

/** Loads tensors of one checkpoint onto one device. */
export class WeightLoader {
  /** Bytes on the GPU so far. */
  storedBytes = 0;
  /** Bytes read from files so far. */
  readBytes = 0;
  /** Values that did not fit into f16 and were clamped, by tensor. */
  readonly overflowed = new Map<string, number>();
  readonly used = new Set<string>();
  private readonly chunk = new Uint8Array(CHUNK_BYTES);
  private readonly converted = new Uint8Array(2 * CHUNK_BYTES);
  private padded = new Uint8Array(0);

  constructor(
    private readonly device: GpuDevice,
    private readonly files: WeightFiles,
    private readonly format: WantedFormat,
    private readonly onRead: (readBytes: number) => void,
  ) {}

  has(name: string): boolean {
    return this.files.has(name);
  }

  /**
   * One matrix from tensors stacked by rows. Shapes: each tensor [rows[i], columns].
   * `blockRows`: no shard ends within so many rows and begins in others, unless a block exceeds a binding.
   * Throws: EngineError naming tensor and file when one is missing or has another shape.
   */
  async matrix(names: readonly string[], rows: readonly number[], columns: number, blockRows = 1): Promise<Matrix> {
    const entries = names.map((name, i) => this.entry(name, [rows[i] ?? 0, columns]));
    const format = this.floatFormat(entries[0] as FloatTensorEntry);
    const totalRows = entries.reduce((sum, entry) => sum + (entry.shape[0] ?? 0), 0);
    const shards = this.allocateShards(names[0] ?? '', format, totalRows, columns, blockRows);
    let firstRow = 0;
    for (const entry of entries) {
      await this.fill(entry, format, columns, shards, firstRow);
      firstRow += entry.shape[0] ?? 0;
    }
    return { format, rows: totalRows, columns, shards };
  }

  /**
   * One matrix of a layer, as {@link matrix}; quantised where that is wanted and its rows are whole groups.
   */
  async layerMatrix(
    names: readonly string[],
    rows: readonly number[],
    columns: number,
    blockRows = 1,
  ): Promise<Matrix> {
    const { format } = this;
    const groups = format && isQuantised(format) ? groupsFor(format, columns) : null;
    if (!format || !isQuantised(format) || !groups) return this.matrix(names, rows, columns, blockRows);
    const entries = names.map((name, i) => this.entry(name, [rows[i] ?? 0, columns]));
    const totalRows = rows.reduce((a, b) => a + b, 0);
    const shards = this.allocatePacked(names[0] ?? '', { format, rows: totalRows, columns, groups }, blockRows);
    let firstRow = 0;
    for (const entry of entries) {
      await this.readRows(entry, 'f32', columns, columns * 4, (row, bytes) => {
        const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
        this.writePacked(quantiseRows(format, groups, values, columns), firstRow + row, shards);
      });
      firstRow += entry.shape[0] ?? 0;
    }
    return { format, groups, rows: totalRows, columns, shards };
  }

  /** A matrix that comes packed. Its source counts what it read itself. */
  packedMatrix(label: string, packed: PackedMatrix): Matrix {
    const { format, groups, rows, columns } = packed;
    const shards = this.allocatePacked(label, packed, 1);
    this.writePacked(packed, 0, shards);
    return { format, groups, rows, columns, shards };
  }

  /** One f32 vector from tensors put end to end, padded with zeros like a row. */
  async vector(names: readonly string[], lengths: readonly number[]): Promise<Vector> {
    const length = lengths.reduce((a, b) => a + b, 0);
    const bytes = new Uint8Array(length * 4);
    let at = 0;
    for (const [i, name] of names.entries()) {
      const entry = this.entry(name, [lengths[i] ?? 0]);
      const source = new Uint8Array(entry.byteLength);
      await this.files.read(name, source, 0);
      const target = bytes.subarray(at, at + (lengths[i] ?? 0) * 4);
      target.set(new ChunkConverter(entry.dtype, 'f32').convert(source, new Uint8Array(target.length)));
      at += target.length;
      this.count(entry.byteLength);
    }
    const buffer = this.device.createBuffer(names[0] ?? 'vector', paddedColumns(length) * 4);
    this.device.write(buffer, 0, bytes);
    this.storedBytes += buffer.bytes;
    return { buffer, length };
  }

  /** Throws: EngineError when a tensor of the files was neither loaded nor is known to be superfluous. */
  assertAllUsed(ignored: readonly RegExp[]): void {
    const left = this.files.names().filter((name) => !this.used.has(name) && !ignored.some((rule) => rule.test(name)));
    const first = left[0];
    if (first === undefined) return;
    const more = left.length > 1 ? ` (and ${left.length - 1} more)` : '';
    throw tensorError(this.files.entry(first), `is not part of the model that config.json describes${more}`);
  }

  private entry(name: string, shape: readonly number[]): FloatTensorEntry {
    const entry = this.files.entry(name);
    assertFloatEntry(entry);
    if (entry.shape.length !== shape.length || entry.shape.some((length, i) => length !== shape[i])) {
      throw tensorError(entry, `has shape [${entry.shape}], expected [${shape}]`);
    }
    this.used.add(name);
    return entry;
  }

  private allocateShards(
    label: string,
    format: MatrixFormat,
    rows: number,
    columns: number,
    blockRows: number,
  ): MatrixShard[] {
    const perRow = rowBytes(format, columns);
    const limit = Math.min(
      this.device.limits.maxStorageBufferBindingSize,
      this.device.limits.maxBufferSize,
      MAX_SHARD_BYTES,
    );
    const mostRows = Math.floor(limit / perRow);
    if (mostRows < 1) throw new EngineError('load-failed', `${label}: one row of ${perRow} bytes exceeds a binding`);
    const shards: MatrixShard[] = [];
    const isWhole = mostRows >= blockRows;
    for (let firstRow = 0, count = 0; firstRow < rows; firstRow += count) {
      const untilBlockEnds = blockRows - (firstRow % blockRows);
      count = isWhole
        ? Math.min(mostRows - (mostRows % blockRows), rows - firstRow)
        : Math.min(mostRows, untilBlockEnds);
      const buffer = this.device.createBuffer(`${label}[${firstRow}]`, count * perRow);
      this.storedBytes += buffer.bytes;
      shards.push({ buffer, firstRow, rows: count });
    }
    return shards;
  }

  private allocatePacked(
    label: string,
    matrix: Omit<PackedMatrix, 'words' | 'scales'>,
    blockRows: number,
  ): MatrixShard[] {
    const { format, rows, columns, groups } = matrix;
    return this.allocateShards(label, format, rows, columns, blockRows).map((shard) => {
      const scales = this.device.createBuffer(`${shard.buffer.label} scales`, (shard.rows * columns * 4) / groups.size);
      this.storedBytes += scales.bytes;
      return { ...shard, scales };
    });
  }

  private writePacked(packed: PackedMatrix, firstRow: number, shards: readonly MatrixShard[]): void {
    const { format, rows, columns, groups, words, scales } = packed;
    this.writeRows(bytesOf(words), firstRow, rows, rowBytes(format, columns), shards, ({ buffer }) => buffer);
    const perRow = (columns * 4) / groups.size;
    this.writeRows(bytesOf(scales), firstRow, rows, perRow, shards, ({ scales, buffer }) => scales ?? buffer);
  }

  /** What floats are stored as. */
  private floatFormat(entry: FloatTensorEntry): StoredFormat {
    const { format } = this;
    if (format === null) return storedFormat(entry);
    if (isQuantised(format)) return entry.dtype === 'F32' ? 'bf16' : storedFormat(entry);
    return format;
  }

  /** Writes a tensor, starting at row `targetRow` of the sharded matrix. */
  private async fill(
    entry: FloatTensorEntry,
    format: StoredFormat,
    columns: number,
    shards: readonly MatrixShard[],
    targetRow: number,
  ): Promise<void> {
    const stored = columns * storedBytes(format);
    const target = rowBytes(format, columns);
    await this.readRows(entry, format, columns, target, (row, bytes) => {
      const count = bytes.length / stored;
      const packed = padRows(bytes, count, stored, target, this.room(count * target));
      this.writeRows(packed, targetRow + row, count, target, shards, ({ buffer }) => buffer);
    });
  }

  /** Reads a tensor in whole rows; gives each piece, converted, with its first row. `target`: bytes of a row at its destination. */
  private async readRows(
    entry: FloatTensorEntry,
    format: StoredFormat,
    columns: number,
    target: number,
    write: (firstRow: number, bytes: Uint8Array) => void,
  ): Promise<void> {
    const converter = new ChunkConverter(entry.dtype, format);
    const sourceRow = columns * converter.sourceBytes;
    const rows = entry.shape[0] ?? 0;
    const step = Math.max(1, Math.floor(CHUNK_BYTES / Math.max(sourceRow, target)));
    if (sourceRow > CHUNK_BYTES) throw tensorError(entry, `has rows of ${sourceRow} bytes, which is too long`);
    for (let row = 0; row < rows; row += step) {
      const source = this.chunk.subarray(0, Math.min(step, rows - row) * sourceRow);
      await this.files.read(entry.name, source, row * sourceRow);
      write(row, converter.convert(source, this.converted));
      this.count(source.length);
      await this.device.settleUploads();
    }
    if (converter.numOverflowed > 0) this.overflowed.set(entry.name, converter.numOverflowed);
  }

  private room(bytes: number): Uint8Array {
    if (this.padded.length < bytes) this.padded = new Uint8Array(bytes);
    return this.padded.subarray(0, bytes);
  }

  private writeRows(
    data: Uint8Array,
    firstRow: number,
    count: number,
    perRow: number,
    shards: readonly MatrixShard[],
    bufferOf: (shard: MatrixShard) => GpuBuffer,
  ): void {
    for (const shard of shards) {
      const from = Math.max(firstRow, shard.firstRow);
      const to = Math.min(firstRow + count, shard.firstRow + shard.rows);
      if (from >= to) continue;
      const part = data.subarray((from - firstRow) * perRow, (to - firstRow) * perRow);
      this.device.write(bufferOf(shard), (from - shard.firstRow) * perRow, part);
    }
  }

  private count(bytes: number): void {
    this.readBytes += bytes;
    this.onRead(this.readBytes);
  }
}

function bytesOf(words: Uint32Array): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

/** Spreads rows to their padded length; gives `rows` back where there is nothing to pad. Mutates: room. */
function padRows(rows: Uint8Array, count: number, from: number, to: number, room: Uint8Array): Uint8Array {
  if (from === to) return rows;
  room.fill(0);
  for (let i = 0; i < count; i++) room.set(rows.subarray(i * from, (i + 1) * from), i * to);
  return room;
}

/** How a tensor is stored when nothing else is wanted. */
export function storedFormat(entry: FloatTensorEntry): StoredFormat {
  return { F32: 'f32', F16: 'f16', BF16: 'bf16' }[entry.dtype] as StoredFormat;
}
