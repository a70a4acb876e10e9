import { describe, expect, test } from 'bun:test';
import { StopMatcher } from '../../../src/text/stop-strings.ts';

interface Outcome {
  readonly text: string;
  readonly stop: string | null;
}

function run(pieces: readonly string[], stops: readonly string[], include = false): Outcome {
  const matcher = new StopMatcher(stops, include);
  let text = '';
  for (const piece of pieces) {
    const result = matcher.push(piece);
    text += result.text;
    if (result.stop !== null) return { text, stop: result.stop };
  }
  return { text: text + matcher.flush(), stop: null };
}

describe('stop strings', () => {
  test('holds back what may become a stop string and lets it go when it does not', () => {
    const matcher = new StopMatcher(['\n\nUser:'], false);
    expect(matcher.push('hi\n')).toEqual({ text: 'hi', stop: null });
    expect(matcher.push('\nUs')).toEqual({ text: '', stop: null });
    expect(matcher.push('ually')).toEqual({ text: '\n\nUsually', stop: null });
    expect(matcher.push('\n\n')).toEqual({ text: '', stop: null });
    expect(matcher.flush()).toBe('\n\n');
  });

  test('cuts before the stop string, or after it when it is to be included', () => {
    expect(run(['one two three'], ['two'])).toEqual({ text: 'one ', stop: 'two' });
    expect(run(['one two three'], ['two'], true)).toEqual({ text: 'one two', stop: 'two' });
  });

  test('the stop string that is complete first wins, of two that end together the longer one', () => {
    expect(run(['abcd'], ['cd', 'b'])).toEqual({ text: 'a', stop: 'b' });
    expect(run(['xabc'], ['c', 'abc'])).toEqual({ text: 'x', stop: 'abc' });
    expect(run(['aab'], ['ab'])).toEqual({ text: 'a', stop: 'ab' });
  });

  test('without stop strings everything passes', () => {
    expect(new StopMatcher([], false).push('abc')).toEqual({ text: 'abc', stop: null });
  });

  test('the result does not depend on how the text is cut', () => {
    let state = 7;
    const random = (limit: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return (state >>> 8) % limit;
    };
    const letters = (length: number): string =>
      Array.from({ length }, () => ['a', 'b', '👍'][random(3)] ?? '').join('');
    for (let round = 0; round < 3000; round++) {
      const text = letters(random(24));
      const stops = Array.from({ length: 1 + random(3) }, () => letters(1 + random(5)));
      const include = random(2) === 0;
      const whole = run([text], stops, include);
      const pieces: string[] = [];
      for (let at = 0; at < text.length; ) {
        const next = at + 1 + random(4);
        pieces.push(text.slice(at, next));
        at = next;
      }
      expect(run(pieces, stops, include)).toEqual(whole);
      expect(run([...text], stops, include)).toEqual(whole);
      if (whole.stop === null) {
        expect(whole.text).toBe(text);
        for (const stop of stops) expect(text).not.toContain(stop);
      } else if (!include) {
        for (const stop of stops) expect(whole.text).not.toContain(stop);
      }
    }
  });
});
