/**
 * Runs a program in a root folder the way a container does: own mounts and processes, a small /dev, first process of its namespace.
 *
 * Owns the mounts. It shares the machine's network, sets no limits, and needs to be root. It knows no Dockerfile.
 * Next: `build.ts` and `trial.ts`, which use it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

export interface Program {
  readonly root: string;
  readonly words: readonly string[];
  readonly env: ReadonlyMap<string, string>;
  readonly workdir: string;
  /** `user`, `uid` or `uid:gid`; null = root. */
  readonly user: string | null;
  /** Folders and files of the machine that appear in the root. Their targets stay behind as empty ones. */
  readonly binds?: readonly { readonly source: string; readonly target: string }[];
  /** The root cannot be written; /tmp is in memory. */
  readonly isReadOnly?: boolean;
}

/** How a program ended: its exit code, or 128 and the number of the signal as shells say it. */
export type ExitCode = number;

/** What nobody but the machine itself has. */
const DEVICES = ['null 1 3', 'zero 1 5', 'full 1 7', 'random 1 8', 'urandom 1 9', 'tty 5 0'];
/** Passed on where the machine has them, as `--device` does. */
const GPU_DEVICES = [
  '/dev/dri',
  '/dev/kfd',
  '/dev/nvidiactl',
  '/dev/nvidia0',
  '/dev/nvidia-uvm',
  '/dev/nvidia-modeset',
];

/** Starts the program; its output goes to `onOutput` line by line. */
export function start(program: Program, onOutput: (line: string) => void): ChildProcess {
  const child = spawn(
    'unshare',
    [
      '--mount',
      '--pid',
      '--fork',
      '--kill-child',
      'sh',
      '-eu',
      '-c',
      mountScript(program),
      'sh',
      ...innerWords(program),
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  for (const stream of [child.stdout, child.stderr]) {
    let rest = '';
    stream?.setEncoding('utf8').on('data', (text: string) => {
      const lines = `${rest}${text}`.split(/\r?\n|\r/);
      rest = lines.pop() ?? '';
      for (const line of lines) onOutput(line);
    });
    stream?.on('end', () => {
      if (rest !== '') onOutput(rest);
    });
  }
  return child;
}

/** Resolves when the program and its output have ended. */
export function ended(child: ChildProcess): Promise<ExitCode> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 137));
  });
}

export async function run(program: Program, onOutput: (line: string) => void): Promise<ExitCode> {
  return ended(start(program, onOutput));
}

/** Sends a signal to the program itself: the first process of its namespace, not `unshare`, which only waits for it. */
export function signal(child: ChildProcess, name: NodeJS.Signals): void {
  const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(/\s+/);
  const pid = Number(children[0]);
  if (!(pid > 1)) throw new Error('the program has ended already');
  process.kill(pid, name);
}

/** Where a build shows its steps the certificates that this machine trusts beyond the usual ones. */
export const HOST_AUTHORITY = '/run/host-authority.pem';

/** Everything is a chain of `exec`, so that the program gets the first process's number and all signals. */
function innerWords({ root, words, env, workdir, user }: Program): readonly string[] {
  const chroot = user === null ? ['chroot', root] : ['chroot', `--userspec=${user}`, '--groups=', root];
  const variables = [...env].map(([name, value]) => `${name}=${value}`);
  return [...chroot, '/usr/bin/env', '-i', `--chdir=${workdir}`, ...variables, ...words];
}

function mountScript({ root, binds = [], isReadOnly = false }: Program): string {
  const at = (path: string) => quote(`${root}${path}`);
  const lines = [
    'mount --make-rprivate /',
    `mount --bind ${quote(root)} ${quote(root)}`,
    `mount -t proc proc ${at('/proc')}`,
    `mount -t sysfs -o ro sysfs ${at('/sys')}`,
    `mount -t tmpfs -o mode=755 tmpfs ${at('/dev')}`,
    ...DEVICES.map((device) => device.split(' ')).map(
      ([name, ...numbers]) => `mknod -m 666 ${at(`/dev/${name}`)} c ${numbers.join(' ')}`,
    ),
    `mkdir ${at('/dev/shm')} && mount -t tmpfs -o mode=1777 tmpfs ${at('/dev/shm')}`,
    `ln -s /proc/self/fd ${at('/dev/fd')}`,
    ...GPU_DEVICES.filter(existsSync).flatMap((path) => bind(path, at(path), false)),
    ...bind('/etc/resolv.conf', at('/etc/resolv.conf'), true),
    ...binds.flatMap(({ source, target }) => bind(source, at(target), false)),
  ];
  if (isReadOnly)
    lines.push(`mount -o remount,bind,ro ${quote(root)}`, `mount -t tmpfs -o mode=1777 tmpfs ${at('/tmp')}`);
  return [...lines, 'exec "$@"'].join('\n');
}

/** `resolved`: the source is a link. */
function bind(source: string, target: string, resolved: boolean): readonly string[] {
  const from = resolved ? `"$(readlink -f ${quote(source)})"` : quote(source);
  return [
    `if [ -d ${from} ]; then mkdir -p ${target}; elif [ ! -e ${target} ]; then mkdir -p "$(dirname ${target})" && touch ${target}; fi`,
    `mount --rbind ${from} ${target}`,
  ];
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
