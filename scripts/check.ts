/**
 * The gate: types, lint, dead code and every test, as CI runs it. `bun run check`.
 *
 * Owns the list of steps and the sum of their results; its last line is `N passed, N failed` (and `, N skipped`).
 * A step that is no test counts only when it fails, as one failure. GPU tests run once with each WebGPU binding, and a
 * missing adapter is a failure here. Kernels for subgroup matrices run once more on a newer software driver, which has them.
 * With two cores or more the bindings are tested side by side: on a fresh machine most of the time goes to compiling shaders, each time
 * on one core.
 */
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { prepareMesa, startWith } from './mesa/prepare.ts';
import { addCounts, type Counts, countsOf, summary } from './test-counts.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The first binding runs all tests, the other one only these folders. */
const BINDINGS = ['bun-webgpu', 'webgpu'] as const;
const GPU_FOLDERS = ['test/unit/gpu', 'test/models', 'test/e2e'];

/** Hundreds of kernels that run for milliseconds: Mesa's software driver need not optimise them, which takes a third of the time. */
const KERNELS = 'test/kernels';
const UNOPTIMISED = { GALLIVM_PERF: 'nopt' };

/** Tests in here named `*-matrix.test.ts` need subgroup matrices. */
const MATRIX_FOLDERS = ['test/kernels', 'test/models'];

const reports = mkdtempSync(join(tmpdir(), 'check-'));
let total: Counts = { passed: 0, failed: 0, skipped: 0 };
/** A line for each run of tests, printed together at the end. */
const results: string[] = [];

try {
  runGate('types', 'tsc', ['--noEmit']);
  runGate('format and lint', 'biome', ['check', '--error-on-warnings', '.']);
  runGate('dead code', 'knip', []);
  const [first, second] = BINDINGS;
  const firstRuns = async () => {
    await runTests(
      first,
      testFolders().filter((folder) => folder !== KERNELS),
      null,
    );
    await runTests(first, [KERNELS], null, UNOPTIMISED);
  };
  const secondRuns = async (log: string | null) => {
    await runTests(second, GPU_FOLDERS.filter(hasTests), log);
    await runTests(second, [KERNELS], log, UNOPTIMISED);
    await runMatrixTests(log);
  };
  if (availableParallelism() > 1) {
    const log = join(reports, 'second.log');
    const done = secondRuns(log);
    await firstRuns();
    await done;
    console.log(readFileSync(log, 'utf8'));
  } else {
    await firstRuns();
    await secondRuns(null);
  }
} finally {
  rmSync(reports, { recursive: true, force: true });
}
for (const line of results) console.log(line);
console.log(summary(total));
process.exitCode = total.failed > 0 ? 1 : 0;

function runGate(name: string, tool: string, args: readonly string[]): void {
  console.log(`== ${name}`);
  const { status } = spawnSync('bun', ['x', tool, ...args], { cwd: root, stdio: 'inherit' });
  if (status === 0) return;
  console.log(`${name}: failed`);
  total = addCounts(total, { passed: 0, failed: 1, skipped: 0 });
}

/** Calls the package's own test command, so that the gate sees what a user sees. `log`: a file for the output; null = ours. */
async function runTests(
  binding: string,
  folders: readonly string[],
  log: string | null,
  env: Record<string, string> = {},
): Promise<void> {
  const name = `${binding}: ${folders.join(', ')}`;
  console.log(`== tests with ${name}`);
  await count(name, ['bun', 'run', 'test', ...folders], { ...env, GPU_BINDING: binding }, log);
}

/** The kernels for subgroup matrices, on a driver that has them. Where it is not to be had, that is said and nothing counts. */
async function runMatrixTests(log: string | null): Promise<void> {
  const name = 'webgpu on Mesa 26.1';
  const files = MATRIX_FOLDERS.flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((file) => file.endsWith('-matrix.test.ts'))
      .map((file) => join(folder, file)),
  );
  console.log(`== tests with ${name}: ${files.join(', ')}`);
  const mesa = prepareMesa(root);
  if (mesa.kind === 'unsupported') {
    results.push(`${name}: not run: ${mesa.reason}`);
  } else if (mesa.kind === 'failed') {
    results.push(`${name}: set-up failed: ${mesa.reason}`);
    total = addCounts(total, { passed: 0, failed: 1, skipped: 0 });
  } else {
    // Started directly: a package script would start another Bun without the newer libraries.
    const { words, env } = startWith(mesa, [process.execPath, 'test', '--timeout', '100000', ...files]);
    const driver = { LP_NUM_THREADS: '0', XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? tmpdir(), ...env };
    await count(name, words, { ...driver, GPU_BINDING: 'webgpu', REQUIRE_MATRIX: '1' }, log);
  }
}

/** Runs tests and adds what their report says. */
async function count(
  name: string,
  [command = '', ...args]: readonly string[],
  env: Record<string, string>,
  log: string | null,
): Promise<void> {
  const report = join(reports, `${name.replaceAll(/[^\w]/g, '-')}.xml`);
  const reporter = ['--reporter=junit', `--reporter-outfile=${report}`];
  const output = log === null ? ('inherit' as const) : openSync(log, 'a');
  const run = spawn(command, [...args, ...reporter], {
    cwd: root,
    stdio: ['ignore', output, output],
    env: { ...process.env, REQUIRE_GPU: '1', ...env },
  });
  const status = await new Promise<number | null>((resolve) => {
    run.on('error', () => resolve(null));
    run.on('exit', (code) => resolve(code));
  });
  if (typeof output === 'number') closeSync(output);
  const counts = countsOf(existsSync(report) ? readFileSync(report, 'utf8') : null, status);
  results.push(`${name}: ${summary(counts)}`);
  total = addCounts(total, counts);
}

function testFolders(): string[] {
  return readdirSync(join(root, 'test'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => `test/${name}`);
}

function hasTests(folder: string): boolean {
  return existsSync(join(root, folder));
}
