/**
 * Every benchmark in one run, for a machine that is at hand for minutes only: the most important first, each in a process of its own with
 * a time limit, so that nothing that fails or hangs costs the figures of the others.
 *
 * Owns the folder of results: what each part printed, its JSON, and a report that is whole after every part. Next: `all-parts.ts` (what
 * runs), `child-part.ts` (how), `all-report.ts`.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mayHaveGpu } from '../../src/engine/gpu/hardware.ts';
import { type AllWishes, allParts, chosenParts, minutesFor } from './all-parts.ts';
import { allReport, type PartOutcome } from './all-report.ts';
import { runChild } from './child-part.ts';

export interface AllOptions extends AllWishes {
  /** Folder of the results; made where it is missing. */
  readonly out: string;
  readonly minutes: number;
  /** Parts to run; null = all. */
  readonly parts: readonly string[] | null;
}

/** Shape of the made-up checkpoint for peers and servers on a GPU, and the longest that making it may take. */
const MODEL_SHAPE = 'llama-1b';
const MODEL_LIMIT_MS = 180_000;
const SERVING_PARTS = ['host', 'peers', 'scenarios', 'http-load', 'serve'];
/** What of the environment decides figures. */
const SETTINGS = ['GPU_BINDING', 'LP_NUM_THREADS', 'MODEL_NAME', 'WGSLM_GPU_MEMORY_GIB'];

/** Runs all parts and writes everything into the folder. Throws: Error for an unknown part or a folder that cannot be written. */
export async function benchAll(options: AllOptions): Promise<object> {
  const { minutes } = options;
  const out = resolve(options.out);
  mkdirSync(out, { recursive: true });
  const startMs = performance.now();
  const minutesLeft = () => minutes - (performance.now() - startMs) / 60_000;
  let parts = chosenParts(allParts(options), options.parts);
  const header = {
    ...{ date: new Date().toISOString(), minutes, notes: [] as string[] },
    environment: Object.fromEntries(SETTINGS.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : []))),
  };
  const outcomes: PartOutcome[] = [];
  const write = () => {
    const rest = parts.slice(outcomes.length).map(({ name }) => notBegun(name));
    writeFileSync(join(out, 'report.md'), allReport(header, [...outcomes, ...rest]));
  };
  // Children are groups of their own, which no Ctrl-C reaches.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  let temporary: string | null = null;
  try {
    for (let i = 0; i < parts.length; i++) {
      let part = parts[i];
      if (part === undefined || minutesLeft() <= 0) break;
      if (temporary === null && options.model === null && needsModel(part.name, outcomes)) {
        temporary = mkdtempSync(join(tmpdir(), 'wgslm-bench-'));
        const model = await makeModel(temporary, header.notes);
        parts = chosenParts(allParts({ ...options, model }), options.parts);
        part = parts[i] ?? part;
      }
      const partMinutes = minutesFor(parts.slice(i), minutesLeft());
      const json = join(out, `${part.name}.json`);
      const args = [...part.args(partMinutes), '--json', json];
      console.log(`\n== ${part.name}: ${args.join(' ')} (${partMinutes.toFixed(1)} minutes)`);
      const beganMs = performance.now();
      const { state, output, errors } = await runChild(process.execPath, [fileOf('./main.ts'), ...args], {
        ...{ env: part.env, limitMs: partMinutes * 60_000 },
        onOutput: (text) => process.stdout.write(text),
      });
      const seconds = (performance.now() - beganMs) / 1000;
      console.log(`== ${part.name}: ${state} after ${seconds.toFixed(0)} s`);
      writeFileSync(join(out, `${part.name}.txt`), `${output}\n${errors}`);
      const env = Object.entries(part.env).map(([name, value]) => `${name}=${value} `);
      const command = `${env.join('')}bun run bench ${part.args(partMinutes).join(' ')}`;
      const file = existsSync(json) ? `${part.name}.json` : null;
      outcomes.push({ name: part.name, command, state, seconds, output, errors, json: file });
      write();
    }
  } finally {
    if (temporary !== null) rmSync(temporary, { recursive: true, force: true });
    write();
  }
  console.log(`\nreport: ${join(out, 'report.md')}`);
  const summary = outcomes.map(({ output: _output, errors: _errors, ...rest }) => rest);
  return { ...header, parts: summary, figures: figuresOf(out, outcomes) };
}

function notBegun(name: string): PartOutcome {
  return { name, command: '', state: 'not begun', seconds: 0, output: '', errors: '', json: null };
}

/** Whether a made-up checkpoint is worth its time: not for a software adapter, nor where the user has set a model. */
function needsModel(name: string, outcomes: readonly PartOutcome[]): boolean {
  if (!SERVING_PARTS.includes(name) || process.env.MODEL_NAME || !mayHaveGpu()) return false;
  return !outcomes.some(({ output }) => /\bsoftware true\b|llvmpipe|SwiftShader/i.test(output));
}

/** The folder of a made-up checkpoint with a long context; null where there is no Python to make it. */
async function makeModel(folder: string, notes: string[]): Promise<string | null> {
  const args = [fileOf('./peers/make_model.py'), folder, '--shape', MODEL_SHAPE, '--dtype', 'bfloat16'];
  console.log(`\n== making a checkpoint of ${MODEL_SHAPE}`);
  const { state, errors } = await runChild('python3', args, { env: {}, limitMs: MODEL_LIMIT_MS, onOutput: () => {} });
  if (state === 'done') {
    notes.push(`Peers and servers: a random checkpoint of ${MODEL_SHAPE}, bfloat16, made for this run.`);
    return folder;
  }
  const why = errors.trim().split('\n').at(-1) ?? '';
  notes.push(`Peers and servers: the bundled model, whose context is short. No other could be made: ${state}; ${why}`);
  return null;
}

function figuresOf(out: string, outcomes: readonly PartOutcome[]): Record<string, unknown> {
  return Object.fromEntries(
    outcomes.flatMap(({ name, json }) => {
      if (json === null) return [];
      try {
        return [[name, JSON.parse(readFileSync(join(out, json), 'utf8')) as unknown]];
      } catch {
        return []; // ended while it wrote
      }
    }),
  );
}

function fileOf(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}
