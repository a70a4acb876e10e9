/**
 * What the server counts, as Prometheus text under vLLM's names, so that existing dashboards and routers work.
 *
 * Owns the clock readings of requests; gauges and token counters come from the engine when asked for. A new series is a row.
 * Source of names and buckets: vLLM's metrics. Next: `routes/ops/metrics.ts`.
 */
import type { EngineStats } from '../engine/types.ts';
import type { GenerationObserver } from './generation.ts';
import { Histogram } from './histogram.ts';

const firstTokenLimits = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
];
const interTokenLimits = [
  0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
];
const requestLimits = [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680];
const tokenLimits = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000];

const finishReasons = ['stop', 'length', 'abort', 'error'] as const;
type FinishLabel = (typeof finishReasons)[number];

interface EngineSeries {
  readonly name: string;
  readonly kind: 'gauge' | 'counter';
  readonly help: string;
  value(stats: EngineStats): number;
}

const usedShare = (stats: EngineStats): number =>
  stats.numBlocks === 0 ? 0 : (stats.numBlocks - stats.numFreeBlocks) / stats.numBlocks;

const engineSeries: readonly EngineSeries[] = [
  { name: 'num_requests_running', kind: 'gauge', help: 'Sequences in the running batch.', value: (s) => s.numRunning },
  { name: 'num_requests_waiting', kind: 'gauge', help: 'Sequences waiting to run.', value: (s) => s.numWaiting },
  { name: 'kv_cache_usage_perc', kind: 'gauge', help: 'Share of KV cache blocks in use, 0 to 1.', value: usedShare },
  { name: 'gpu_cache_usage_perc', kind: 'gauge', help: 'Older name of kv_cache_usage_perc.', value: usedShare },
  {
    name: 'num_preemptions_total',
    kind: 'counter',
    help: 'Sequences put back for want of blocks.',
    value: (s) => s.numPreemptions,
  },
  { name: 'prompt_tokens_total', kind: 'counter', help: 'Prompt tokens processed.', value: (s) => s.promptTokens },
  { name: 'generation_tokens_total', kind: 'counter', help: 'Tokens generated.', value: (s) => s.generationTokens },
];

/** The figures of one server. */
export class ServingMetrics {
  private readonly finished = new Map<FinishLabel, number>();
  private readonly histograms = {
    time_to_first_token_seconds: new Histogram(firstTokenLimits),
    inter_token_latency_seconds: new Histogram(interTokenLimits),
    e2e_request_latency_seconds: new Histogram(requestLimits),
    request_prompt_tokens: new Histogram(tokenLimits),
    request_generation_tokens: new Histogram(tokenLimits),
  };

  /** `nowMs`: a clock that never goes back. */
  constructor(private readonly nowMs: () => number) {}

  /** Watches one request from now on. */
  watch(promptTokens: number): GenerationObserver {
    const startMs = this.nowMs();
    const lastTokenMs = new Map<number, { readonly atMs: number; readonly total: number }>();
    const { histograms } = this;
    return {
      tokens: (index, total) => {
        const atMs = this.nowMs();
        const last = lastTokenMs.get(index);
        if (last !== undefined) {
          // Several tokens may arrive together: each took its part of the time.
          const numNew = total - last.total;
          for (let i = 0; i < numNew; i++)
            histograms.inter_token_latency_seconds.observe((atMs - last.atMs) / 1000 / numNew);
        } else if (lastTokenMs.size === 0) {
          histograms.time_to_first_token_seconds.observe((atMs - startMs) / 1000);
        }
        lastTokenMs.set(index, { atMs, total });
      },
      choiceEnded: (reason, numTokens) => {
        this.finished.set(reason, (this.finished.get(reason) ?? 0) + 1);
        histograms.request_generation_tokens.observe(numTokens);
      },
      ended: () => {
        histograms.e2e_request_latency_seconds.observe((this.nowMs() - startMs) / 1000);
        histograms.request_prompt_tokens.observe(promptTokens);
      },
    };
  }

  /** The exposition text, version 0.0.4. */
  render(modelName: string, stats: EngineStats): string {
    const labels = `model_name="${escapeLabel(modelName)}",engine="0"`;
    const lines: string[] = [];
    for (const series of engineSeries) {
      const name = `vllm:${series.name}`;
      lines.push(
        `# HELP ${name} ${series.help}`,
        `# TYPE ${name} ${series.kind}`,
        `${name}{${labels}} ${series.value(stats)}`,
      );
    }
    const success = 'vllm:request_success_total';
    lines.push(`# HELP ${success} Sequences that ended, by reason.`, `# TYPE ${success} counter`);
    for (const reason of finishReasons) {
      lines.push(`${success}{${labels},finished_reason="${reason}"} ${this.finished.get(reason) ?? 0}`);
    }
    for (const [shortName, histogram] of Object.entries(this.histograms)) {
      const name = `vllm:${shortName}`;
      lines.push(
        `# HELP ${name} ${shortName.replaceAll('_', ' ')}`,
        `# TYPE ${name} histogram`,
        ...histogram.lines(name, labels),
      );
    }
    return `${lines.join('\n')}\n`;
  }
}

function escapeLabel(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
