/**
 * What `bench engine` prints: the cases, the ratios of batches, the breakdowns, the verdicts on the aims, and the chart.
 *
 * Owns the words and columns; measures nothing. Next: `engine.ts`, `targets.ts`.
 */
import type { MatrixFormat } from '../../src/engine/ops/tensor.ts';
import type { BreakdownKind } from './breakdown.ts';
import { type BarGroup, barChartSvg } from './chart.ts';
import { type Case, caseName } from './engine-cases.ts';
import type { KernelShare } from './kernel-shares.ts';
import type { ShapeName } from './model-shapes.ts';
import type { Bounds, Rates } from './roofline.ts';
import { printTable, short } from './table.ts';
import type { BatchRatio, Verdict } from './targets.ts';

/** A measured case. Units: milliseconds, of a decode step or a whole prefill. */
export interface CaseResult extends Case, Bounds {
  readonly model: ShapeName;
  readonly dtype: MatrixFormat;
  readonly stepMs: number;
  /** CPU time of the thread that runs the engine; null for a prefill. */
  readonly hostCpuMs: number | null;
  readonly tokensPerSecond: number;
  readonly numSteps: number;
  readonly numDispatches: number;
  /** How `kernels` was measured. */
  readonly breakdownBy: BreakdownKind | null;
  readonly kernels: readonly KernelShare[];
}

const percent = (share: number) => `${(share * 100).toFixed(1)} %`;

/** The measured rates in one line. */
export function ratesLine({ bandwidth, arithmetic, matrix, dp4a, dispatchMs }: Rates): string {
  const rates = [
    `${short(arithmetic / 1e9)} GFLOP/s (f32)`,
    matrix === null ? 'no subgroup matrices' : `${short(matrix / 1e9)} GFLOP/s (f16 matrices, f32 sums)`,
    `${short(dp4a / 1e9)} GOP/s (dp4a)`,
  ];
  return (
    `reads ${short(bandwidth / 1e9)} GB/s, computes ${rates.join(', ')}; ` +
    `${short(dispatchMs * 1000)} us for a dispatch that waits for another`
  );
}

/** One line as soon as a case is measured. */
export function caseLine(result: CaseResult): string {
  const { model, stepMs, tokensPerSecond, rooflineShare, hostCpuMs } = result;
  const host = hostCpuMs === null ? '' : `, host CPU ${short(hostCpuMs)} ms`;
  const share = `${percent(rooflineShare)} of the roofline`;
  return `${model} ${caseName(result)}: ${short(stepMs)} ms, ${short(tokensPerSecond)} tokens/s, ${share}${host}`;
}

/** Prints the table of all cases and the breakdown of each. */
export function printResults(results: readonly CaseResult[], adapter: string): void {
  console.log(`on ${adapter}`);
  printTable(
    [
      ...['case', 'ms', 'host CPU ms', 'tokens/s', 'memory ms', 'arithmetic ms', 'units', 'dispatches', 'their ms'],
      ...['bound by', 'roofline', 'with dispatches', 'of f32 rate', 'of matrix rate'],
    ],
    results.map((result) => [
      ...[`${result.model} ${result.dtype} ${caseName(result)}`, short(result.stepMs)],
      ...[result.hostCpuMs === null ? '-' : short(result.hostCpuMs), short(result.tokensPerSecond)],
      ...[short(result.memoryMs), short(result.arithmeticMs), result.path, result.numDispatches],
      ...[short(result.dispatchMs), result.boundBy],
      ...[percent(result.rooflineShare), percent(result.shareWithDispatches), percent(result.f32Share)],
      result.matrixShare === null ? '-' : percent(result.matrixShare),
    ]),
  );
  for (const result of results) printBreakdown(result);
}

/** Prints where the time of a case goes; nothing where that was not measured. */
export function printBreakdown(result: CaseResult): void {
  const { kernels, breakdownBy } = result;
  if (kernels.length === 0) return;
  const how = breakdownBy === 'timestamps' ? 'by timestamps' : 'by leaving each kernel out';
  const rate = (value: number | undefined) => (value === undefined ? '-' : short(value / 1e9));
  printTable(
    [`${result.model} ${caseName(result)}, one step, ${how}`, 'dispatches', 'ms', 'share', 'weights GB/s', 'GFLOP/s'],
    [
      ...kernels.map((kernel) => [
        ...[kernel.kernel, kernel.numDispatches, short(kernel.ms), percent(kernel.share)],
        ...[rate(kernel.weightRate), rate(kernel.operationRate)],
      ]),
      // Without timestamps the parts are differences, whose sum means nothing.
      ...(breakdownBy === 'timestamps' ? [restOf(result)] : []),
    ],
  );
}

/** What the kernels leave of the step: waits, launches and uploads. */
function restOf({ kernels, stepMs, numSteps }: CaseResult): (string | number)[] {
  const oneMs = stepMs / numSteps;
  const restMs = oneMs - kernels.reduce((sum, { ms }) => sum + ms, 0);
  return ['(between and beside them)', '-', short(restMs), percent(restMs / oneMs), '-', '-'];
}

/** Prints what batches gain, and how the aims stand. */
export function printSummary(ratios: readonly BatchRatio[], verdicts: readonly Verdict[], isSoftware: boolean): void {
  for (const { model, context, ratio } of ratios) {
    console.log(`${model} at ${context}: 32 sequences have ${short(ratio)} times the throughput of 1`);
  }
  console.log(isSoftware ? 'aims, which are for GPUs:' : 'aims:');
  for (const { target, status, measured } of verdicts) {
    console.log(`  ${status}: ${target}${measured === '' ? '' : ` (${measured})`}`);
  }
}

/** The shares of all cases as SVG. */
export function chartOf(results: readonly CaseResult[], subtitle: string): string {
  const groups = results.map(
    (result): BarGroup => ({
      label: `${result.model} ${caseName(result)}`,
      values: [result.rooflineShare * 100, result.shareWithDispatches * 100],
    }),
  );
  const title = 'Share of what the adapter allows';
  return barChartSvg({ title, subtitle, unit: '%', series: ['roofline', 'with dispatches'], groups });
}
