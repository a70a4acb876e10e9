/**
 * Advisory file locks between processes (`flock`), as Python's `filelock` takes them.
 *
 * Owns the call into libc through `bun:ffi`. Must not know what is locked. Where libc cannot be called (another runtime,
 * Windows) or the filesystem has no locks, it says 'unsupported', and the caller works without one.
 * Next: `engine/weights/hub/blob-lock.ts`, which waits for a lock.
 */

import { closeSync, fstatSync, mkdirSync, openSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

const LOCK_EXCLUSIVE = 2;
const LOCK_NON_BLOCKING = 4;

type Flock = (fd: number, operation: number) => number;

/** A lock that is held until `release`. */
export interface FileLock {
  /** Safe to call twice. The file stays: removing it would let two processes lock two different files of one name. */
  release(): void;
}

/**
 * Tries to lock a file once, creating it and its folder when missing; never waits.
 *
 * Returns: the lock, 'busy' while somebody else (also in this process) holds it, or 'unsupported'.
 * Throws: file errors, such as a folder that may not be written.
 */
export async function tryLockFile(path: string): Promise<FileLock | 'busy' | 'unsupported'> {
  const flock = await loadFlock();
  if (flock === null) return 'unsupported';
  mkdirSync(dirname(path), { recursive: true });
  const fd = openSync(path, 'a', 0o664);
  if (flock(fd, LOCK_EXCLUSIVE | LOCK_NON_BLOCKING) !== 0) {
    closeSync(fd);
    return (await hasLocks(dirname(path), flock)) ? 'busy' : 'unsupported';
  }
  // The one who held it may have removed the file meanwhile: then this lock guards nothing.
  if (!isSameFile(fd, path)) {
    closeSync(fd);
    return 'busy';
  }
  let isHeld = true;
  return {
    release() {
      if (!isHeld) return;
      isHeld = false;
      // Closing the only descriptor of this open file releases the lock.
      closeSync(fd);
    },
  };
}

function isSameFile(fd: number, path: string): boolean {
  const opened = fstatSync(fd);
  const named = statSync(path, { throwIfNoEntry: false });
  return named !== undefined && named.ino === opened.ino && named.dev === opened.dev;
}

const foldersWithLocks = new Set<string>();

/** Tells 'busy' from 'unsupported' without errno, which another call of the runtime may have overwritten: tries a fresh file. */
async function hasLocks(folder: string, flock: Flock): Promise<boolean> {
  if (foldersWithLocks.has(folder)) return true;
  const probe = `${folder}/.probe-${process.pid}-${crypto.randomUUID().slice(0, 8)}`;
  const fd = openSync(probe, 'a');
  const works = flock(fd, LOCK_EXCLUSIVE | LOCK_NON_BLOCKING) === 0;
  closeSync(fd);
  rmSync(probe, { force: true });
  if (works) foldersWithLocks.add(folder);
  return works;
}

let loading: Promise<Flock | null> | undefined;

function loadFlock(): Promise<Flock | null> {
  loading ??= openLibc();
  return loading;
}

async function openLibc(): Promise<Flock | null> {
  const names = process.platform === 'darwin' ? ['libSystem.dylib'] : ['libc.so.6', `libc.musl-${muslArch()}.so.1`];
  if (process.platform === 'win32') return null;
  try {
    const { dlopen, FFIType } = await import('bun:ffi');
    for (const name of names) {
      try {
        const libc = dlopen(name, { flock: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 } });
        return libc.symbols.flock;
      } catch {
        // Another C library, or none that can be opened: try the next name.
      }
    }
  } catch {
    // Not Bun, or built without FFI.
  }
  return null;
}

function muslArch(): string {
  return process.arch === 'arm64' ? 'aarch64' : 'x86_64';
}
