/**
 * Installs the packages of the lockfile, and knows when that is already done.
 *
 * Owns the stamp `node_modules/.wgslm-lock`: the hash of the lockfile that was installed last.
 * Knows nothing about what the packages are for.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runQuietly, SetupError, say } from './report.mjs';

/**
 * Makes `node_modules` agree with `bun.lock`.
 * Throws: SetupError when packages are missing and may not be, or could not be, installed.
 * @param {string} root
 * @param {string} bun
 * @param {boolean} mayInstall
 */
export function ensurePackages(root, bun, mayInstall) {
  const stamp = join(root, 'node_modules', '.wgslm-lock');
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'bun.lock')))
    .digest('hex');
  const missing = missingPackages(root);
  if (missing.length === 0 && existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  if (!mayInstall) {
    // An image may hold the packages for serving alone, installed by another step than this one.
    if (missing.length === 0) return;
    throw new SetupError(`missing packages: ${missing.join(', ')}. Run: bun install --frozen-lockfile`);
  }
  say('installing packages by lockfile');
  const result = runQuietly(bun, ['install', '--frozen-lockfile'], { cwd: root });
  if (!result.ok) throw new SetupError(`bun install --frozen-lockfile failed:\n${result.output}`);
  writeFileSync(stamp, lock);
}

/**
 * The packages needed for serving that are absent or of another version than package.json pins.
 * @param {string} root
 * @returns {string[]}
 */
export function missingPackages(root) {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  return Object.entries(/** @type {Record<string, string>} */ (manifest.dependencies ?? {}))
    .filter(([name, version]) => {
      const path = join(root, 'node_modules', name, 'package.json');
      return !existsSync(path) || JSON.parse(readFileSync(path, 'utf8')).version !== version;
    })
    .map(([name, version]) => `${name}@${version}`);
}
