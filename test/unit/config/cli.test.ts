/** The command `wgslm`, as a process: which command does what, and with which exit code. */
import { describe, expect, test } from 'bun:test';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import packageJson from '../../../package.json' with { type: 'json' };

const command = fileURLToPath(new URL(`../../../${packageJson.bin.wgslm}`, import.meta.url));

function wgslm(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [command, ...args], { encoding: 'utf8' });
}

describe('wgslm', () => {
  test('--version and --help', () => {
    expect(wgslm('--version').stdout).toBe(`${packageJson.version}\n`);
    expect(wgslm('--help')).toMatchObject({ status: 0, stdout: expect.stringContaining('wgslm COMMAND') });
  });

  test('without a command explains itself and fails', () => {
    expect(wgslm()).toMatchObject({ status: 2, stderr: expect.stringContaining('wgslm COMMAND') });
  });

  test('an unknown command names the nearest', () => {
    expect(wgslm('sevre')).toMatchObject({ status: 2, stderr: 'unknown command sevre: did you mean serve?\n' });
  });

  test('serve hands its flags to the server', () => {
    expect(wgslm('serve', '--help')).toMatchObject({ status: 0, stdout: expect.stringContaining('--max-model-len N') });
    const wrong = wgslm('serve', 'org/name', '--port', 'x');
    expect(wrong).toMatchObject({
      status: 2,
      stderr: '--port x is not allowed: expected an integer from 0 to 65535\n',
    });
  });

  test('bench hands its arguments to the benchmarks', () => {
    const { status, stdout, stderr } = wgslm('bench', '--help');
    expect([status, stdout + stderr]).toEqual([0, expect.stringContaining('bench kernels')]);
  });
});
