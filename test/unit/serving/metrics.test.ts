/** Names, types, labels and buckets of the metrics page, and what requests add to it. */
import { describe, expect, test } from 'bun:test';
import type { EngineInfo } from '../../../src/engine/types.ts';
import type { EngineView } from '../../../src/serving/engine-series.ts';
import type { GenerationPlan } from '../../../src/serving/generation.ts';
import { renderRouting, ServingMetrics } from '../../../src/serving/metrics.ts';
import { testApp } from '../../helpers/test-app.ts';

const { engine } = testApp(() => []);
const view: EngineView = {
  stats: {
    numRunning: 3,
    numWaiting: 2,
    numBlocks: 100,
    numFreeBlocks: 75,
    numPreemptions: 4,
    numSteps: 10,
    promptTokens: 50,
    generationTokens: 60,
    prefixQueryTokens: 40,
    prefixHitTokens: 16,
    stepSizes: { counts: [1, 0, 2, ...new Array<number>(10).fill(0), 1], totalTokens: 20_050 },
    hostStepMs: 1,
  },
  info: engine.info satisfies EngineInfo,
  numSequences: 0,
  rejections: { requests: 5, tokens: 6 },
  nowSeconds: 1_700_000_000,
};

/** A plan of so many choices of one prompt. */
function planOf(numChoices: number, promptTokens = 7): GenerationPlan {
  const promptTokenIds = new Array<number>(promptTokens).fill(1);
  const choices = Array.from({ length: numChoices }, (_, index) => ({
    index,
    request: { promptTokenIds, params: { maxTokens: 30 } },
  }));
  // Only what is measured.
  return { choices, promptTokens, numChoices } as unknown as GenerationPlan;
}

function typesOf(text: string): Map<string, string> {
  return new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => [name, type]));
}

function sampleOf(text: string, series: string): number {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `));
  if (line === undefined) throw new Error(`no ${series} in:\n${text}`);
  return Number(line.slice(series.length + 1));
}

const labels = 'model_name="m",engine="0"';

describe('the page', () => {
  const text = new ServingMetrics(() => 0).render('m', view);
  const types = typesOf(text);

  test.each([
    [
      'gauge',
      ['num_requests_running', 'num_requests_waiting', 'num_requests_waiting_by_reason', 'kv_cache_usage_perc'],
    ],
    ['gauge', ['engine_sleep_state', 'lora_requests_info', 'cache_config_info', 'gpu_cache_usage_perc']],
    ['counter', ['prefix_cache_queries_total', 'prefix_cache_hits_total', 'num_preemptions_total']],
    ['counter', ['gpu_prefix_cache_queries_total', 'gpu_prefix_cache_hits_total', 'admission_rejections_total']],
    ['counter', ['external_prefix_cache_queries_total', 'external_prefix_cache_hits_total']],
    ['counter', ['mm_cache_queries_total', 'mm_cache_hits_total', 'corrupted_requests_total']],
    ['counter', ['prompt_tokens_total', 'prompt_tokens_by_source_total', 'prompt_tokens_cached_total']],
    ['counter', ['generation_tokens_total', 'request_success_total']],
    ['histogram', ['time_to_first_token_seconds', 'inter_token_latency_seconds', 'e2e_request_latency_seconds']],
    ['histogram', ['request_time_per_output_token_seconds', 'request_queue_time_seconds']],
    ['histogram', ['request_inference_time_seconds', 'request_prefill_time_seconds', 'request_decode_time_seconds']],
    ['histogram', ['request_prompt_tokens', 'request_generation_tokens', 'request_max_num_generation_tokens']],
    ['histogram', ['request_params_max_tokens', 'request_params_n', 'request_prefill_kv_computed_tokens']],
    ['histogram', ['iteration_tokens_total']],
  ])('has as %s: %p', (type, names) => {
    for (const name of names) expect([name, types.get(`vllm:${name}`)]).toEqual([name, type]);
  });

  test('every sample belongs to a declared series, and names no series twice', () => {
    const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    for (const sample of samples) {
      const name = sample.slice(0, sample.indexOf('{'));
      expect(types.has(name) || types.has(name.replace(/_(bucket|sum|count)$/, ''))).toBe(true);
      expect(Number.isFinite(Number(sample.slice(sample.lastIndexOf(' ') + 1)))).toBe(true);
    }
    expect(new Set(samples.map((sample) => sample.slice(0, sample.lastIndexOf(' ')))).size).toBe(samples.length);
  });

  test('shows what the engine says', () => {
    expect(sampleOf(text, `vllm:kv_cache_usage_perc{${labels}}`)).toBe(0.25);
    expect(sampleOf(text, `vllm:prompt_tokens_by_source_total{${labels},source="local_compute"}`)).toBe(34);
    expect(sampleOf(text, `vllm:admission_rejections_total{${labels},reason="num_queued_tokens"}`)).toBe(6);
    expect(sampleOf(text, `vllm:cache_config_info{${labels},block_size="16",num_gpu_blocks="100"}`)).toBe(1);
    expect(sampleOf(text, `vllm:iteration_tokens_total_bucket{${labels},le="16"}`)).toBe(3);
    expect(sampleOf(text, `vllm:iteration_tokens_total_bucket{${labels},le="+Inf"}`)).toBe(4);
    expect(sampleOf(text, `vllm:iteration_tokens_total_sum{${labels}}`)).toBe(20_050);
  });

  test('buckets of tokens end at the context', () => {
    const limits = [...text.matchAll(/^vllm:request_prompt_tokens_bucket\{.*le="([^"]+)"/gm)].map(([, limit]) => limit);
    expect(limits).toEqual(['1', '2', '5', '10', '20', '50', '100', '200', '+Inf']);
  });
});

test('the page for routers has five series in less than a kilobyte', () => {
  const text = renderRouting('some-organisation/some-model-70b-instruct', view);
  expect([...typesOf(text).keys()]).toEqual([
    'vllm:num_requests_running',
    'vllm:num_requests_waiting',
    'vllm:kv_cache_usage_perc',
    'vllm:lora_requests_info',
    'vllm:cache_config_info',
  ]);
  expect(Buffer.byteLength(text)).toBeLessThan(1024);
});

test('names of models are escaped', () => {
  const text = renderRouting('a"b\\c', view);
  expect(text).toContain('model_name="a\\"b\\\\c"');
});

test('a request is measured from its start to its end', () => {
  let nowMs = 1000;
  const metrics = new ServingMetrics(() => nowMs);
  const watch = metrics.watch(planOf(2));
  watch.started?.(0, { queueMs: 400, cachedTokens: 3 });
  watch.started?.(1, { queueMs: 400, cachedTokens: 7 });
  nowMs = 2000;
  watch.tokens(0, 1);
  watch.tokens(1, 1);
  nowMs = 4000;
  watch.tokens(0, 5);
  watch.choiceEnded('stop', 5, 0);
  nowMs = 5000;
  watch.tokens(1, 2);
  watch.choiceEnded('length', 2, 1);
  watch.ended();
  const text = metrics.render('m', view);
  const sum = (name: string) => sampleOf(text, `vllm:${name}_sum{${labels}}`);
  const count = (name: string) => sampleOf(text, `vllm:${name}_count{${labels}}`);
  expect([count('time_to_first_token_seconds'), sum('time_to_first_token_seconds')]).toEqual([1, 1]);
  expect([count('inter_token_latency_seconds'), sum('inter_token_latency_seconds')]).toEqual([5, 5]);
  expect([count('request_time_per_output_token_seconds'), sum('request_time_per_output_token_seconds')]).toEqual([
    2, 3.5,
  ]);
  expect(sum('e2e_request_latency_seconds')).toBe(4);
  expect(sum('request_queue_time_seconds')).toBe(0.8);
  expect(sum('request_prefill_time_seconds')).toBeCloseTo(1.2);
  expect(sum('request_decode_time_seconds')).toBe(5);
  expect(sum('request_inference_time_seconds')).toBeCloseTo(6.2);
  expect(sum('request_prefill_kv_computed_tokens')).toBe(4);
  expect([sum('request_generation_tokens'), sum('request_max_num_generation_tokens')]).toEqual([7, 5]);
  expect([sum('request_prompt_tokens'), sum('request_params_max_tokens'), sum('request_params_n')]).toEqual([7, 30, 2]);
  expect(sampleOf(text, `vllm:request_success_total{${labels},finished_reason="stop"}`)).toBe(1);
});
