/**
 * Performs the steps of a Dockerfile in root folders, as a build does, and gives the image they make.
 *
 * Owns what each step means. There are no layers: the last stage's folder is changed step by step, and its growth is told.
 * Next: `chroot.ts` (how RUN runs), `base-images.ts` (FROM), `trial.ts` (what is done with the image).
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { prepareBase } from './base-images.ts';
import { HOST_AUTHORITY, run } from './chroot.ts';
import { type Command, type Dockerfile, DockerfileError, type Stage, type Step } from './dockerfile.ts';
import { ignoreFilter } from './ignore-file.ts';
import { expand } from './variables.ts';

export interface BuildOptions {
  /** The folder whose files COPY sees. */
  readonly context: string;
  /** Where roots, bases and caches are made. */
  readonly workFolder: string;
  readonly buildArgs: ReadonlyMap<string, string>;
  /** By id. */
  readonly secrets: ReadonlyMap<string, string>;
  /** A file with certificates that programs of RUN steps trust as well; null = none. It does not stay in the image. */
  readonly authority: string | null;
  readonly say: (line: string) => void;
}

/** What `docker inspect` tells of an image. */
export interface Image {
  readonly root: string;
  readonly env: ReadonlyMap<string, string>;
  readonly workdir: string;
  readonly user: string | null;
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly healthcheck: readonly string[] | null;
  readonly stopSignal: string;
}

/** Arguments that every RUN step has without an ARG, when the build is given them. */
const PROXY_ARGS = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy'];
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

interface State {
  readonly root: string;
  readonly args: Map<string, string>;
  readonly env: Map<string, string>;
  workdir: string;
  user: string | null;
  entrypoint: readonly string[];
  cmd: readonly string[];
  healthcheck: readonly string[] | null;
  stopSignal: string;
}

/** Builds all stages and gives the last. Throws: DockerfileError, Error when a step fails or a secret stays in the image. */
export async function buildImage(file: Dockerfile, options: BuildOptions): Promise<Image> {
  const globals = new Map<string, string>();
  for (const { name, fallback } of file.globalArgs) {
    globals.set(name, options.buildArgs.get(name) ?? expand(fallback ?? '', globals));
  }
  const roots = new Map<string, string>();
  let image: Image | null = null;
  for (const [index, stage] of file.stages.entries()) {
    image = await buildStage(stage, index, globals, roots, options);
    roots.set(stage.name ?? String(index), image.root);
  }
  if (image === null) throw new Error('the Dockerfile has no stage');
  refuseLeaks(image.root, options.secrets);
  return image;
}

async function buildStage(
  stage: Stage,
  index: number,
  globals: ReadonlyMap<string, string>,
  roots: ReadonlyMap<string, string>,
  options: BuildOptions,
): Promise<Image> {
  const from = expand(stage.image, globals);
  options.say(`FROM ${from}`);
  const base = roots.get(from) ?? prepareBase(from, { folder: join(options.workFolder, 'bases'), say: options.say });
  const root = join(options.workFolder, `stage-${index}`);
  rmSync(root, { recursive: true, force: true });
  // Archive mode keeps owners, modes and links, which Node's own copy does not.
  spawnOrThrow('cp', ['--archive', '--reflink=auto', base, root]);
  const state: State = {
    root,
    args: new Map(),
    env: new Map([['PATH', DEFAULT_PATH]]),
    workdir: '/',
    user: null,
    entrypoint: [],
    cmd: [],
    healthcheck: null,
    stopSignal: 'SIGTERM',
  };
  let sizeMib = folderMib(root);
  for (const step of stage.steps) {
    options.say(describe(step));
    await perform(step, state, globals, roots, options);
    if (step.kind !== 'run' && step.kind !== 'copy') continue;
    const nowMib = folderMib(root);
    options.say(`  ${nowMib - sizeMib >= 0 ? '+' : ''}${nowMib - sizeMib} MiB, ${nowMib} in all`);
    sizeMib = nowMib;
  }
  return state;
}

async function perform(
  step: Step,
  state: State,
  globals: ReadonlyMap<string, string>,
  roots: ReadonlyMap<string, string>,
  options: BuildOptions,
): Promise<void> {
  const known = new Map([...state.args, ...state.env]);
  switch (step.kind) {
    case 'arg': {
      const given = options.buildArgs.get(step.name) ?? globals.get(step.name);
      const value = given ?? (step.fallback === null ? undefined : expand(step.fallback, known));
      if (value !== undefined) state.args.set(step.name, value);
      return;
    }
    case 'env':
      for (const [name, value] of step.pairs) state.env.set(name, expand(value, known));
      return;
    case 'run':
      return performRun(step, state, options);
    case 'copy':
      return performCopy(step, state, known, roots, options);
    case 'workdir':
      state.workdir = join(state.workdir, expand(step.path, known));
      if (expand(step.path, known).startsWith('/')) state.workdir = expand(step.path, known);
      mkdirSync(join(state.root, state.workdir), { recursive: true });
      return;
    case 'user':
      state.user = expand(step.user, known);
      return;
    case 'entrypoint':
      state.entrypoint = wordsOf(step.command);
      return;
    case 'cmd':
      state.cmd = wordsOf(step.command);
      return;
    case 'healthcheck':
      state.healthcheck = wordsOf(step.command);
      return;
    case 'stopsignal':
      state.stopSignal = step.signal;
      return;
    case 'note':
      return;
  }
}

async function performRun(step: Extract<Step, { kind: 'run' }>, state: State, options: BuildOptions): Promise<void> {
  const env = new Map([...proxyVariables(), ...state.args, ...state.env]);
  if (!env.has('HOME')) env.set('HOME', '/root');
  const scratch = join(options.workFolder, 'mounts');
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(scratch, { recursive: true, mode: 0o700 });
  const binds: { source: string; target: string }[] = [];
  for (const { type, id, target } of step.mounts) {
    if (type === 'cache') {
      const source = join(options.workFolder, 'caches', createHash('sha256').update(id).digest('hex').slice(0, 16));
      mkdirSync(source, { recursive: true });
      binds.push({ source, target });
      continue;
    }
    const secret = options.secrets.get(id);
    // As in BuildKit, a secret that was not given is no file.
    if (secret === undefined) continue;
    const source = join(scratch, id);
    writeFileSync(source, secret, { mode: 0o400 });
    binds.push({ source, target });
  }
  if (options.authority !== null) {
    binds.push({ source: options.authority, target: HOST_AUTHORITY });
    env.set('NODE_EXTRA_CA_CERTS', HOST_AUTHORITY);
  }
  const { root, workdir, user } = state;
  const program = { root, workdir, user, env, words: wordsOf(step.command), binds };
  const code = await run(program, (line) => options.say(`  | ${line}`));
  rmSync(scratch, { recursive: true, force: true });
  for (const { target } of binds) removeMountPoint(root, target);
  if (code !== 0) throw new DockerfileError(step.line, `the command ended with ${code}`);
}

function performCopy(
  step: Extract<Step, { kind: 'copy' }>,
  state: State,
  known: ReadonlyMap<string, string>,
  roots: ReadonlyMap<string, string>,
  options: BuildOptions,
): void {
  const from = step.from === null ? null : roots.get(step.from);
  if (from === undefined) throw new DockerfileError(step.line, `there is no stage ${step.from}`);
  const ignore = join(options.context, '.dockerignore');
  const isSeen = ignoreFilter(existsSync(ignore) ? readFileSync(ignore, 'utf8') : '');
  const target = expand(step.target, known);
  const inRoot = join(state.root, target.startsWith('/') ? target : join(state.workdir, target));
  for (const name of step.sources.map((source) => expand(source, known))) {
    const source = join(from ?? options.context, name);
    const filter = (path: string) => from !== null || seenBelow(path, options.context, isSeen);
    if (!existsSync(source) || (!statSync(source).isDirectory() && !filter(source))) {
      throw new DockerfileError(step.line, `the build sees no ${name}`);
    }
    if (statSync(source).isDirectory()) cpSync(source, inRoot, { recursive: true, filter, verbatimSymlinks: true });
    else {
      const file = /\/$|^\.$/.test(target) || step.sources.length > 1 ? join(inRoot, basename(name)) : inRoot;
      mkdirSync(dirname(file), { recursive: true });
      cpSync(source, file);
      chmodSync(file, statSync(source).mode);
    }
  }
}

/** Folders are entered even where they are ignored, as long as something below is kept; empty ones are not made. */
function seenBelow(path: string, context: string, isSeen: (path: string) => boolean): boolean {
  const relative = path.slice(context.replace(/\/$/, '').length + 1);
  if (relative === '') return true;
  if (!statSync(path).isDirectory()) return isSeen(relative);
  if (relative === '.git' || relative.split('/').includes('node_modules')) return false;
  return readdirSync(path).some((name) => seenBelow(join(path, name), context, isSeen));
}

function wordsOf(command: Command): readonly string[] {
  return command.form === 'exec' ? command.words : ['/bin/sh', '-c', command.line];
}

function proxyVariables(): readonly (readonly [string, string])[] {
  return PROXY_ARGS.flatMap((name) => {
    const value = process.env[name];
    return value ? [[name, value] as const] : [];
  });
}

/** What a mount leaves behind: an empty file or folder, and the empty folders above it. */
function removeMountPoint(root: string, target: string): void {
  let path = join(root, target);
  if (existsSync(path) && !statSync(path).isDirectory() && statSync(path).size === 0) rmSync(path);
  else if (existsSync(path) && readdirSync(path).length === 0) rmSync(path, { recursive: true });
  for (path = dirname(path); path.startsWith(`${root}/run/`) && readdirSync(path).length === 0; path = dirname(path)) {
    rmSync(path, { recursive: true });
  }
}

/** Throws: Error with the files that hold a secret. */
function refuseLeaks(root: string, secrets: ReadonlyMap<string, string>): void {
  for (const [id, secret] of secrets) {
    const { stdout } = spawnSync('grep', ['-rlF', '--', secret.trim(), root], { encoding: 'utf8' });
    if (stdout !== '') throw new Error(`the secret ${id} stays in the image: ${stdout.trim()}`);
  }
}

/** Units: MiB on disk. */
export function folderMib(folder: string): number {
  return Number.parseInt(spawnOrThrow('du', ['--summarize', '--one-file-system', '--block-size=1M', folder]), 10);
}

function spawnOrThrow(command: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, [...args], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} failed: ${error?.message ?? stderr.trim()}`);
  return stdout;
}

function describe(step: Step): string {
  switch (step.kind) {
    case 'arg':
      return `ARG ${step.name}`;
    case 'env':
      return `ENV ${step.pairs.map(([name]) => name).join(' ')}`;
    case 'run':
      return `RUN ${step.command.form === 'shell' ? step.command.line : step.command.words.join(' ')}`;
    case 'copy':
      return `COPY ${step.from === null ? '' : `--from=${step.from} `}${step.sources.join(' ')} ${step.target}`;
    case 'note':
      return step.text;
    default:
      return step.kind.toUpperCase();
  }
}
