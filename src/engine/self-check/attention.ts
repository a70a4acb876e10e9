/**
 * Known attention over a small paged cache: decodes whose splits are combined, and a prompt.
 *
 * Owns the cache's numbers and the results in float64. Heads and their group are the model's, because kernels are made for these; one
 * key/value head stands for all. Next: `check-case.ts` (what a case is), `products.ts` (the others).
 */
import { recordAttention } from '../ops/attention.ts';
import { attentionScratchBytes, PREFILL_ITEM_WORDS, planAttention, planPrefillItems } from '../ops/attention-plan.ts';
import type { CacheFormat, CacheShape } from '../ops/kv-cache.ts';
import type { CheckCase } from './check-case.ts';
import type { CheckedModel } from './check-model.ts';
import { asF16, numbers, type Workbench } from './workbench.ts';

/** Values are about 1: errors of exp and of sums in f32 stay far below, and a key that is lost lies above. */
const F32_TOLERANCE = 2e-4;
/** Queries, keys and weights in f16's 11 bits. */
const F16_TOLERANCE = 4e-3;

/** Tokens of one entry: how many there are with it, and how many of these are new. */
interface Entry {
  readonly context: number;
  readonly queries: number;
}

/** One short context, and one of several splits. */
export function decodeCase(bench: Workbench, model: CheckedModel): CheckCase {
  return attentionCase(bench, model, model.kvFormat, {
    name: 'attention to a long context',
    uses: model.kvFormat === 'f16' ? ['subgroups', 'f16'] : ['subgroups'],
    tolerance: F32_TOLERANCE,
    entries: [
      { context: 9, queries: 1 },
      { context: 300, queries: 1 },
    ],
    numDecodes: 2,
  });
}

/** The end of a prompt whose beginning is in the cache; not a whole number of tiles. */
export function promptCase(bench: Workbench, model: CheckedModel): CheckCase {
  return attentionCase(bench, model, 'f16', {
    name: 'attention of a prompt',
    uses: ['matrices'],
    tolerance: F16_TOLERANCE,
    entries: [{ context: 75, queries: 45 }],
    numDecodes: 0,
  });
}

interface AttentionTask extends Pick<CheckCase, 'name' | 'uses' | 'tolerance'> {
  readonly entries: readonly Entry[];
  readonly numDecodes: number;
}

function attentionCase(
  bench: Workbench,
  { heads, kvHeads, headDim, blockSize }: CheckedModel,
  format: CacheFormat & ('f16' | 'f32'),
  { name, uses, tolerance, entries, numDecodes }: AttentionTask,
): CheckCase {
  const group = heads / kvHeads;
  const maxContext = Math.max(...entries.map(({ context }) => context));
  const stride = Math.ceil(maxContext / blockSize);
  const numBlocks = entries.length * stride;
  const shape: CacheShape = { format, kvHeads: 1, headDim, blockSize, numBlocks };
  const stored = (seed: number) => {
    const values = asF16(numbers(seed, numBlocks * blockSize * headDim));
    const data = format === 'f16' ? Float16Array.from(values) : values;
    return { values, buffer: bench.upload('cache', data) };
  };
  const [k, v] = [stored(11), stored(12)];
  // The blocks of all entries lie backwards, so that their order is in the table alone.
  const blockTables = Uint32Array.from({ length: numBlocks }, (_, i) => numBlocks - 1 - i);
  const slotOf = (entry: number, j: number) =>
    (blockTables[entry * stride + Math.floor(j / blockSize)] ?? 0) * blockSize + (j % blockSize);

  const columns = group * headDim;
  const queryStart = [0];
  for (const { queries } of entries) queryStart.push((queryStart.at(-1) ?? 0) + queries);
  const rows = queryStart.at(-1) ?? 0;
  const queries = numbers(13, rows * columns);
  const q = bench.tensor('q', rows, columns, queries);
  const out = bench.tensor('attended', rows, columns);
  const scale = 1 / Math.sqrt(headDim);
  const want = new Float64Array(rows * columns);
  entries.forEach((entry, e) => {
    for (let i = 0; i < entry.queries * group; i++) {
      const at = (queryStart[e] ?? 0) * columns + i * headDim;
      const seen = entry.context - entry.queries + Math.floor(i / group) + 1;
      const slots = Array.from({ length: seen }, (_, j) => slotOf(e, j) * headDim);
      attend(queries.subarray(at, at + headDim), slots, k.values, v.values, scale, want.subarray(at, at + headDim));
    }
  });
  return {
    ...{ name, uses, tolerance, out, want, scale: new Float64Array(want.length).fill(1) },
    record: (context) => {
      const { device, recorder, subgroups, software, matrix } = context;
      const plan = planAttention(device, shape, group, subgroups, software ? null : matrix);
      const contextLength = Uint32Array.from(entries, (entry) => entry.context);
      const numSequences = entries.length;
      const items = planPrefillItems({ numDecodes, numSequences, queryStart, contextLength }, plan);
      recordAttention(context, {
        ...{ plan, q, out, cache: { k: k.buffer, v: v.buffer }, scale, window: null },
        batch: {
          numDecodes,
          contextLength: recorder.words(contextLength),
          blockTables: recorder.words(blockTables),
          blockTableStride: stride,
          maxContext,
          prefillItems: recorder.words(items),
          numPrefillItems: items.length / PREFILL_ITEM_WORDS,
        },
        scratch: bench.buffer('scratch', attentionScratchBytes(plan, numDecodes, maxContext)),
      });
    },
  };
}

/** One query's attention to the keys at `slots`. Mutates: into. */
function attend(
  query: Float32Array,
  slots: readonly number[],
  keys: Float32Array,
  values: Float32Array,
  scale: number,
  into: Float64Array,
): void {
  const scores = slots.map((slot) => query.reduce((sum, q, d) => sum + q * (keys[slot + d] ?? 0), 0) * scale);
  const highest = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - highest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  for (const [j, slot] of slots.entries()) {
    const weight = (weights[j] ?? 0) / total;
    for (let d = 0; d < into.length; d++) into[d] = (into[d] ?? 0) + weight * (values[slot + d] ?? 0);
  }
}
