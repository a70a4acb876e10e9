/**
 * The file that keeps measured sizes from one start to the next: one per adapter, driver, binding and text of the shaders.
 *
 * Owns its name and its form. What cannot be read counts as not there, and what cannot be written is done without: a start never fails
 * for it. Next: `tuned-table.ts` (the entries), `autotune.ts` (who reads and writes).
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { shaderSources } from '../../shaders/index.ts';
import { adapterName } from '../gpu/binding.ts';
import type { GpuDevice } from '../gpu/device.ts';
import { readEntries, type TunedEntry } from './tuned-table.ts';

/** Changes with the meaning of the entries. */
const VERSION = 2;

/** Whose measurements these are; equal words mean that they still hold. */
export interface TuningKey {
  readonly version: number;
  readonly adapter: string;
  readonly binding: string;
  /** Variants that the adapter has, which kernels are made of. */
  readonly variants: string;
  /** Digest of the shaders' texts. */
  readonly shaders: string;
}

export function tuningKey(device: GpuDevice): TuningKey {
  const { vendor, architecture } = device.adapter;
  return {
    version: VERSION,
    adapter: `${vendor} ${architecture}: ${adapterName(device.adapter)}`,
    binding: device.binding,
    variants: `f16=${device.hasF16} subgroups=${device.hasSubgroups}`,
    shaders: digest(matmulSources()),
  };
}

export function tuningPath(folder: string, key: TuningKey): string {
  return join(folder, `${digest(JSON.stringify(key)).slice(0, 16)}.json`);
}

/** The entries that were kept and that `isUsable` takes; none where the file is missing, damaged or of another adapter. */
export async function readTuning(
  folder: string,
  key: TuningKey,
  isUsable: (entry: TunedEntry) => boolean,
): Promise<TunedEntry[]> {
  try {
    const kept = JSON.parse(await readFile(tuningPath(folder, key), 'utf8')) as { key?: unknown; entries?: unknown };
    return JSON.stringify(kept.key) === JSON.stringify(key) ? readEntries(kept.entries, isUsable) : [];
  } catch {
    return [];
  }
}

/** Keeps entries; several processes may do so at once. False where the folder cannot be written. */
export async function writeTuning(folder: string, key: TuningKey, entries: readonly TunedEntry[]): Promise<boolean> {
  const path = tuningPath(folder, key);
  const draft = `${path}.${process.pid}`;
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(draft, `${JSON.stringify({ key, entries }, null, 1)}\n`);
    await rename(draft, path);
    return true;
  } catch {
    await rm(draft, { force: true }).catch(() => {});
    return false;
  }
}

/**
 * Notes that measuring begins; false when the note of an earlier start is still there, which then is removed: that start died of it, and
 * this one shall not.
 */
export async function beginMeasuring(folder: string, key: TuningKey): Promise<boolean> {
  try {
    await mkdir(folder, { recursive: true });
  } catch {
    return true;
  }
  try {
    await writeFile(notePath(folder, key), '', { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return true;
    await endMeasuring(folder, key);
    return false;
  }
}

export async function endMeasuring(folder: string, key: TuningKey): Promise<void> {
  await rm(notePath(folder, key), { force: true }).catch(() => {});
}

function notePath(folder: string, key: TuningKey): string {
  return `${tuningPath(folder, key)}.measuring`;
}

/** Every text that a matrix-vector kernel may be made of: what it includes is not looked up, a change of another shader costs one measurement. */
function matmulSources(): string {
  return Object.entries(shaderSources)
    .filter(([name]) => !/^(sample|attention|logprobs)/.test(name))
    .map(([name, text]) => `${name}\n${text}`)
    .toSorted()
    .join('\n');
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}
