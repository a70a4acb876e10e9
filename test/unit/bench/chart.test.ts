/** Bars as SVG: lengths in proportion, text that cannot break the document. */
import { describe, expect, test } from 'bun:test';
import { barChartSvg } from '../../../scripts/bench/chart.ts';

const chart = { title: 'Shares', subtitle: 'an adapter', unit: '%', series: ['one', 'two'] };

/** Widths of the bars, without the legend's squares. */
function barWidths(svg: string): number[] {
  return [...svg.matchAll(/<rect [^>]*width="([\d.]+)" height="12"/g)].map((match) => Number(match[1]));
}

describe('barChartSvg', () => {
  test('draws bars in proportion to their values', () => {
    const widths = barWidths(barChartSvg({ ...chart, groups: [{ label: 'a', values: [50, 100] }] }));
    expect(widths).toHaveLength(2);
    expect((widths[1] ?? 0) / (widths[0] ?? 1)).toBeCloseTo(2);
  });

  test('leaves out the bar of a missing figure and says so', () => {
    const svg = barChartSvg({ ...chart, groups: [{ label: 'a', values: [null, 10] }] });
    expect(barWidths(svg)).toHaveLength(1);
    expect(svg).toContain('>-</text>');
  });

  test('escapes what would be markup', () => {
    const svg = barChartSvg({ ...chart, title: 'a < b & "c"', groups: [] });
    expect(svg).toContain('a &lt; b &amp; &quot;c&quot;');
  });

  test('is a whole document even without rows, or with zeros alone', () => {
    for (const groups of [[], [{ label: 'a', values: [0, 0] }]]) {
      const svg = barChartSvg({ ...chart, groups });
      expect(svg).toStartWith('<svg xmlns="http://www.w3.org/2000/svg"');
      expect(svg.trimEnd()).toEndWith('</svg>');
      expect(svg).not.toContain('NaN');
    }
  });
});
