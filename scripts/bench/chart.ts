/**
 * Bars as SVG text: one group of bars per row, so that figures can stand in a page without any library.
 *
 * Pure. Colours suit light and dark pages alike. Next: `engine.ts` (what is drawn).
 */

export interface BarGroup {
  readonly label: string;
  /** One per series. Null: there is no such figure. */
  readonly values: readonly (number | null)[];
}

export interface BarChart {
  readonly title: string;
  /** Under the title: adapter, driver, date. */
  readonly subtitle: string;
  readonly unit: string;
  readonly series: readonly string[];
  readonly groups: readonly BarGroup[];
}

const COLOURS = ['#4477aa', '#ee9933', '#228833', '#aa3377', '#66ccee', '#888888'];
const WIDTH = 900;
const LABEL_WIDTH = 300;
const VALUE_WIDTH = 110;
const BAR_HEIGHT = 14;
const GROUP_GAP = 10;
const TOP = 74;

/** The chart as an SVG document. Bars begin at zero; the longest takes the whole width. */
export function barChartSvg({ title, subtitle, unit, series, groups }: BarChart): string {
  const most = Math.max(0, ...groups.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const scale = most > 0 ? (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / most : 0;
  const parts = [
    text(10, 22, title, 'font-size="16" font-weight="bold"'),
    text(10, 40, subtitle, 'font-size="11" opacity="0.75"'),
  ];
  series.forEach((name, i) => {
    const x = LABEL_WIDTH + i * 150;
    parts.push(rect(x, 50, 10, 10, colour(i)), text(x + 14, 59, name, 'font-size="11"'));
  });
  let y = TOP;
  for (const { label, values } of groups) {
    const height = values.length * BAR_HEIGHT;
    parts.push(text(LABEL_WIDTH - 8, y + height / 2 + 4, label, 'font-size="12" text-anchor="end"'));
    values.forEach((value, i) => {
      const top = y + i * BAR_HEIGHT;
      const length = (value ?? 0) * scale;
      if (value !== null) parts.push(rect(LABEL_WIDTH, top, length, BAR_HEIGHT - 2, colour(i)));
      const shown = value === null ? '-' : `${Number(value.toPrecision(3))} ${unit}`;
      parts.push(text(LABEL_WIDTH + length + 5, top + BAR_HEIGHT - 4, shown, 'font-size="10"'));
    });
    y += height + GROUP_GAP;
  }
  const head = `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}"`;
  // For those who hear the picture instead of seeing it.
  const spoken = `<title>${escapeXml(title)}</title>`;
  return `${head} font-family="sans-serif" fill="#777777">\n${spoken}\n${parts.join('\n')}\n</svg>\n`;
}

function colour(i: number): string {
  return COLOURS[i % COLOURS.length] ?? '#888888';
}

function rect(x: number, y: number, width: number, height: number, fill: string): string {
  return `<rect x="${x}" y="${y}" width="${Number(width.toFixed(1))}" height="${height}" fill="${fill}"/>`;
}

function text(x: number, y: number, content: string, attributes: string): string {
  return `<text x="${Number(x.toFixed(1))}" y="${y}" ${attributes}>${escapeXml(content)}</text>`;
}

function escapeXml(content: string): string {
  return content.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;');
}
