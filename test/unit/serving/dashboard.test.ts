/** The dashboard asks only for series that the server has. */
import { expect, test } from 'bun:test';
import dashboard from '../../../dashboards/grafana.json' with { type: 'json' };
import { emptyStats } from '../../../src/engine/index.ts';
import { ServingMetrics } from '../../../src/serving/metrics.ts';

test('every series of the dashboard is on the metrics page, and every panel has its place', () => {
  const rejections = { requests: 0, tokens: 0 };
  const view = { stats: emptyStats, info: null, numSequences: 0, rejections, nowSeconds: 0 };
  const page = new ServingMetrics(() => 0).render('m', view);
  const known = new Set([...page.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name));
  const asked = [...JSON.stringify(dashboard).matchAll(/(?:vllm:|http_)\w+/g)].map(([name]) => name);
  expect(asked.length).toBeGreaterThan(20);
  for (const name of asked)
    expect([name, known.has(name) || known.has(name.replace(/_bucket$/, ''))]).toEqual([name, true]);
  const places = dashboard.panels.map(({ gridPos }) => `${gridPos.x},${gridPos.y}`);
  expect(new Set(places).size).toBe(places.length);
});
