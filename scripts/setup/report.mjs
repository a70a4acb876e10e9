/**
 * How set-up speaks: one prefix, on stderr, and one error type for what the user has to mend.
 *
 * Owns the running of quiet child processes as well: what they print is shown only when they fail, with addresses cut
 * out, so that a log never carries the hosts or the credentials of somebody's mirror.
 */
import { spawnSync } from 'node:child_process';

/** A failure whose message tells the user what to do; set-up prints it without a stack and exits with 1. */
export class SetupError extends Error {}

/**
 * Tells the user what set-up does or found.
 * @param {string} text
 */
export function say(text) {
  process.stderr.write(`${text.replace(/^/gm, 'set-up: ')}\n`);
}

/**
 * The text with every address replaced.
 * @param {string} text
 */
export function withoutAddresses(text) {
  return text.replace(/\b[a-z][a-z0-9+.-]*:\/\/[^\s'")\]]+/gi, '<address>');
}

/**
 * Runs a program and says nothing unless it fails.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: Record<string, string> }} [options] `env` is added to the current one.
 * @returns {{ ok: boolean, output: string }} `output`: the last lines of both streams, without addresses.
 */
export function runQuietly(command, args, options = {}) {
  const result = spawnSync(command, [...args], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  const printed = `${result.stdout ?? ''}${result.stderr ?? ''}${result.error === undefined ? '' : result.error.message}`;
  const output = withoutAddresses(printed.trim()).split('\n').slice(-15).join('\n');
  return { ok: result.status === 0, output };
}
