/**
 * Runs one program with a time limit and keeps what it prints; when its time is over, it and all that it started are ended.
 *
 * Owns the process group. Next: `all.ts` (who runs programs one after another).
 */
import { spawn } from 'node:child_process';

export interface ChildOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly limitMs: number;
  /** Gets each piece of what it prints. */
  readonly onOutput: (text: string) => void;
}

export interface ChildEnd {
  readonly state: 'done' | 'failed' | 'out of time';
  readonly output: string;
  readonly errors: string;
}

/** Of each of the two outputs, the last so many characters. */
const MOST_KEPT = 2 ** 20;

/** Runs a program to its end. Never rejects: what cannot be started has failed. */
export function runChild(program: string, args: readonly string[], options: ChildOptions): Promise<ChildEnd> {
  return new Promise((resolve) => {
    // A group of its own, so that servers and peers which it started go with it.
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: { ...process.env, ...options.env },
    });
    let isLate = false;
    let output = '';
    let errors = '';
    const end = () => endGroup(child.pid);
    const timer = setTimeout(() => {
      isLate = true;
      end();
    }, options.limitMs);
    process.once('exit', end);
    child.stdout.on('data', (data: Buffer) => {
      output = (output + data.toString()).slice(-MOST_KEPT);
      options.onOutput(data.toString());
    });
    child.stderr.on('data', (data: Buffer) => {
      errors = (errors + data.toString()).slice(-MOST_KEPT);
    });
    let isOver = false;
    const finish = (state: ChildEnd['state']) => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      process.off('exit', end);
      resolve({ state, output, errors });
    };
    child.once('error', (error) => {
      errors += error.message;
      finish('failed');
    });
    child.once('close', (code) => {
      // What it left behind would disturb the next one.
      end();
      finish(isLate ? 'out of time' : code === 0 ? 'done' : 'failed');
    });
  });
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}
