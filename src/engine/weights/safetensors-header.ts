/**
 * The header of one safetensors file: eight bytes of length, then JSON with the name, type, shape and place of each tensor.
 *
 * Owns the format's rules. Nothing here is trusted: a header can come from anywhere. Pure: bytes in, entries out.
 * Source: https://github.com/huggingface/safetensors (format). Next: `safetensors.ts`, which opens files.
 */

import { EngineError } from '../types.ts';
import { isTensorDtype, type TensorEntry, tensorBytes, tensorError } from './tensor-entry.ts';

/** Length of the field in front of the header. Units: bytes. */
export const LENGTH_FIELD_BYTES = 8;
/** As the format's own reader limits it. Units: bytes. */
export const MAX_HEADER_BYTES = 100_000_000;

/** Reads the header's length. Throws: EngineError when it cannot be one. Units: bytes. */
export function readHeaderLength(field: Uint8Array, file: string, fileBytes: number): number {
  if (field.length < LENGTH_FIELD_BYTES)
    throw fileError(file, `is no safetensors file: it has only ${fileBytes} bytes`);
  const length = new DataView(field.buffer, field.byteOffset, LENGTH_FIELD_BYTES).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw fileError(
      file,
      `is no safetensors file: its header would have ${length} bytes (at most ${MAX_HEADER_BYTES})`,
    );
  }
  if (Number(length) > fileBytes - LENGTH_FIELD_BYTES) {
    throw fileError(file, `is cut short: its header has ${length} bytes, the whole file ${fileBytes}`);
  }
  return Number(length);
}

/**
 * Reads and checks the tensors of a header, in the order of their bytes.
 * Checks: JSON, known types, shape times size equals length, tensors side by side without gaps up to the end of the file.
 * Throws: EngineError that names the file, and the tensor where there is one.
 */
export function parseHeader(json: Uint8Array, file: string, fileBytes: number): TensorEntry[] {
  const dataStart = LENGTH_FIELD_BYTES + json.length;
  const entries: TensorEntry[] = [];
  for (const [name, value] of Object.entries(parseObject(json, file))) {
    if (name !== '__metadata__') entries.push(readEntry(name, value, file, dataStart));
  }
  entries.sort((a, b) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  let end = dataStart;
  for (const entry of entries) {
    if (entry.byteOffset !== end) {
      throw tensorError(entry, `starts at byte ${entry.byteOffset}, but the one before ends at ${end}`);
    }
    end = entry.byteOffset + entry.byteLength;
    if (end > fileBytes) throw tensorError(entry, `is cut short: it ends at byte ${end}, the file has ${fileBytes}`);
  }
  if (end !== fileBytes) throw fileError(file, `has ${fileBytes - end} bytes that belong to no tensor`);
  return entries;
}

function parseObject(json: Uint8Array, file: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
    if (isRecord(parsed)) return parsed;
  } catch {
    // Said below.
  }
  throw fileError(file, 'is no safetensors file: its header is not a JSON object');
}

function readEntry(name: string, value: unknown, file: string, dataStart: number): TensorEntry {
  const fail = (problem: string) => tensorError({ name, file }, problem);
  if (!isRecord(value)) throw fail('has no description in the header');
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string' || !isTensorDtype(dtype)) throw fail(`has the unknown dtype ${JSON.stringify(dtype)}`);
  if (!isCounts(shape)) throw fail(`has the shape ${JSON.stringify(shape)}`);
  if (!isCounts(offsets)) throw fail(`has the offsets ${JSON.stringify(offsets)}`);
  const [begin, end] = offsets;
  if (offsets.length !== 2 || begin === undefined || end === undefined || begin > end) {
    throw fail(`has the offsets ${JSON.stringify(offsets)}`);
  }
  const byteLength = end - begin;
  const expected = tensorBytes(dtype, shape);
  if (expected !== byteLength) {
    throw fail(`has ${byteLength} bytes, but ${dtype} [${shape.join(', ')}] needs ${expected ?? 'another number'}`);
  }
  return { name, dtype, shape, byteOffset: dataStart + begin, byteLength, file };
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function fileError(file: string, problem: string): EngineError {
  return new EngineError('load-failed', `${file} ${problem}`);
}
