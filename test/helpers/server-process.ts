/**
 * A real server as its users start it: `bun src/main.ts` in a process of its own, on a free port of loopback.
 *
 * Owns the process, its output line by line, and what can be learnt of it from outside: the engine's process, memory,
 * metrics. Knows no test runner, so that benchmarks use it too. Next: `test/e2e/suite.ts`.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { settings } from '../../src/config/settings.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const READY = /^Ready: http:\/\/[^/]+:(\d+)\/v1 serves (.+) \(context (\d+)\)$/;
/** Between two looks at something that changes by itself and tells nobody. */
const LOOK_AGAIN_MS = 20;

/** What the caller's own environment may decide about a server under test: the driver, and which binding is tested. */
const INHERITED_SETTINGS: ReadonlySet<string> = new Set(['GPU_BINDING']);

export interface ServerProcess {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  readonly port: number;
  /** The name under which the model is served. */
  readonly model: string;
  /** Tokens of the longest sequence. */
  readonly contextTokens: number;
  readonly pid: number;
  /** Everything that it printed on stderr so far. */
  readonly stderrLines: readonly string[];
  /** The engine's process; null while there is none. */
  enginePid(): number | null;
  /** Resolves with the first line of stderr that matches, now or later. Rejects when the process ends without it. */
  waitForLine(pattern: RegExp): Promise<string>;
  /** A series of `/metrics` by its name without prefix. */
  metric(name: string): Promise<number>;
  /** Resolves with the exit code, null after a signal. */
  readonly exited: Promise<number | null>;
  /** Sends SIGTERM and resolves with the exit code. Safe to call twice. */
  stop(): Promise<number | null>;
}

export interface ServerOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Whether settings of this process's environment hold for the server, too; by default only those that choose the device do. */
  readonly inheritSettings?: boolean;
  readonly args?: readonly string[];
}

/** Starts a server and waits until it is ready. Throws: Error with its output when it ends before. */
export async function startServer(options: ServerOptions = {}): Promise<ServerProcess> {
  const inherited = options.inheritSettings === true ? process.env : withoutSettings(process.env);
  // Nobody has to notice that these servers go down.
  const env = { ...inherited, HOST: '127.0.0.1', PORT: '0', DRAIN_DELAY: '0', ...options.env };
  const child = spawn(process.execPath, ['src/main.ts', ...(options.args ?? [])], {
    cwd: root,
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const lines: string[] = [];
  const listeners = new Set<() => void>();
  const tellAll = () => {
    for (const listener of [...listeners]) listener();
  };
  // Whatever ends this process must not leave a server behind.
  const killServer = () => kill(child);
  process.once('exit', killServer);
  let isOver = false;
  const exited = new Promise<number | null>((resolve) => {
    child.once('close', (code) => {
      process.off('exit', killServer);
      isOver = true;
      resolve(code);
      tellAll();
    });
  });
  createInterface({ input: child.stderr }).on('line', (line) => {
    lines.push(line);
    tellAll();
  });

  const waitForLine = (pattern: RegExp): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = () => {
        const line = lines.find((candidate) => pattern.test(candidate));
        if (line === undefined && !isOver) return;
        listeners.delete(look);
        if (line !== undefined) resolve(line);
        else reject(new Error(`the server ended without ${pattern}; it printed:\n${lines.join('\n')}`));
      };
      listeners.add(look);
      look();
    });

  const [, port, model, context] = READY.exec(await waitForLine(READY)) ?? [];
  const url = `http://127.0.0.1:${port}`;
  const { pid } = child;
  if (pid === undefined) throw new Error('the server has no process id');
  return {
    url,
    port: Number(port),
    model: model ?? '',
    contextTokens: Number(context),
    pid,
    stderrLines: lines,
    enginePid: () => childrenOf(pid)[0] ?? null,
    waitForLine,
    async metric(name) {
      const text = await (await fetch(`${url}/metrics`)).text();
      const value = new RegExp(`^vllm:${name}\\{[^}]*\\} (\\S+)$`, 'm').exec(text)?.[1];
      if (value === undefined) throw new Error(`no series ${name} in:\n${text}`);
      return Number(value);
    },
    exited,
    stop() {
      if (!isOver) child.kill('SIGTERM');
      return exited;
    },
  };
}

/** Looks again and again until `isTrue`; the test's own time limit ends it when that never happens. */
export async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
}

/** Memory that a process has in RAM. Units: bytes. */
export function residentBytes(pid: number): number {
  return Number(statusField(pid, 'VmRSS') ?? psField(pid, 'rss') ?? 0) * 1024;
}

/** What a person has set for a server of their own must not decide about tests. */
function withoutSettings(all: Readonly<Record<string, string | undefined>>): Record<string, string | undefined> {
  const env = { ...all };
  for (const setting of Object.values(settings)) {
    for (const name of setting.env) if (!INHERITED_SETTINGS.has(name)) delete env[name];
  }
  return env;
}

function kill(child: ChildProcess): void {
  // The engine's process sees the end of its connection and goes by itself.
  if (child.exitCode === null) child.kill('SIGKILL');
}

function childrenOf(pid: number): number[] {
  const all = processIds();
  if (all !== null) return all.filter((other) => Number(statusField(other, 'PPid')) === pid);
  const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' });
  return stdout
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([child, parent]) => (child !== undefined && parent === pid ? [child] : []));
}

/** null where the system has no /proc. */
function processIds(): number[] | null {
  try {
    const ids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    return ids.length > 0 ? ids.map(Number) : null;
  } catch {
    return null;
  }
}

function statusField(pid: number, name: string): string | null {
  try {
    return new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? null;
  } catch {
    return null; // no /proc, or the process is gone
  }
}

function psField(pid: number, name: string): string | null {
  const { stdout } = spawnSync('ps', ['-o', `${name}=`, '-p', String(pid)], { encoding: 'utf8' });
  return stdout?.trim() || null;
}
