/**
 * What the server counts, as Prometheus text under vLLM's names, so that existing dashboards and routers work.
 *
 * Owns the clock readings of requests. Source of names and buckets: vLLM's metrics. Next: `engine-series.ts` (what the engine counts),
 * `routes/ops/metrics.ts`.
 */
import { stepTokenLimits } from '../engine/types.ts';
import { type EngineView, writeEngineSeries } from './engine-series.ts';
import { Exposition } from './exposition.ts';
import type { GenerationObserver, GenerationPlan } from './generation.ts';
import { Histogram } from './histogram.ts';
import { HttpMetrics } from './http-metrics.ts';

const firstTokenLimits = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
];
const interTokenLimits = [
  0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
];
const requestLimits = [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680];
/** 1, 2, 5, 10 and so on; those beyond the context are not shown. */
const tokenLimits = Array.from({ length: 8 }, (_, power) => [1, 2, 5].map((digit) => digit * 10 ** power)).flat();
const choiceLimits = [1, 2, 5, 10, 20];

/** Which histograms count tokens of one sequence, so that their buckets end at the context's length. */
const histograms = {
  time_to_first_token_seconds: { limits: firstTokenLimits, help: 'Time from the request to its first token.' },
  inter_token_latency_seconds: { limits: interTokenLimits, help: 'Time between two tokens.' },
  request_time_per_output_token_seconds: { limits: interTokenLimits, help: 'Mean time between tokens of a sequence.' },
  e2e_request_latency_seconds: { limits: requestLimits, help: 'Time from the request to its end.' },
  request_queue_time_seconds: { limits: requestLimits, help: 'Time before the first step.' },
  request_inference_time_seconds: { limits: requestLimits, help: 'Time from the first step to the last token.' },
  request_prefill_time_seconds: { limits: requestLimits, help: 'Time from the first step to the first token.' },
  request_decode_time_seconds: { limits: requestLimits, help: 'Time from the first token to the last.' },
  request_prompt_tokens: { limits: tokenLimits, help: 'Prompt tokens of a request.' },
  request_generation_tokens: { limits: tokenLimits, help: 'Tokens of a sequence.' },
  request_max_num_generation_tokens: { limits: tokenLimits, help: 'Tokens of the longest sequence of a request.' },
  request_params_max_tokens: { limits: tokenLimits, help: 'Most tokens that a request allows.' },
  request_prefill_kv_computed_tokens: { limits: tokenLimits, help: 'Prompt tokens that had to be computed.' },
  request_params_n: { limits: choiceLimits, help: 'Choices that a request asks for.' },
  iteration_tokens_total: { limits: stepTokenLimits, help: 'Tokens of a step.' },
} as const;
type HistogramName = keyof typeof histograms;

const finishReasons = ['stop', 'length', 'abort', 'error'] as const;
type FinishLabel = (typeof finishReasons)[number];

interface ChoiceTimes {
  queueMs: number | null;
  firstMs: number;
  lastMs: number;
  total: number;
}

/** The figures of one server. */
export class ServingMetrics {
  readonly http = new HttpMetrics();
  private readonly finished = new Map<FinishLabel, number>();
  private readonly histograms: ReadonlyMap<HistogramName, Histogram> = new Map(
    Object.entries(histograms).map(([name, { limits }]) => [name as HistogramName, new Histogram(limits)]),
  );

  /** `nowMs`: a clock that never goes back. */
  constructor(private readonly nowMs: () => number) {}

  /** Watches one request from now on. */
  watch(plan: GenerationPlan): GenerationObserver {
    const startMs = this.nowMs();
    const times = new Map<number, ChoiceTimes>();
    const queueMs = new Map<number, number>();
    let longest = 0;
    const promptLengths = new Map(plan.choices.map(({ index, request }) => [index, request.promptTokenIds.length]));
    return {
      started: (index, start) => {
        queueMs.set(index, start.queueMs);
        this.observe('request_queue_time_seconds', start.queueMs / 1000);
        this.observe('request_prefill_kv_computed_tokens', (promptLengths.get(index) ?? 0) - start.cachedTokens);
      },
      tokens: (index, total) => {
        const atMs = this.nowMs();
        const last = times.get(index);
        if (last !== undefined) {
          // Several tokens may arrive together: each took its part of the time.
          const numNew = total - last.total;
          this.observe('inter_token_latency_seconds', (atMs - last.lastMs) / 1000 / numNew, numNew);
          last.lastMs = atMs;
          last.total = total;
          return;
        }
        if (times.size === 0) this.observe('time_to_first_token_seconds', (atMs - startMs) / 1000);
        times.set(index, { queueMs: queueMs.get(index) ?? null, firstMs: atMs, lastMs: atMs, total });
      },
      choiceEnded: (reason, numTokens, index) => {
        this.finished.set(reason, (this.finished.get(reason) ?? 0) + 1);
        this.observe('request_generation_tokens', numTokens);
        longest = Math.max(longest, numTokens);
        const choice = times.get(index);
        if (choice !== undefined) this.observeTimes(choice, startMs);
      },
      ended: () => {
        this.observe('e2e_request_latency_seconds', (this.nowMs() - startMs) / 1000);
        this.observe('request_prompt_tokens', plan.promptTokens);
        this.observe('request_max_num_generation_tokens', longest);
        this.observe(
          'request_params_max_tokens',
          Math.max(...plan.choices.map(({ request }) => request.params.maxTokens)),
        );
        this.observe('request_params_n', choicesPerPrompt(plan));
      },
    };
  }

  /** The exposition text, version 0.0.4. */
  render(modelName: string, view: EngineView): string {
    const exposition = new Exposition({ model_name: modelName, engine: '0' });
    writeEngineSeries(exposition, view, 'all');
    exposition.add(
      'counter',
      'vllm:request_success_total',
      'Sequences that ended, by reason.',
      finishReasons.map((reason) => ({
        labels: { finished_reason: reason },
        value: this.finished.get(reason) ?? 0,
      })),
    );
    const { stepSizes } = view.stats;
    this.histograms.get('iteration_tokens_total')?.replace(stepSizes?.counts ?? [], stepSizes?.totalTokens ?? 0);
    const maxTokens = view.info?.maxModelLen ?? Number.POSITIVE_INFINITY;
    for (const [name, histogram] of this.histograms) {
      const { limits, help } = histograms[name];
      exposition.addHistogram(`vllm:${name}`, help, [{ histogram }], limits === tokenLimits ? maxTokens : undefined);
    }
    const http = new Exposition({});
    this.http.writeTo(http);
    return `${exposition}${http}`;
  }

  private observe(name: HistogramName, value: number, times?: number): void {
    this.histograms.get(name)?.observe(value, times);
  }

  private observeTimes({ queueMs, firstMs, lastMs, total }: ChoiceTimes, startMs: number): void {
    this.observe('request_decode_time_seconds', (lastMs - firstMs) / 1000);
    if (total > 1) this.observe('request_time_per_output_token_seconds', (lastMs - firstMs) / 1000 / (total - 1));
    if (queueMs === null) return;
    const runMs = startMs + queueMs;
    this.observe('request_prefill_time_seconds', Math.max(0, firstMs - runMs) / 1000);
    this.observe('request_inference_time_seconds', Math.max(0, lastMs - runMs) / 1000);
  }
}

/** The five series of routing alone, less than a kilobyte: for whoever asks many times a second. */
export function renderRouting(modelName: string, view: EngineView): string {
  const exposition = new Exposition({ model_name: modelName, engine: '0' }, false);
  writeEngineSeries(exposition, view, 'routing');
  return exposition.toString();
}

/** The choices of one prompt share its ids. */
function choicesPerPrompt({ choices, numChoices }: GenerationPlan): number {
  return numChoices / new Set(choices.map(({ request }) => request.promptTokenIds)).size;
}
