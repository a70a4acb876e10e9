/**
 * How long the parts of one request took: waiting, the prompt, the answer.
 *
 * Owns the clock readings between submission and the last token. Next: `generation.ts` (who tells), `from-engine.ts` (usage details).
 */
import type { GenerationObserver, GenerationPlan } from './generation.ts';

/** As the usage shows it. Units: milliseconds and tokens per second; null where nothing was measured. */
export interface Timings {
  readonly queue_ms: number | null;
  readonly time_to_first_token_ms: number | null;
  readonly total_ms: number;
  /** Prompt tokens that were computed, by the time from the first step to the first token. */
  readonly prefill_tokens_per_second: number | null;
  /** Tokens after the first one of each choice, over all choices. */
  readonly decode_tokens_per_second: number | null;
}

/** Watches one request from its construction on. */
export class RequestTimer implements GenerationObserver {
  private readonly startMs: number;
  private readonly promptTokens: number;
  private readonly seen = new Map<number, number>();
  private readonly cached = new Map<number, number>();
  private queueMs: number | null = null;
  private firstTokenMs: number | null = null;
  private lastTokenMs = 0;

  /** `nowMs`: a clock that never goes back. */
  constructor(
    plan: GenerationPlan,
    private readonly nowMs: () => number,
  ) {
    this.startMs = nowMs();
    this.promptTokens = plan.choices.reduce((sum, { request }) => sum + request.promptTokenIds.length, 0);
  }

  /** Prompt tokens of the first choice of each prompt that were found in the cache. */
  cachedTokens(choicesPerPrompt: number): number {
    let sum = 0;
    for (const [index, tokens] of this.cached) if (index % choicesPerPrompt === 0) sum += tokens;
    return sum;
  }

  started(index: number, start: { readonly queueMs: number; readonly cachedTokens: number }): void {
    this.cached.set(index, start.cachedTokens);
    this.queueMs = Math.max(this.queueMs ?? 0, start.queueMs);
  }

  tokens(index: number, total: number): void {
    this.lastTokenMs = this.nowMs();
    this.firstTokenMs ??= this.lastTokenMs;
    this.seen.set(index, total);
  }

  choiceEnded(): void {}

  ended(): void {}

  /** As of now. */
  timings(): Timings {
    const { startMs, firstTokenMs, lastTokenMs, queueMs } = this;
    let laterTokens = 0;
    for (const total of this.seen.values()) laterTokens += total - 1;
    let cachedTokens = 0;
    for (const tokens of this.cached.values()) cachedTokens += tokens;
    const firstMs = firstTokenMs === null ? null : firstTokenMs - startMs;
    return {
      queue_ms: rounded(queueMs),
      time_to_first_token_ms: rounded(firstMs),
      total_ms: rounded(this.nowMs() - startMs) ?? 0,
      prefill_tokens_per_second:
        firstMs === null ? null : rate(this.promptTokens - cachedTokens, firstMs - (queueMs ?? 0)),
      decode_tokens_per_second: firstTokenMs === null ? null : rate(laterTokens, lastTokenMs - firstTokenMs),
    };
  }
}

/** Null where nothing was counted or no time went by. */
function rate(count: number, ms: number): number | null {
  return count <= 0 || ms <= 0 ? null : rounded((count * 1000) / ms);
}

/** Three decimals: more is noise. */
function rounded(value: number | null): number | null {
  return value === null ? null : Math.round(value * 1000) / 1000;
}
