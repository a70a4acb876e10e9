import { describe, expect, test } from 'bun:test';
import { sequence } from './fixtures.ts';

const EOS = new Set([1, 7]);

describe('Sequence', () => {
  test('has prompt and output at consecutive positions', () => {
    const s = sequence([5, 6]);
    s.append(9, EOS);
    expect([0, 1, 2].map((p) => s.tokenAt(p))).toEqual([5, 6, 9]);
    expect(() => s.tokenAt(3)).toThrow(RangeError);
    expect([s.numTokens, s.numRemaining]).toEqual([3, 3]);
  });

  test('ends with an end-of-sequence id, and names no stop token for it', () => {
    expect(sequence(1).append(7, EOS)).toEqual({ reason: 'stop', stopTokenId: null });
    expect(sequence(1, { stopTokenIds: [7] }).append(7, EOS)).toEqual({ reason: 'stop', stopTokenId: null });
    expect(sequence(1, { ignoreEos: true }).append(7, EOS)).toBeNull();
  });

  test('ends with a stop token and names it, also an ignored end-of-sequence id', () => {
    expect(sequence(1, { stopTokenIds: [4, 5] }).append(5, EOS)).toEqual({ reason: 'stop', stopTokenId: 5 });
    const ignoring = sequence(1, { stopTokenIds: [7], ignoreEos: true });
    expect(ignoring.append(7, EOS)).toEqual({ reason: 'stop', stopTokenId: 7 });
  });

  test('lets no stop token end it within minTokens', () => {
    const s = sequence(1, { minTokens: 2, stopTokenIds: [5] });
    expect(s.append(7, EOS)).toBeNull();
    expect(s.append(5, EOS)).toBeNull();
    expect(s.append(5, EOS)).toEqual({ reason: 'stop', stopTokenId: 5 });
  });

  test('ends at maxTokens whatever minTokens says; a stop token there is a stop', () => {
    expect(sequence(1, { maxTokens: 1, minTokens: 5 }).append(9, EOS)).toEqual({ reason: 'length', stopTokenId: null });
    expect(sequence(1, { maxTokens: 1 }).append(7, EOS)?.reason).toBe('stop');
  });

  test("takes the request's seed before the drawn one", () => {
    expect(sequence(1).seed).toEqual([1, 2]);
    expect(sequence(1, { seed: [3, 4] }).seed).toEqual([3, 4]);
  });
});
