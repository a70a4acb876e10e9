/**
 * The regular line of the log while there is work: throughput, queue, cache.
 */
import type { EngineStats } from '../engine/types.ts';
import type { Log } from './log.ts';

/** Compares the engine's figures with those of the last call. */
export class StatsLine {
  private before: EngineStats | null = null;

  constructor(private readonly log: Log) {}

  /** Writes a line when something ran since the last call `seconds` ago. */
  write(stats: EngineStats, seconds: number): void {
    const { before } = this;
    this.before = stats;
    if (before === null || seconds <= 0) return;
    const isBusy = stats.numRunning + stats.numWaiting > 0 || stats.numSteps !== before.numSteps;
    if (!isBusy) return;
    // Counters begin again when the engine does.
    const rate = (now: number, then: number): number => Math.max(0, now - then) / seconds;
    const prompt = rate(stats.promptTokens, before.promptTokens);
    const generation = rate(stats.generationTokens, before.generationTokens);
    const used = stats.numBlocks === 0 ? 0 : 1 - stats.numFreeBlocks / stats.numBlocks;
    const hits = stats.prefixQueryTokens === 0 ? 0 : stats.prefixHitTokens / stats.prefixQueryTokens;
    this.log.info(
      'stats',
      {
        prompt_tokens_per_second: round(prompt),
        generation_tokens_per_second: round(generation),
        running: stats.numRunning,
        waiting: stats.numWaiting,
        kv_cache_usage: round(used * 100) / 100,
        prefix_cache_hit_rate: round(hits * 100) / 100,
        preemptions: stats.numPreemptions,
      },
      `Throughput: ${round(prompt)} prompt tokens/s, ${round(generation)} generated tokens/s; ` +
        `${stats.numRunning} running, ${stats.numWaiting} waiting, KV cache ${Math.round(used * 100)} %, ` +
        `prefix cache hits ${Math.round(hits * 100)} %`,
    );
  }
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
