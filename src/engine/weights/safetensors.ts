/**
 * Opens a checkpoint in safetensors: one file, or a folder with one or many shards, as {@link WeightFiles}.
 *
 * Owns the file handles and what concerns several files (index, missing shards, names that occur twice). Reads pieces into
 * the caller's buffer; a whole file is never in memory, and nothing is mapped (a mapped file that shrinks kills the process).
 * Next: `safetensors-header.ts` (the format), `convert.ts` (what happens to the bytes).
 */

import { type FileHandle, open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError } from '../types.ts';
import { fileError, LENGTH_FIELD_BYTES, parseHeader, readHeaderLength } from './safetensors-header.ts';
import { type TensorEntry, tensorError } from './tensor-entry.ts';
import type { WeightFiles } from './weight-files.ts';
import { chooseWeightLayout, parseWeightIndex, WEIGHT_INDEX_FILE } from './weight-index.ts';

/**
 * Opens a `.safetensors` file, or the weights of a checkpoint's folder, and checks all headers.
 * Throws: EngineError `load-failed` that names the file, and the tensor where there is one.
 */
export async function openSafetensors(path: string): Promise<WeightFiles> {
  const info = await stat(path).catch(() => null);
  if (info === null) throw fileError(path, 'does not exist');
  if (!info.isDirectory()) return openFiles([path]);

  const layout = chooseWeightLayout(await readdir(path));
  if (layout === null) throw fileError(path, 'holds no safetensors weights');
  if (layout.kind === 'files') return openFiles(layout.files.map((file) => join(path, file)));

  const indexPath = join(path, WEIGHT_INDEX_FILE);
  const index = parseWeightIndex(await readFile(indexPath, 'utf8'), indexPath);
  const shards = [...new Set(index.values())].toSorted();
  await assertShards(path, indexPath, shards);
  const files = await openFiles(shards.map((shard) => join(path, shard)));
  try {
    for (const [name, shard] of index) {
      const file = join(path, shard);
      if (!files.has(name) || files.entry(name).file !== file) {
        throw tensorError({ name, file }, `is not there, although ${WEIGHT_INDEX_FILE} names this file for it`);
      }
    }
  } catch (error) {
    await files.close();
    throw error;
  }
  return files;
}

async function assertShards(folder: string, indexPath: string, shards: readonly string[]): Promise<void> {
  const missing: string[] = [];
  for (const shard of shards) {
    const info = await stat(join(folder, shard)).catch(() => null);
    if (!info?.isFile()) missing.push(shard);
  }
  if (missing.length === 0) return;
  throw fileError(indexPath, `names ${shards.length} files, of which these are missing: ${missing.join(', ')}`);
}

interface OpenTensor {
  readonly entry: TensorEntry;
  readonly handle: FileHandle;
}

async function openFiles(paths: readonly string[]): Promise<WeightFiles> {
  const handles: FileHandle[] = [];
  const tensors = new Map<string, OpenTensor>();
  const closeAll = async () => {
    for (const handle of handles.splice(0)) await handle.close();
  };
  try {
    for (const path of paths) {
      const handle = await open(path, 'r');
      handles.push(handle);
      for (const entry of await readEntries(handle, path)) {
        const other = tensors.get(entry.name);
        if (other !== undefined) throw tensorError(entry, `is also in ${other.entry.file}`);
        tensors.set(entry.name, { entry, handle });
      }
    }
  } catch (error) {
    await closeAll();
    if (error instanceof EngineError) throw error;
    throw new EngineError('load-failed', `Cannot read the weights: ${String(error)}`);
  }
  return new SafetensorsFiles(paths, tensors, closeAll);
}

async function readEntries(handle: FileHandle, path: string): Promise<TensorEntry[]> {
  const fileBytes = (await handle.stat()).size;
  const field = new Uint8Array(LENGTH_FIELD_BYTES);
  const numRead = await fill(handle, field, 0);
  const headerBytes = readHeaderLength(field.subarray(0, numRead), path, fileBytes);
  const json = new Uint8Array(headerBytes);
  if ((await fill(handle, json, LENGTH_FIELD_BYTES)) < headerBytes) throw fileError(path, 'is cut short in its header');
  return parseHeader(json, path, fileBytes);
}

/** Reads until the buffer is full or the file ends; one call of the system may give less than asked. */
async function fill(handle: FileHandle, into: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await handle.read(into, done, into.length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

class SafetensorsFiles implements WeightFiles {
  readonly #paths: readonly string[];
  readonly #tensors: ReadonlyMap<string, OpenTensor>;
  readonly #names: readonly string[];
  readonly #closeAll: () => Promise<void>;

  constructor(paths: readonly string[], tensors: ReadonlyMap<string, OpenTensor>, closeAll: () => Promise<void>) {
    this.#paths = paths;
    this.#tensors = tensors;
    this.#names = [...tensors.keys()];
    this.#closeAll = closeAll;
  }

  names(): readonly string[] {
    return this.#names;
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  entry(name: string): TensorEntry {
    return this.#tensor(name).entry;
  }

  async read(name: string, into: Uint8Array, byteOffsetInTensor: number): Promise<void> {
    const { entry, handle } = this.#tensor(name);
    const end = byteOffsetInTensor + into.length;
    if (byteOffsetInTensor < 0 || end > entry.byteLength) {
      throw tensorError(entry, `has ${entry.byteLength} bytes; ${byteOffsetInTensor} to ${end} were asked for`);
    }
    let numRead: number;
    try {
      numRead = await fill(handle, into, entry.byteOffset + byteOffsetInTensor);
    } catch (error) {
      throw tensorError(entry, `cannot be read: ${error instanceof Error ? error.message : String(error)}`);
    }
    if (numRead < into.length) throw tensorError(entry, 'is cut short: the file has become smaller while it was read');
  }

  async close(): Promise<void> {
    await this.#closeAll();
  }

  #tensor(name: string): OpenTensor {
    const tensor = this.#tensors.get(name);
    if (tensor !== undefined) return tensor;
    const [first, ...others] = this.#paths;
    const where = others.length === 0 ? first : `${first} and ${others.length} more files`;
    throw new EngineError('load-failed', `There is no tensor ${name} in ${where}.`);
  }
}
