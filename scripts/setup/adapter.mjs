/**
 * Makes sure that a usable WebGPU adapter exists, with the help of `driver.mjs` where there is none.
 *
 * Owns how adapters are asked for (in child processes) and which are refused: Dawn hands out a null backend when no
 * driver works, which accepts everything and computes zeros.
 */
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installDriver } from './driver.mjs';
import { SetupError, say } from './report.mjs';

/** @typedef {{ vendor: string, device: string, description: string }} Adapter */

/**
 * Returns when one of the asked-for bindings has an adapter that computes.
 * Throws: SetupError with the command to run when there is none.
 * @param {string} root
 * @param {string} bun
 * @param {boolean} mayInstall
 */
export function ensureAdapter(root, bun, mayInstall) {
  let trouble = probe(root, bun);
  if (trouble === null) return;
  say(`no usable WebGPU adapter: ${trouble}`);
  installDriver(mayInstall);
  trouble = probe(root, bun);
  if (trouble !== null) {
    throw new SetupError(`there is still no usable WebGPU adapter after the driver's installation: ${trouble}`);
  }
  say('the software driver works: good for tests and small models; speed needs a GPU with a Vulkan driver');
}

/**
 * Asks the bindings in turn.
 * @param {string} root
 * @param {string} bun
 * @returns {string | null} null when one has an adapter, else what each said
 */
function probe(root, bun) {
  const troubles = [];
  for (const binding of bindingsToTry(process.env.GPU_BINDING)) {
    const result = spawnSync(bun, [join(root, 'scripts', 'setup', 'probe.mjs'), binding], {
      cwd: root,
      // Without this folder the loader complains on every start.
      env: { ...process.env, XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR || tmpdir() },
      encoding: 'utf8',
      timeout: 120_000,
    });
    const trouble = judge(result.status, result.stdout ?? '', result.stderr ?? '');
    if (trouble === null) return null;
    troubles.push(`${binding}: ${trouble}`);
  }
  return troubles.join('; ');
}

/**
 * Which bindings may serve, best first.
 * @param {string | undefined} setting the value of GPU_BINDING
 * @returns {string[]}
 */
export function bindingsToTry(setting) {
  return setting === 'bun-webgpu' || setting === 'webgpu' ? [setting] : ['bun-webgpu', 'webgpu'];
}

/**
 * What is wrong with a probe's answer; null when nothing is.
 * @param {number | null} status
 * @param {string} stdout
 * @param {string} stderr
 * @returns {string | null}
 */
export function judge(status, stdout, stderr) {
  const line = stdout.split('\n').find((text) => text.startsWith('{"found"'));
  if (status !== 0 || line === undefined) {
    const reason = stderr
      .trim()
      .split('\n')
      .filter((text) => /error/i.test(text))
      .at(-1);
    return `the probe failed${reason === undefined ? '' : ` (${reason.trim()})`}`;
  }
  const { found } = /** @type {{ found: Adapter | null }} */ (JSON.parse(line));
  if (found === null) return 'no adapter';
  return isNullBackend(found) ? "only Dawn's null backend, which does not compute" : null;
}

/**
 * Whether an adapter is Dawn's stand-in for "no driver".
 * @param {Adapter} adapter
 */
export function isNullBackend(adapter) {
  return /null[- ]?backend/i.test(`${adapter.device} ${adapter.description}`);
}
