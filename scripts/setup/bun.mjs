/**
 * Finds a Bun that is new enough, or gets the pinned one from npm.
 *
 * Owns which version and which platform package that is. The package that holds the binary itself is taken, not `bun`:
 * the latter moves its binary into place by an install script, and npm may be told to run none. It lands in `.cache/`
 * and is linked as `node_modules/.bin/bun`, which `npm run` and `bun run` put on the PATH of every script.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, lstatSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { runQuietly, SetupError, say } from './report.mjs';

/** The version that is fetched. An installed Bun may be newer. */
export const PINNED_BUN = '1.4.4';
const MINIMUM_BUN = '1.4.0';

/**
 * A Bun to call, on the PATH of package scripts too.
 * Throws: SetupError when there is none and none may be, or could be, installed.
 * @param {string} root
 * @param {boolean} mayInstall
 * @returns {string} path or name of the executable
 */
export function ensureBun(root, mayInstall) {
  // The stand-in that Bun offers scripts under the name `node` is Bun itself.
  if (process.versions.bun !== undefined && isAtLeast(process.versions.bun, MINIMUM_BUN)) return process.execPath;

  const cached = join(root, '.cache', `bun-${PINNED_BUN}`);
  const linked = join(root, 'node_modules', '.bin', executableName('bun'));
  const name = bunPackage(process.platform, process.arch, isMusl());
  const fetched = name === null ? null : join(cached, 'node_modules', name, 'bin', executableName('bun'));
  if (fetched !== null && hasBun(fetched)) {
    link(fetched, linked);
    return fetched;
  }
  if (hasBun('bun')) return 'bun';

  const wanted = `Bun ${MINIMUM_BUN} or newer is needed and was not found`;
  if (name === null || fetched === null) {
    throw new SetupError(`${wanted}; there is no package of it for ${process.platform} ${process.arch}.`);
  }
  const args = ['install', '--no-save', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund'];
  const spec = `${name}@${PINNED_BUN}`;
  if (!mayInstall) {
    throw new SetupError(
      `${wanted}, and WGSLM_NO_INSTALL=1 forbids installing it. Run: npm install --global bun@${PINNED_BUN}`,
    );
  }
  say(`getting Bun ${PINNED_BUN} from npm`);
  mkdirSync(cached, { recursive: true });
  const [npm, ...before] = npmCommand();
  const result = runQuietly(npm, [...before, ...args, '--prefix', cached, spec], { cwd: cached });
  if (!result.ok || !hasBun(fetched)) {
    throw new SetupError(`${wanted}; npm could not install ${spec}:\n${result.output}`);
  }
  link(fetched, linked);
  return fetched;
}

/**
 * The npm package that holds Bun's binary for a platform, or null.
 * @param {string} platform as in `process.platform`
 * @param {string} arch as in `process.arch`
 * @param {boolean} musl
 * @returns {string | null}
 */
export function bunPackage(platform, arch, musl) {
  const system = { linux: 'linux', darwin: 'darwin', win32: 'windows' }[platform];
  const cpu = { x64: 'x64', arm64: 'aarch64' }[arch];
  if (system === undefined || cpu === undefined) return null;
  return `@oven/bun-${system}-${cpu}${system === 'linux' && musl ? '-musl' : ''}`;
}

/**
 * Whether a version is the other one or newer, by its three numbers.
 * @param {string} version
 * @param {string} minimum
 */
export function isAtLeast(version, minimum) {
  const numbers = (/** @type {string} */ text) => text.trim().split(/[.+-]/).slice(0, 3).map(Number);
  const [have, want] = [numbers(version), numbers(minimum)];
  for (let i = 0; i < 3; i++) {
    const difference = (have[i] ?? Number.NaN) - (want[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

/** @param {string} command */
function hasBun(command) {
  const result = spawnSync(command, ['--version'], { encoding: 'utf8' });
  return result.status === 0 && isAtLeast(result.stdout, MINIMUM_BUN);
}

function isMusl() {
  if (process.platform !== 'linux' || process.versions.bun !== undefined) return false;
  const report = /** @type {{ header?: { glibcVersionRuntime?: string } }} */ (process.report?.getReport() ?? {});
  return report.header !== undefined && report.header.glibcVersionRuntime === undefined;
}

/** @returns {[string, ...string[]]} */
function npmCommand() {
  const script = process.env.npm_execpath;
  return script?.endsWith('npm-cli.js') ? [process.execPath, script] : [executableName('npm', '.cmd')];
}

/**
 * @param {string} name
 * @param {string} [suffix] what Windows adds
 */
function executableName(name, suffix = '.exe') {
  return process.platform === 'win32' ? name + suffix : name;
}

/**
 * @param {string} target
 * @param {string} path
 */
function link(target, path) {
  mkdirSync(dirname(path), { recursive: true });
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) {
    if (existsSync(path)) return;
    rmSync(path);
  }
  if (process.platform === 'win32') copyFileSync(target, path);
  else symlinkSync(relative(dirname(path), target), path);
}
