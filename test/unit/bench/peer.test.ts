/** What peers print, and the ratios made of it. */
import { describe, expect, test } from 'bun:test';
import { kernelName } from '../../../scripts/bench/kernel-shares.ts';
import { faultLine, parsePeerResult, ratiosTo, runPeer } from '../../../scripts/bench/peers/peer.ts';

const result = (rate: number, batches: number[]) => ({
  ...{ peer: 'p', device: 'd', dtype: 'float32', prefillTokensPerSecond: rate },
  decode: batches.map((batch) => ({ batch, tokensPerSecond: rate * batch })),
});

describe('peers', () => {
  test('are read from the last line of what they print', () => {
    const printed = `loading\n${JSON.stringify(result(5, [1]))}\n`;
    expect(parsePeerResult(printed)?.prefillTokensPerSecond).toBe(5);
  });

  test('give null for anything else', () => {
    for (const text of ['', 'Traceback', '{}', 'null']) expect(parsePeerResult(text)).toBeNull();
  });

  test('that fail are quoted with the line that names the error', () => {
    expect(faultLine('x.js:1\nError: cuda was asked for\n    at x\n\nNode.js v20\n')).toBe('Error: cuda was asked for');
    expect(faultLine("Traceback\n  line\nModuleNotFoundError: No module named 'torch'\n")).toContain("'torch'");
    expect(faultLine('a\nkilled\n')).toBe('killed');
  });

  test('are compared batch by batch, ours over theirs', () => {
    const ratios = ratiosTo(result(10, [1, 8, 32]), result(5, [1, 32]));
    expect(ratios).toEqual({ prefill: 2, decode: [2, null, 2] });
  });

  test('that are not installed are named', async () => {
    await expect(runPeer('no-such-program-here', [], {}, 60_000)).rejects.toThrow(
      'no-such-program-here is not installed',
    );
  });
});

describe('kernelName', () => {
  test('tells products of one variant apart by the weight', () => {
    expect(kernelName('matmul-gemv(FORMAT=1 GATED=false)', { n: 512, chunks: 32 })).toBe('matmul-gemv 512 x 256');
    expect(kernelName('matmul-gemv(FORMAT=1 GATED=true)', { n: 512, chunks: 32 })).toBe('matmul-gemv gated 512 x 256');
  });

  test('is the shader alone without one', () => {
    expect(kernelName('rms-norm(WG=64)', { rows: 1 })).toBe('rms-norm');
    expect(kernelName('embed(FORMAT=1)', null)).toBe('embed');
  });
});
