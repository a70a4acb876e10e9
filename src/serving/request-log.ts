/**
 * One line in the log for each generation: who asked, how many tokens, how long, how it ended. Prompts and answers only when asked for.
 *
 * Next: `generation.ts`, which tells what happens; `log.ts`, which writes.
 */
import type { GenerationObserver } from './generation.ts';
import type { Log, LogFields } from './log.ts';

export interface RequestLogOptions {
  /** Whether there is a line at all. */
  readonly requests: boolean;
  /** The generated text too. */
  readonly outputs: boolean;
  /** With `outputs`: a line for each piece of a stream as well. */
  readonly deltas: boolean;
  /** Most characters of a prompt or an answer; null = no limit. A limit above 0 asks for prompts, and so does the level `debug`. */
  readonly maxTextLength: number | null;
}

/** What is known of a request when its generation starts. */
export interface LoggedRequest {
  readonly id: string;
  /** The path that was called. */
  readonly endpoint: string;
  readonly model: string;
  readonly isStreamed: boolean;
  readonly promptTokens: number;
  /** The beginning of the prompt, at least so many characters of it where it is that long. */
  promptText(maxLength: number | null): string;
}

/** Watches one generation; null when nothing is to be told of it. `nowMs`: a clock that never goes back. */
export function watchForLog(
  log: Log,
  options: RequestLogOptions,
  request: LoggedRequest,
  nowMs: () => number,
): GenerationObserver | null {
  if (!options.requests || !log.isEnabled('info')) return null;
  const startMs = nowMs();
  let firstTokenMs: number | null = null;
  let outputTokens = 0;
  const reasons: string[] = [];
  const texts = new Map<number, string>();
  const about = { request_id: request.id, endpoint: request.endpoint, model: request.model };
  const cut = (text: string): string => text.slice(0, options.maxTextLength ?? undefined);
  const wantsPrompt = (options.maxTextLength ?? 0) > 0 || (options.maxTextLength === null && log.isEnabled('debug'));

  return {
    tokens() {
      firstTokenMs ??= nowMs();
    },
    text(index, text) {
      if (!options.outputs) return;
      const before = texts.get(index) ?? '';
      if (options.maxTextLength === null || before.length < options.maxTextLength) texts.set(index, before + text);
      if (!options.deltas || !request.isStreamed || text === '') return;
      const delta = cut(text);
      log.info('delta', { ...about, index, text: delta }, `${request.id} [${index}] ${JSON.stringify(delta)}`);
    },
    choiceEnded(reason, numTokens) {
      outputTokens += numTokens;
      reasons.push(reason);
    },
    ended() {
      const totalMs = nowMs() - startMs;
      const firstMs = firstTokenMs === null ? null : firstTokenMs - startMs;
      const outputs = [...texts.entries()].sort(([left], [right]) => left - right).map(([, text]) => cut(text));
      const fields: LogFields = {
        ...about,
        stream: request.isStreamed,
        prompt_tokens: request.promptTokens,
        completion_tokens: outputTokens,
        finish_reasons: reasons,
        time_to_first_token_ms: firstMs === null ? null : Math.round(firstMs),
        total_ms: Math.round(totalMs),
        ...(wantsPrompt ? { prompt: cut(request.promptText(options.maxTextLength)) } : {}),
        ...(options.outputs ? { outputs } : {}),
      };
      log.info('request', fields, lineFor(fields, firstMs, totalMs));
    },
  };
}

function lineFor(fields: LogFields, firstMs: number | null, totalMs: number): string {
  const reasons = new Set(fields.finish_reasons as readonly string[]);
  const parts = [
    `${fields.prompt_tokens} tokens in`,
    `${fields.completion_tokens} out`,
    reasons.size === 0 ? 'refused' : [...reasons].join(' and '),
    ...(firstMs === null ? [] : [`first token after ${seconds(firstMs)}`]),
    `done after ${seconds(totalMs)}`,
  ];
  const prompt = fields.prompt === undefined ? '' : `, prompt ${JSON.stringify(fields.prompt)}`;
  const outputs = fields.outputs === undefined ? '' : `, answers ${JSON.stringify(fields.outputs)}`;
  return `${fields.request_id} ${fields.endpoint} ${fields.model}: ${parts.join(', ')}${prompt}${outputs}`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}
