/**
 * Child processes whose output is taken line by line.
 *
 * Owns spawning, line splitting and the promise of the end. Knows nothing of what the child does. Built on
 * `node:child_process`, so that the same file runs under Bun, Node and Deno.
 * Next: `engine/host/engine-process.ts` (the only user).
 */
import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';

/** A line without end is cut here, so that binary noise on stderr cannot fill memory. Units: UTF-16 code units. */
const MAX_LINE_LENGTH = 8192;
/** A grandchild may hold the pipes open after the child is gone; the end is reported all the same. */
const PIPE_GRACE_MS = 1000;

/** How a child ended. `error` is set when it could not be started at all. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: string | null;
  readonly error: Error | null;
}

export interface ChildProcessHandle {
  /** null when it could not be started. */
  readonly pid: number | null;
  /** Resolves once, after the last line was delivered. Never rejects. */
  readonly ended: Promise<ProcessEnd>;
  kill(signal: 'SIGTERM' | 'SIGKILL'): void;
}

/**
 * Starts `command` with its stdout and stderr given to `onLine`.
 * The child is killed when this process exits in an orderly way; a killed parent cannot do that, so the child must watch
 * its connection as well.
 */
export function spawnChild(
  command: readonly string[],
  options: { readonly env: Readonly<Record<string, string | undefined>>; readonly onLine: (line: string) => void },
): ChildProcessHandle {
  const [file, ...args] = command;
  if (file === undefined) throw new RangeError('the command is empty');
  const child = spawn(file, args, { env: { ...options.env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const killOnExit = () => child.kill('SIGKILL');
  process.once('exit', killOnExit);
  forwardLines(child.stdout, options.onLine);
  forwardLines(child.stderr, options.onLine);
  const ended = new Promise<ProcessEnd>((resolve) => {
    const end = (value: ProcessEnd) => {
      process.off('exit', killOnExit);
      resolve(value);
    };
    child.once('error', (error) => {
      if (child.pid === undefined) end({ code: null, signal: null, error });
    });
    child.once('exit', (code, signal) => {
      setTimeout(() => end({ code, signal, error: null }), PIPE_GRACE_MS).unref();
    });
    child.once('close', (code, signal) => end({ code, signal, error: null }));
  });
  return { pid: child.pid ?? null, ended, kill: (signal) => void child.kill(signal) };
}

/** Cuts a stream into lines; a carriage return alone (a redrawn progress line) ends a line too. */
function forwardLines(stream: Readable, onLine: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const lines = (rest + text).split(/\r?\n|\r/);
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') onLine(line);
    if (rest.length > MAX_LINE_LENGTH) {
      onLine(rest.slice(0, MAX_LINE_LENGTH));
      rest = '';
    }
  });
  stream.on('error', () => {}); // a broken pipe is the end of the child, which `ended` reports
  stream.once('end', () => {
    if (rest !== '') onLine(rest);
    rest = '';
  });
}
