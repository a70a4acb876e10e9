/**
 * Brings a machine to the point where `serve` and `test` can run: Bun, the packages of the lockfile, a WebGPU adapter.
 *
 * Owns the order of the steps and the exit code; runs before those scripts (`preserve`, `pretest`, ... in package.json).
 * Plain JavaScript without packages, because neither Bun nor packages may be there yet: Node or Bun, whichever is found.
 * Each step is quick when there is nothing to do. `WGSLM_NO_INSTALL=1` turns every installation off.
 * Next: `bun.mjs`, `packages.mjs`, `adapter.mjs` and `driver.mjs`, one step each.
 */
import { fileURLToPath } from 'node:url';
import { ensureAdapter } from './adapter.mjs';
import { ensureBun } from './bun.mjs';
import { ensurePackages } from './packages.mjs';
import { SetupError, say } from './report.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const mayInstall = process.env.WGSLM_NO_INSTALL !== '1';

try {
  const bun = ensureBun(root, mayInstall);
  ensurePackages(root, bun, mayInstall);
  if (!process.argv.includes('--no-adapter')) ensureAdapter(root, bun, mayInstall);
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  say(error.message);
  process.exitCode = 1;
}
