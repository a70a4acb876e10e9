/**
 * Picks the sizes of the matrix-vector kernel by timing them on the model's own weights, once per adapter.
 *
 * Owns the order of measuring and its budget. Steps of one row come first, and of these what takes most of a step; no shape
 * takes more than its share of the time. What one start has no time for, the next one measures. Never used on software adapters: there
 * another kernel runs, and its plan is fixed. Next: `candidates.ts` (what is tried), `gemv-bench.ts` (who times), `tuning-file.ts` (what is kept).
 */
import type { GpuDevice } from '../gpu/device.ts';
import { type GemvShape, planGemv } from '../ops/gemv-plan.ts';
import type { GemvSizes } from '../ops/tuned-plans.ts';
import { type CandidateLimits, gemvCandidates, gemvFits, gemvRefinements } from './candidates.ts';
import { type Found, GemvBench } from './gemv-bench.ts';
import type { TunableShape } from './model-shapes.ts';
import { type TunedEntry, TunedTable } from './tuned-table.ts';
import { beginMeasuring, endMeasuring, readTuning, tuningKey, writeTuning } from './tuning-file.ts';

/** Time for all of it at one start. Units: milliseconds. */
const BUDGET_MS = 1500;
/** What one shape may take of it, before others had their turn. */
const SHARE = 1 / 3;
/** And what of that goes to rows and lanes at most, so that loads have their turn on adapters that compile slowly. */
const FIRST_SHARE = 0.6;
/** Rows of x that the kernel has variants for. */
const ROW_CLASSES = [1, 2, 4, 8, 16];

export interface AutotuneArgs {
  readonly device: GpuDevice;
  readonly shapes: readonly TunableShape[];
  /** Most rows of a decode step. */
  readonly maxRows: number;
  /** Where measurements are kept; null = nowhere. */
  readonly folder: string | null;
  readonly onProgress?: (fraction: number) => void;
  /** For tests: less to try in less time. */
  readonly budgetMs?: number;
  readonly candidates?: (shape: TunableShape, rows: number) => readonly GemvSizes[];
  /** For tests: the clock. Units: milliseconds. */
  readonly now?: () => number;
}

/**
 * Gives what was measured before and measures the rest while the budget lasts. Where a kernel cannot be measured, the plans stand.
 * Throws: EngineError when the device failed; then the next start measures nothing.
 */
export async function autotune(args: AutotuneArgs): Promise<TunedTable> {
  const { device, folder, shapes, budgetMs = BUDGET_MS, now = () => performance.now() } = args;
  const limits = candidateLimits(device);
  const key = tuningKey(device);
  const table = new TunedTable();
  const isUsable = (entry: TunedEntry) => !entry.sizes || gemvFits(entry.sizes, gemvShape(entry, entry.rows), limits);
  for (const entry of folder === null ? [] : await readTuning(folder, key, isUsable)) table.add(entry);
  const numKnown = table.entries.length;
  const classes = ROW_CLASSES.filter((rows) => rows < 2 * args.maxRows);
  const jobs = classes.flatMap((rows) => shapes.map((shape) => ({ shape, rows })));
  const open = jobs.filter(({ shape, rows }) => !table.has(shape.kind, shape.format, shape.n, shape.k, rows));
  if (open.length > 0 && (folder === null || (await beginMeasuring(folder, key)))) {
    const bench = new GemvBench(device, shapes, Math.max(...ROW_CLASSES));
    const deadline = now() + budgetMs;
    try {
      for (const [i, { shape, rows }] of open.entries()) {
        const startedAt = now();
        if (startedAt >= deadline) break;
        args.onProgress?.(i / open.length);
        const end = Math.min(deadline, startedAt + budgetMs * SHARE);
        const planned = planGemv(gemvShape(shape, rows), limits.workgroupBytes);
        const isPast = (share: number) => now() >= startedAt + share * (end - startedAt);
        const found = await search(bench, args, limits, shape, rows, planned, isPast);
        // What the end of the budget cut off is begun anew by the next start; but each start gets something done.
        if (!found.isComplete && end === deadline && i > 0) break;
        const { kind, format, n, k } = shape;
        table.add({ kind, format, n, k, rows, sizes: found.sizes === planned ? null : found.sizes });
      }
    } catch {
      // A candidate that does not compile: the plan's own kernel may, and says so if not.
      device.throwIfFailed();
    } finally {
      bench.close();
    }
    if (folder !== null) await endMeasuring(folder, key);
  }
  if (folder !== null && table.entries.length > numKnown) await writeTuning(folder, key, table.entries);
  return table;
}

/** Rows and lanes first, then unrolling and loads for the best of them. `isPast` tells whether a share of the shape's time is over. */
async function search(
  bench: GemvBench,
  args: AutotuneArgs,
  limits: CandidateLimits,
  shape: TunableShape,
  rows: number,
  planned: GemvSizes,
  isPast: (share: number) => boolean,
): Promise<Found> {
  const given = args.candidates?.(shape, rows);
  if (given) return bench.fastest(shape, rows, planned, given, () => isPast(1));
  const what = gemvShape(shape, rows);
  const candidates = gemvCandidates(what, planned, limits);
  const first = await bench.fastest(shape, rows, planned, candidates, () => isPast(FIRST_SHARE));
  if (isPast(1)) return { ...first, isComplete: false };
  const refinements = gemvRefinements(what, first.sizes, limits);
  const second = await bench.fastest(shape, rows, first.sizes, refinements, () => isPast(1));
  return { ...second, isComplete: first.isComplete && second.isComplete };
}

function gemvShape({ kind, format, n, k }: Pick<TunedEntry, 'kind' | 'format' | 'n' | 'k'>, cols: number): GemvShape {
  return { n, columns: k, gated: kind === 'gated-gemv', format, cols };
}

function candidateLimits({ hasSubgroups, limits }: GpuDevice): CandidateLimits {
  return {
    subgroups: hasSubgroups,
    workgroupBytes: limits.maxComputeWorkgroupStorageSize,
    maxWorkgroupSize: Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX),
  };
}
