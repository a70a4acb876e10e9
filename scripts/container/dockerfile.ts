/**
 * Reads a Dockerfile into stages of steps: the instructions that this project's file uses, and an error for any other.
 *
 * Pure. Variables stay as they are written, because their values depend on the steps before: `variables.ts`.
 * Next: `build.ts`, which performs the steps.
 */
import { splitWords } from './variables.ts';

/** A shell line, or a program with its arguments. */
export type Command =
  | { readonly form: 'shell'; readonly line: string }
  | { readonly form: 'exec'; readonly words: readonly string[] };

export interface Mount {
  readonly type: 'secret' | 'cache';
  readonly id: string;
  readonly target: string;
}

export type Step = { readonly line: number } & (
  | { readonly kind: 'arg'; readonly name: string; readonly fallback: string | null }
  | { readonly kind: 'env'; readonly pairs: readonly (readonly [string, string])[] }
  | { readonly kind: 'run'; readonly command: Command; readonly mounts: readonly Mount[] }
  | {
      readonly kind: 'copy';
      readonly from: string | null;
      readonly sources: readonly string[];
      readonly target: string;
    }
  | { readonly kind: 'workdir'; readonly path: string }
  | { readonly kind: 'user'; readonly user: string }
  | { readonly kind: 'entrypoint' | 'cmd' | 'healthcheck'; readonly command: Command }
  | { readonly kind: 'stopsignal'; readonly signal: string }
  | { readonly kind: 'note'; readonly text: string }
);

export interface Stage {
  readonly image: string;
  readonly name: string | null;
  readonly steps: readonly Step[];
}

export interface Dockerfile {
  /** ARG lines before the first FROM; only FROM lines see them. */
  readonly globalArgs: readonly Extract<Step, { kind: 'arg' }>[];
  readonly stages: readonly Stage[];
}

/** A line of a Dockerfile that is wrong, or that means something this parser does not know. */
export class DockerfileError extends Error {
  constructor(line: number, message: string) {
    super(`Dockerfile:${line}: ${message}`);
  }
}

interface Instruction {
  readonly line: number;
  readonly name: string;
  readonly rest: string;
}

/** Throws: DockerfileError. */
export function parseDockerfile(text: string): Dockerfile {
  const globalArgs: Extract<Step, { kind: 'arg' }>[] = [];
  const stages: { image: string; name: string | null; steps: Step[] }[] = [];
  for (const instruction of instructions(text)) {
    const stage = stages.at(-1);
    if (instruction.name === 'FROM') stages.push({ ...parseFrom(instruction), steps: [] });
    else if (stage !== undefined) stage.steps.push(parseStep(instruction));
    else {
      const step = parseStep(instruction);
      if (step.kind !== 'arg') throw new DockerfileError(step.line, `${instruction.name} comes before FROM`);
      globalArgs.push(step);
    }
  }
  if (stages.length === 0) throw new DockerfileError(1, 'there is no FROM');
  return { globalArgs, stages };
}

/** Lines that end in a backslash go on; lines of comment between them do not count. */
function instructions(text: string): readonly Instruction[] {
  const found: Instruction[] = [];
  let open: { line: number; text: string } | null = null;
  for (const [index, raw] of text.split('\n').entries()) {
    const line: string = raw.trim();
    if (line.startsWith('#') || line === '') continue;
    const isOpen = line.endsWith('\\');
    const part: string = isOpen ? line.slice(0, -1) : line;
    open = open === null ? { line: index + 1, text: part } : { line: open.line, text: `${open.text}${part}` };
    if (isOpen) continue;
    const [, name = '', rest = ''] = /^(\S+)\s*(.*)$/.exec(open.text) ?? [];
    if (/<<-?["']?\w/.test(rest)) throw new DockerfileError(open.line, 'here-documents are not known here');
    found.push({ line: open.line, name: name.toUpperCase(), rest: rest.trim() });
    open = null;
  }
  if (open !== null) throw new DockerfileError(open.line, 'the last line goes on but ends');
  return found;
}

function parseFrom({ line, rest }: Instruction): Pick<Stage, 'image' | 'name'> {
  const match = /^(\S+)(?:\s+AS\s+(\S+))?$/i.exec(rest);
  if (match?.[1] === undefined || rest.startsWith('--'))
    throw new DockerfileError(line, `FROM ${rest} is not known here`);
  return { image: match[1], name: match[2] ?? null };
}

function parseStep(instruction: Instruction): Step {
  const { line, name, rest } = instruction;
  switch (name) {
    case 'ARG': {
      const [, key, value] = /^([A-Za-z_]\w*)(?:=(\S*))?$/.exec(rest) ?? [];
      if (key === undefined) throw new DockerfileError(line, `ARG ${rest}: one name, with or without a value`);
      return { line, kind: 'arg', name: key, fallback: value ?? null };
    }
    case 'ENV':
      return { line, kind: 'env', pairs: splitWords(rest).map((word) => pairOf(line, word)) };
    case 'RUN':
      return parseRun(instruction);
    case 'COPY':
      return parseCopy(instruction);
    case 'WORKDIR':
      return { line, kind: 'workdir', path: rest };
    case 'USER':
      return { line, kind: 'user', user: rest };
    case 'ENTRYPOINT':
    case 'CMD':
      return { line, kind: name === 'CMD' ? 'cmd' : 'entrypoint', command: parseCommand(line, rest) };
    case 'HEALTHCHECK': {
      const [, command] = /^(?:--(?:interval|timeout|start-period|retries)=\S+\s+)*CMD\s+(.+)$/.exec(rest) ?? [];
      if (command === undefined) throw new DockerfileError(line, `HEALTHCHECK ${rest} is not known here`);
      return { line, kind: 'healthcheck', command: parseCommand(line, command) };
    }
    case 'STOPSIGNAL':
      return { line, kind: 'stopsignal', signal: rest };
    case 'EXPOSE':
    case 'LABEL':
      return { line, kind: 'note', text: `${name} ${rest}` };
    default:
      throw new DockerfileError(line, `${name} is not known here`);
  }
}

function pairOf(line: number, word: string): readonly [string, string] {
  const at = word.indexOf('=');
  if (at < 1) throw new DockerfileError(line, `${word} is not of the form NAME=value`);
  return [word.slice(0, at), word.slice(at + 1)];
}

function parseRun({ line, rest }: Instruction): Step {
  const mounts: Mount[] = [];
  let command = rest;
  for (;;) {
    const flag = /^--(\S+)\s+/.exec(command);
    if (flag === null) break;
    if (flag[1]?.startsWith('mount=') !== true) throw new DockerfileError(line, `--${flag[1]} is not known here`);
    mounts.push(parseMount(line, flag[1].slice('mount='.length)));
    command = command.slice(flag[0].length);
  }
  return { line, kind: 'run', command: parseCommand(line, command), mounts };
}

function parseMount(line: number, text: string): Mount {
  const { type, id, target, ...others } = Object.fromEntries(text.split(',').map((part) => pairOf(line, part)));
  const unknown = Object.keys(others).filter((name) => name !== 'sharing');
  if (unknown.length > 0) throw new DockerfileError(line, `mount option ${unknown.join(', ')} is not known here`);
  if (type === 'secret' && id !== undefined) return { type, id, target: target ?? `/run/secrets/${id}` };
  if (type === 'cache' && target !== undefined) return { type, id: id ?? target, target };
  throw new DockerfileError(line, `mount ${text} is not known here`);
}

function parseCopy({ line, rest }: Instruction): Step {
  const words = splitWords(rest);
  let from: string | null = null;
  while (words[0]?.startsWith('--') === true) {
    const flag = words.shift() ?? '';
    if (!flag.startsWith('--from=')) throw new DockerfileError(line, `COPY ${flag} is not known here`);
    from = flag.slice('--from='.length);
  }
  const target = words.pop();
  if (target === undefined || words.length === 0) throw new DockerfileError(line, 'COPY needs a source and a target');
  return { line, kind: 'copy', from, sources: words, target };
}

function parseCommand(line: number, text: string): Command {
  if (!text.startsWith('[')) return { form: 'shell', line: text };
  let words: unknown;
  try {
    words = JSON.parse(text);
  } catch {
    throw new DockerfileError(line, `${text} is no JSON list`);
  }
  if (!Array.isArray(words) || !words.every((word) => typeof word === 'string')) {
    throw new DockerfileError(line, `${text} is no list of strings`);
  }
  return { form: 'exec', words };
}
