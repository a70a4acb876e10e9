/** The published workloads, what is drawn from them, and where more load stops paying. */
import { describe, expect, test } from 'bun:test';
import { kneeOf } from '../../../scripts/bench/knee.ts';
import {
  drawLength,
  isScenarioName,
  longestTokens,
  randomNumbers,
  SCENARIOS,
  scaled,
} from '../../../scripts/bench/scenarios.ts';

describe('scenarios', () => {
  test('have the published lengths', () => {
    const means = Object.entries(SCENARIOS).map(([name, one]) => [name, one.prompt.mean, one.answer.mean]);
    expect(means.slice(0, 5)).toEqual([
      ['chat', 512, 256],
      ['rag', 4096, 512],
      ['1k-1k', 1000, 1000],
      ['2k-128', 2048, 128],
      ['8k-1k', 8000, 1000],
    ]);
    expect(SCENARIOS['shared-prefix'].prefixTokens).toBe(2048);
  });

  test('count their common beginning as part of the longest request', () => {
    expect(longestTokens(SCENARIOS['shared-prefix'])).toBe(2048 + 64 + 64);
    expect(longestTokens(SCENARIOS.rag)).toBe(6144 + 1024);
  });

  test('fit a context after scaling, and keep every length at one at least', () => {
    for (const scenario of Object.values(SCENARIOS)) {
      for (const context of [64, 1000, 5000]) {
        const small = scaled(scenario, (context - 2) / longestTokens(scenario));
        expect(longestTokens(small)).toBeLessThanOrEqual(context);
        expect(Math.min(small.prompt.min, small.answer.min)).toBeGreaterThanOrEqual(1);
      }
    }
    expect(scaled(SCENARIOS.chat, 1)).toBe(SCENARIOS.chat);
  });

  test('are known by their names alone', () => {
    expect(isScenarioName('rag')).toBe(true);
    expect(isScenarioName('constructor')).toBe(false);
  });
});

describe('drawLength', () => {
  test('stays within the bounds and near the mean', () => {
    const random = randomNumbers(3);
    const drawn = Array.from({ length: 4000 }, () => drawLength(SCENARIOS.chat.prompt, random));
    expect(Math.min(...drawn)).toBeGreaterThanOrEqual(1);
    expect(Math.max(...drawn)).toBeLessThanOrEqual(1024);
    const mean = drawn.reduce((a, b) => a + b, 0) / drawn.length;
    expect(Math.abs(mean - 512)).toBeLessThan(8);
    const deviation = Math.sqrt(drawn.reduce((sum, one) => sum + (one - mean) ** 2, 0) / drawn.length);
    expect(Math.abs(deviation - 128)).toBeLessThan(8);
  });

  test('is the same in every run', () => {
    const draw = () => {
      const random = randomNumbers(7);
      return Array.from({ length: 5 }, () => drawLength(SCENARIOS.rag.prompt, random));
    };
    expect(draw()).toEqual(draw());
  });

  test('gives exact lengths where there is no deviation', () => {
    expect(drawLength(SCENARIOS['2k-128'].prompt, randomNumbers(1))).toBe(2048);
  });
});

describe('kneeOf', () => {
  const level = (streams: number, tokensPerSecond: number, goodput: number) => ({ streams, tokensPerSecond, goodput });

  test('is the last level before throughput stops growing', () => {
    expect(kneeOf([level(1, 100, 1), level(2, 180, 2), level(4, 190, 2)])?.streams).toBe(2);
  });

  test('is the last level before goodput falls', () => {
    expect(kneeOf([level(1, 100, 1), level(2, 180, 2), level(4, 300, 1)])?.streams).toBe(2);
  });

  test('is not there while load still pays', () => {
    expect(kneeOf([level(1, 100, 1), level(2, 180, 2)])).toBeNull();
    expect(kneeOf([])).toBeNull();
  });
});
