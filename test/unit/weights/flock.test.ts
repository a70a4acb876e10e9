/** File locks, within a process and between two. */

import { afterEach, beforeEach, expect, test } from 'bun:test';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type FileLock, tryLockFile } from '../../../src/runtime/flock.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'flock-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function lock(path: string): Promise<FileLock> {
  const result = await tryLockFile(path);
  if (typeof result === 'string') throw new Error(`expected a lock, got ${result}`);
  return result;
}

test('one holder at a time, and the file stays', async () => {
  const path = join(folder, 'deep', 'a.lock');
  const first = await lock(path);
  expect(await tryLockFile(path)).toBe('busy');
  (await lock(join(folder, 'deep', 'b.lock'))).release();
  first.release();
  first.release();
  (await lock(path)).release();
  expect((await readdir(join(folder, 'deep'))).toSorted()).toEqual(['a.lock', 'b.lock']);
});

test('another process is kept out, and its end frees the lock', async () => {
  const path = join(folder, 'a.lock');
  const module = join(import.meta.dir, '../../../src/runtime/flock.ts');
  const program = `
    const { tryLockFile } = await import(${JSON.stringify(module)});
    console.log(typeof (await tryLockFile(${JSON.stringify(path)})));
    await Bun.stdin.text();
  `;
  const child = Bun.spawn([process.execPath, '-e', program], { stdin: 'pipe', stdout: 'pipe' });
  const { value } = await child.stdout.getReader().read();
  expect(new TextDecoder().decode(value).trim()).toBe('object');
  expect(await tryLockFile(path)).toBe('busy');
  child.kill(9);
  await child.exited;
  (await lock(path)).release();
});

test('a lock file that was removed meanwhile guards nothing', async () => {
  const path = join(folder, 'a.lock');
  const first = await lock(path);
  await rm(path);
  const second = await lock(path);
  expect(await tryLockFile(path)).toBe('busy');
  first.release();
  second.release();
});
