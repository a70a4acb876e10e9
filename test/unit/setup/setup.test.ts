/** The other decisions of set-up: which Bun, which adapter, what a log may show. */
import { describe, expect, test } from 'bun:test';
import { bindingsToTry, judge } from '../../../scripts/setup/adapter.mjs';
import { bunPackage, isAtLeast, PINNED_BUN } from '../../../scripts/setup/bun.mjs';
import { runQuietly, withoutAddresses } from '../../../scripts/setup/report.mjs';
import { countsOf, summary } from '../../../scripts/test-counts.ts';

describe('Bun', () => {
  test('has a package of its own per platform', () => {
    expect(bunPackage('linux', 'x64', false)).toBe('@oven/bun-linux-x64');
    expect(bunPackage('linux', 'arm64', true)).toBe('@oven/bun-linux-aarch64-musl');
    expect(bunPackage('darwin', 'arm64', false)).toBe('@oven/bun-darwin-aarch64');
    expect(bunPackage('win32', 'x64', false)).toBe('@oven/bun-windows-x64');
    expect(bunPackage('sunos', 'x64', false)).toBeNull();
  });

  test('versions are compared by number', () => {
    expect(isAtLeast('1.10.0', '1.4.0')).toBe(true);
    expect(isAtLeast('1.4.0\n', '1.4.0')).toBe(true);
    expect(isAtLeast('1.3.9', '1.4.0')).toBe(false);
    expect(isAtLeast('2.0.0-canary.1', '1.4.0')).toBe(true);
    expect(isAtLeast('unknown', '1.4.0')).toBe(false);
  });

  test('this run has the pinned one or a newer', () => {
    expect(isAtLeast(process.versions.bun ?? '', PINNED_BUN)).toBe(true);
  });
});

describe('the adapter', () => {
  const answer = (found: object | null) => `warning\n${JSON.stringify({ found })}\n`;
  const llvmpipe = { vendor: 'mesa', device: 'llvmpipe', description: 'llvmpipe: Mesa' };

  test('one that computes is good', () => {
    expect(judge(0, answer(llvmpipe), '')).toBeNull();
  });

  test("Dawn's null backend, none, and a crash are not", () => {
    expect(judge(0, answer({ vendor: '', device: 'null-backend', description: '' }), '')).toContain('null backend');
    expect(judge(0, answer({ vendor: '', device: '', description: 'Null backend' }), '')).toContain('null backend');
    expect(judge(0, answer(null), '')).toBe('no adapter');
    expect(judge(null, '', '')).toBe('the probe failed');
    expect(judge(1, '', 'at x\nerror: no library\nat y')).toBe('the probe failed (error: no library)');
  });

  test('a chosen binding is the only one asked', () => {
    expect(bindingsToTry('webgpu')).toEqual(['webgpu']);
    expect(bindingsToTry('auto')).toEqual(['bun-webgpu', 'webgpu']);
    expect(bindingsToTry(undefined)).toEqual(['bun-webgpu', 'webgpu']);
  });
});

describe('reports', () => {
  test('addresses are cut out', () => {
    expect(withoutAddresses("E: 'http://user:pw@mirror.example/os x' and https://a.example.")).toBe(
      "E: '<address> x' and <address>",
    );
  });

  test('a failed program shows what it printed', () => {
    const { ok, output } = runQuietly(process.execPath, [
      '-e',
      'console.error("from https://a.example/b"); process.exit(3)',
    ]);
    expect({ ok, output }).toEqual({ ok: false, output: 'from <address>' });
    expect(runQuietly('no-such-program', []).ok).toBe(false);
  });
});

describe('counts', () => {
  const report = '<testsuites name="bun test" tests="10" assertions="9" failures="2" skipped="3" time="1">';

  test('come from the totals', () => {
    expect(countsOf(report, 1)).toEqual({ passed: 5, failed: 2, skipped: 3 });
  });

  test('a run that ended badly is never good', () => {
    expect(countsOf(null, 0)).toEqual({ passed: 0, failed: 1, skipped: 0 });
    expect(countsOf(report.replace('failures="2"', 'failures="0"'), 1)).toEqual({ passed: 7, failed: 1, skipped: 3 });
    expect(countsOf(report.replace('failures="2"', 'failures="0"'), null)).toMatchObject({ failed: 1 });
  });

  test('are told in one line', () => {
    expect(summary({ passed: 1, failed: 0, skipped: 0 })).toBe('1 passed, 0 failed');
    expect(summary({ passed: 1, failed: 2, skipped: 3 })).toBe('1 passed, 2 failed, 3 skipped');
  });
});
