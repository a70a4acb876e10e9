/**
 * The gate: types, lint, dead code and every test, as CI runs it. `bun run check`.
 *
 * Owns the list of steps and the sum of their results; its last line is `N passed, N failed` (and `, N skipped`).
 * A step that is no test counts only when it fails, as one failure. GPU tests run once with each WebGPU binding, and a
 * missing adapter is a failure here.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { addCounts, type Counts, countsOf, summary } from './test-counts.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The first binding runs all tests, the other one only these folders. */
const BINDINGS = ['bun-webgpu', 'webgpu'] as const;
const GPU_FOLDERS = ['test/unit/gpu', 'test/kernels', 'test/models', 'test/e2e'];

const reports = mkdtempSync(join(tmpdir(), 'check-'));
let total: Counts = { passed: 0, failed: 0, skipped: 0 };

try {
  runGate('types', 'tsc', ['--noEmit']);
  runGate('format and lint', 'biome', ['check', '--error-on-warnings', '.']);
  runGate('dead code', 'knip', []);
  const [first, second] = BINDINGS;
  runTests(first, []);
  runTests(second, GPU_FOLDERS.filter(hasTests));
} finally {
  rmSync(reports, { recursive: true, force: true });
}
console.log(summary(total));
process.exitCode = total.failed > 0 ? 1 : 0;

function runGate(name: string, tool: string, args: readonly string[]): void {
  console.log(`== ${name}`);
  const { status } = spawnSync('bun', ['x', tool, ...args], { cwd: root, stdio: 'inherit' });
  if (status === 0) return;
  console.log(`${name}: failed`);
  total = addCounts(total, { passed: 0, failed: 1, skipped: 0 });
}

/** Calls the package's own test command, so that the gate sees what a user sees. */
function runTests(binding: string, folders: readonly string[]): void {
  console.log(`== tests with ${binding}${folders.length === 0 ? '' : `: ${folders.join(', ')}`}`);
  const report = join(reports, `${binding}.xml`);
  const reporter = ['--reporter=junit', `--reporter-outfile=${report}`];
  const { status } = spawnSync('bun', ['run', 'test', ...reporter, ...folders], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, GPU_BINDING: binding, REQUIRE_GPU: '1' },
  });
  const counts = countsOf(existsSync(report) ? readFileSync(report, 'utf8') : null, status);
  console.log(`${binding}: ${summary(counts)}`);
  total = addCounts(total, counts);
}

function hasTests(folder: string): boolean {
  return existsSync(join(root, folder));
}
