/**
 * A table of measured sizes, and its form as JSON.
 *
 * Owns the form and the check of what comes from outside: a file may be of another version, cut off or edited.
 * Next: `tuning-file.ts` (where it is kept), `autotune.ts` (who fills it).
 */
import type { MatrixFormat } from '../ops/tensor.ts';
import type { GemvSizes, TunedKind, TunedPlans } from '../ops/tuned-plans.ts';

/** One measured shape. */
export interface TunedEntry {
  readonly kind: TunedKind;
  readonly format: MatrixFormat;
  /** Shapes: the matrix is [n, k]. */
  readonly n: number;
  readonly k: number;
  /** Rows of x that the kernel takes at a time. */
  readonly rows: number;
  /** null: nothing was better than what the planner says. */
  readonly sizes: GemvSizes | null;
}

const KINDS: ReadonlySet<string> = new Set<TunedKind>(['gemv', 'gated-gemv']);
const FORMATS: ReadonlySet<string> = new Set<MatrixFormat>(['f32', 'bf16', 'f16', 'int8', 'int4']);

/** Sizes by shape. */
export class TunedTable implements TunedPlans {
  private readonly byShape = new Map<string, TunedEntry>();

  get entries(): TunedEntry[] {
    return [...this.byShape.values()];
  }

  /** Adds a shape; the first entry of a shape stays. */
  add(entry: TunedEntry): void {
    const { kind, format, n, k, rows } = entry;
    const key = keyOf(kind, format, n, k, rows);
    if (!this.byShape.has(key)) this.byShape.set(key, entry);
  }

  has(kind: TunedKind, format: string, n: number, k: number, rows: number): boolean {
    return this.byShape.has(keyOf(kind, format, n, k, rows));
  }

  lookup(kind: TunedKind, format: string, n: number, k: number, rows: number): GemvSizes | null {
    return this.byShape.get(keyOf(kind, format, n, k, rows))?.sizes ?? null;
  }
}

function keyOf(kind: TunedKind, format: string, n: number, k: number, rows: number): string {
  return `${kind} ${format} ${n} ${k} ${rows}`;
}

/** Reads what was written as JSON; entries that make no sense, or that `isUsable` refuses, are left out. */
export function readEntries(value: unknown, isUsable: (entry: TunedEntry) => boolean): TunedEntry[] {
  return Array.isArray(value) ? value.filter((item): item is TunedEntry => isEntry(item) && isUsable(item)) : [];
}

function isEntry(value: unknown): value is TunedEntry {
  if (typeof value !== 'object' || value === null) return false;
  const { kind, format, n, k, rows, sizes } = value as Record<string, unknown>;
  if (typeof kind !== 'string' || !KINDS.has(kind) || typeof format !== 'string' || !FORMATS.has(format)) return false;
  if (![n, k, rows].every(isCount)) return false;
  if (sizes === null) return true;
  if (typeof sizes !== 'object') return false;
  const { wg, rows: outputs, unroll, load } = sizes as Record<string, unknown>;
  return [wg, outputs, unroll, load].every(isCount);
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value > 0;
}
