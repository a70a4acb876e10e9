/**
 * A client that measures one streamed completion: when text arrived, and how many tokens there were.
 *
 * Reads server-sent events itself, so that no library's work is part of the figures. Next: `serve.ts`.
 */

export interface StreamTimes {
  /** From sending the request to the first chunk with a token. Units: milliseconds, as all times here. */
  readonly firstTokenMs: number;
  /** Time per token after the first. A chunk may bring several: each took its part of the time. */
  readonly interTokenMs: readonly number[];
  readonly totalMs: number;
  readonly completionTokens: number;
}

export interface CompletionTarget {
  readonly url: string;
  readonly apiKey: string;
}

interface Chunk {
  readonly choices?: readonly unknown[];
  readonly usage?: { readonly completion_tokens: number } | null;
  readonly error?: { readonly message: string };
}

/** Runs one stream to its end. Throws: Error when the server refuses it or breaks it off. */
export async function measureStream(target: CompletionTarget, body: object): Promise<StreamTimes> {
  const startMs = performance.now();
  const response = await fetch(`${target.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${target.apiKey}` },
    // With the count so far in every chunk, a chunk tells how many tokens it brought.
    body: JSON.stringify({
      ...body,
      stream: true,
      stream_options: { include_usage: true, continuous_usage_stats: true },
    }),
  });
  if (!response.ok) throw new Error(`the server answered ${response.status}: ${await response.text()}`);
  let firstTokenMs: number | null = null;
  let lastMs = startMs;
  let numTokens = 0;
  let isDone = false;
  const interTokenMs: number[] = [];
  for await (const payload of payloads(response)) {
    if (payload === '[DONE]') {
      isDone = true;
      continue;
    }
    const chunk = JSON.parse(payload) as Chunk;
    if (chunk.error) throw new Error(`the stream ended with: ${chunk.error.message}`);
    const total = chunk.usage?.completion_tokens ?? 0;
    if (total <= numTokens) continue;
    const nowMs = performance.now();
    const numNew = firstTokenMs === null ? total - 1 : total - numTokens;
    firstTokenMs ??= nowMs - startMs;
    for (let i = 0; i < numNew && numTokens > 0; i++) interTokenMs.push((nowMs - lastMs) / numNew);
    lastMs = nowMs;
    numTokens = total;
  }
  if (!isDone || firstTokenMs === null) throw new Error('the stream broke off');
  return { firstTokenMs, interTokenMs, totalMs: performance.now() - startMs, completionTokens: numTokens };
}

async function* payloads(response: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const bytes of response.body ?? []) {
    const frames = (rest + decoder.decode(bytes, { stream: true })).split('\n\n');
    rest = frames.pop() ?? '';
    for (const frame of frames) if (frame.startsWith('data: ')) yield frame.slice('data: '.length);
  }
}
