/** The aims: which cases they look at, where the limits lie, and who is never judged. */
import { describe, expect, test } from 'bun:test';
import { caseName, casesFor, defaultsFor } from '../../../scripts/bench/engine-cases.ts';
import { batchRatios, type JudgedCase, judgeTargets } from '../../../scripts/bench/targets.ts';

const decode = (fields: Partial<JudgedCase>): JudgedCase => ({
  ...{ model: 'llama-3.1-8b', dtype: 'bf16', kind: 'decode', sequences: 1, tokens: 128, stepMs: 10, memoryMs: 6 },
  ...{ tokensPerSecond: 100, f32Share: 0.1, matrixShare: 0.01, hostCpuMs: 0.2 },
  ...fields,
});
const prefill = (fields: Partial<JudgedCase>) => decode({ kind: 'prefill', tokens: 2048, hostCpuMs: null, ...fields });
const statusOf = (cases: readonly JudgedCase[], words: string, isSoftware = false) =>
  judgeTargets(cases, isSoftware).find(({ target }) => target.includes(words))?.status;

describe('judgeTargets', () => {
  test('holds a decode of one to the share of the bandwidth', () => {
    expect(statusOf([decode({})], '8B, bf16 or f16: at least 60 %')).toBe('met');
    expect(statusOf([decode({ memoryMs: 5.9 })], '8B, bf16 or f16: at least 60 %')).toBe('missed');
    expect(statusOf([decode({ model: 'llama-3.2-1b', memoryMs: 4.6 })], '1B')).toBe('met');
  });

  test('takes the shortest context, and 16-bit weights alone', () => {
    const cases = [decode({ tokens: 8192, memoryMs: 1 }), decode({ tokens: 128 })];
    expect(statusOf(cases, '8B, bf16 or f16: at least 60 %')).toBe('met');
    expect(statusOf([decode({ dtype: 'int4' })], '8B, bf16 or f16: at least 60 %')).toBe('not measured here');
  });

  test('judges the ratio of batches for each model', () => {
    const cases = [
      ...[decode({}), decode({ sequences: 32, tokensPerSecond: 2100 })],
      ...[decode({ model: 'qwen3-0.6b' }), decode({ model: 'qwen3-0.6b', sequences: 32, tokensPerSecond: 1900 })],
    ];
    expect(batchRatios(cases).map(({ model, ratio }) => [model, ratio])).toEqual([
      ['llama-3.1-8b', 21],
      ['qwen3-0.6b', 19],
    ]);
    expect(statusOf(cases, 'of 1, llama-3.1-8b')).toBe('met');
    expect(statusOf(cases, 'of 1, qwen3-0.6b')).toBe('missed');
  });

  test('holds the prefill to the matrix rate where there are matrices, else to that of f32', () => {
    expect(statusOf([prefill({ matrixShare: 0.36 })], 'f16 matrix rate')).toBe('met');
    expect(statusOf([prefill({ matrixShare: 0.34 })], 'f16 matrix rate')).toBe('missed');
    expect(statusOf([prefill({ matrixShare: null, f32Share: 0.61 })], 'measured f32 rate')).toBe('met');
  });

  test('holds the host to its time in a decode of 64', () => {
    expect(statusOf([decode({ hostCpuMs: 9 })], 'host')).toBe('not measured here');
    expect(statusOf([decode({ sequences: 64, hostCpuMs: 0.3 })], 'host')).toBe('met');
    expect(statusOf([decode({ sequences: 64, hostCpuMs: 0.31 })], 'host')).toBe('missed');
  });

  test('never judges a software adapter', () => {
    const cases = [decode({}), decode({ sequences: 64 }), prefill({})];
    expect(new Set(judgeTargets(cases, true).map(({ status }) => status))).toEqual(new Set(['not measured here']));
  });
});

describe('casesFor', () => {
  const none = { batches: null, contexts: null, prefills: null };

  test('has on a GPU all that the aims need, and that first', () => {
    const names = casesFor(none, false).map(caseName);
    const needed = ['decode of 1 at 128', 'decode of 32 at 128', 'decode of 64 at 128', 'prefill of 2048'];
    expect(names.slice(0, 6)).toEqual(expect.arrayContaining(needed));
    expect(names).toContain('decode of 128 at 32768');
    expect(names).toContain('prefill of 8192');
    expect(defaultsFor(false).models[0]).toEqual(['llama-3.1-8b']);
  });

  test('measures what is asked for and nothing else', () => {
    const asked = { batches: [2], contexts: [64, 256], prefills: [] };
    expect(casesFor(asked, false).map(caseName)).toEqual(['decode of 2 at 64', 'decode of 2 at 256']);
    expect(casesFor({ ...asked, contexts: [], prefills: [8] }, true).map(caseName)).toEqual(['prefill of 8']);
  });
});
