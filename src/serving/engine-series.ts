/**
 * The series that are read from the engine when somebody asks: gauges, counters, and what the cache is made of.
 *
 * A new one is a row. Source of names, types and labels: vLLM's metrics. Series of things that do not exist here are 0, so that
 * dashboards and alerts find them. Next: `metrics.ts`.
 */
import type { EngineInfo, EngineStats } from '../engine/types.ts';
import type { Exposition, Sample } from './exposition.ts';

/** What is known when the page is asked for. */
export interface EngineView {
  readonly stats: EngineStats;
  /** null before the model is loaded. */
  readonly info: EngineInfo | null;
  /** Sequences that were submitted and have not ended, as this side knows them; the engine's figures are a step old. */
  readonly numSequences: number;
  readonly rejections: { readonly requests: number; readonly tokens: number };
  /** Units: seconds since 1970. */
  readonly nowSeconds: number;
}

interface Series {
  readonly name: string;
  readonly kind: 'gauge' | 'counter';
  readonly help: string;
  samples(view: EngineView): readonly Sample[];
}

const single = (value: number): readonly Sample[] => [{ value }];
const usedShare = ({ stats }: EngineView): number =>
  stats.numBlocks === 0 ? 0 : (stats.numBlocks - stats.numFreeBlocks) / stats.numBlocks;
const numWaiting = ({ stats, numSequences }: EngineView): number =>
  Math.max(stats.numWaiting, numSequences - stats.numRunning);

function row(
  kind: Series['kind'],
  name: string,
  help: string,
  value: (view: EngineView) => number | readonly Sample[],
): Series {
  return {
    name,
    kind,
    help,
    samples: (view) => {
      const found = value(view);
      return typeof found === 'number' ? single(found) : found;
    },
  };
}

/** What a router needs to choose a replica, and nothing else: it may ask twenty times a second. */
const routingSeries: readonly Series[] = [
  row('gauge', 'num_requests_running', 'Sequences in the running batch.', ({ stats }) => stats.numRunning),
  row('gauge', 'num_requests_waiting', 'Sequences waiting to run.', numWaiting),
  row('gauge', 'kv_cache_usage_perc', 'Share of KV cache blocks in use, 0 to 1.', usedShare),
  row('gauge', 'lora_requests_info', 'Adapters in use; the value is the time.', ({ nowSeconds }) => [
    { labels: { max_lora: '0', running_lora_adapters: '', waiting_lora_adapters: '' }, value: nowSeconds },
  ]),
  row('gauge', 'cache_config_info', 'How the KV cache is cut.', ({ info }) =>
    info === null
      ? []
      : [{ labels: { block_size: String(info.blockSize), num_gpu_blocks: String(info.numBlocks) }, value: 1 }],
  ),
];

const otherSeries: readonly Series[] = [
  row('gauge', 'num_requests_waiting_by_reason', 'Sequences waiting to run, by what they wait for.', (view) => [
    { labels: { reason: 'capacity' }, value: numWaiting(view) },
    { labels: { reason: 'deferred' }, value: 0 },
  ]),
  row('gauge', 'gpu_cache_usage_perc', 'Older name of kv_cache_usage_perc.', usedShare),
  row('gauge', 'engine_sleep_state', 'Whether the engine sleeps: 1 at its state.', () => [
    { labels: { sleep_state: 'awake' }, value: 1 },
    { labels: { sleep_state: 'weights_offloaded' }, value: 0 },
    { labels: { sleep_state: 'discard_all' }, value: 0 },
  ]),
  row(
    'counter',
    'num_preemptions_total',
    'Sequences put back for want of blocks.',
    ({ stats }) => stats.numPreemptions,
  ),
  row('counter', 'prompt_tokens_total', 'Prompt tokens processed.', ({ stats }) => stats.promptTokens),
  row('counter', 'prompt_tokens_by_source_total', 'Prompt tokens by where their keys came from.', ({ stats }) => [
    { labels: { source: 'local_compute' }, value: Math.max(0, stats.promptTokens - stats.prefixHitTokens) },
    { labels: { source: 'local_cache_hit' }, value: stats.prefixHitTokens },
    { labels: { source: 'external_kv_transfer' }, value: 0 },
  ]),
  row(
    'counter',
    'prompt_tokens_cached_total',
    'Prompt tokens found in the cache.',
    ({ stats }) => stats.prefixHitTokens,
  ),
  row('counter', 'generation_tokens_total', 'Tokens generated.', ({ stats }) => stats.generationTokens),
  row(
    'counter',
    'prefix_cache_queries_total',
    'Tokens looked for in the prefix cache.',
    ({ stats }) => stats.prefixQueryTokens,
  ),
  row('counter', 'prefix_cache_hits_total', 'Tokens found in the prefix cache.', ({ stats }) => stats.prefixHitTokens),
  row(
    'counter',
    'gpu_prefix_cache_queries_total',
    'Older name of prefix_cache_queries_total.',
    ({ stats }) => stats.prefixQueryTokens,
  ),
  row(
    'counter',
    'gpu_prefix_cache_hits_total',
    'Older name of prefix_cache_hits_total.',
    ({ stats }) => stats.prefixHitTokens,
  ),
  row('counter', 'external_prefix_cache_queries_total', 'There is no cache outside the GPU.', () => 0),
  row('counter', 'external_prefix_cache_hits_total', 'There is no cache outside the GPU.', () => 0),
  row('counter', 'mm_cache_queries_total', 'There is no cache of images.', () => 0),
  row('counter', 'mm_cache_hits_total', 'There is no cache of images.', () => 0),
  row(
    'counter',
    'corrupted_requests_total',
    'Sequences whose logits were not numbers: they end with an error.',
    () => 0,
  ),
  row('counter', 'admission_rejections_total', 'Requests refused for want of room, by the limit.', ({ rejections }) => [
    { labels: { reason: 'num_queued_reqs' }, value: rejections.requests },
    { labels: { reason: 'num_queued_tokens' }, value: rejections.tokens },
  ]),
];

/** The five series of routing; with `all` the others too. */
export function writeEngineSeries(exposition: Exposition, view: EngineView, which: 'routing' | 'all'): void {
  for (const series of which === 'all' ? [...routingSeries, ...otherSeries] : routingSeries) {
    exposition.add(series.kind, `vllm:${series.name}`, series.help, series.samples(view));
  }
}
