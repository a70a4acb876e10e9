/**
 * Streams read frame by frame, as a client without a library sees them: also what comes after an error.
 */

export interface OpenStream {
  readonly status: number;
  /** Resolves once text has arrived. */
  readonly firstToken: Promise<void>;
  /** Payloads of all `data:` frames, in order; resolves when the stream has ended. */
  readonly frames: Promise<readonly string[]>;
}

/** Starts a streamed completion. Throws: when there is no answer at all. */
export async function openStream(url: string, body: object, signal?: AbortSignal): Promise<OpenStream> {
  const response = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...body, stream: true }),
    ...(signal && { signal }),
  });
  const first = Promise.withResolvers<void>();
  return { status: response.status, firstToken: first.promise, frames: readFrames(response, first.resolve) };
}

/** The text of a stream's frames, without errors and the end mark. */
export function textOf(frames: readonly string[]): string {
  return frames
    .filter((frame) => frame !== '[DONE]')
    .map((frame) => (JSON.parse(frame) as { choices?: { text?: string }[] }).choices?.[0]?.text ?? '')
    .join('');
}

async function readFrames(response: Response, onFirst: () => void): Promise<string[]> {
  const frames: string[] = [];
  let rest = '';
  const decoder = new TextDecoder();
  for await (const bytes of response.body ?? []) {
    const parts = (rest + decoder.decode(bytes, { stream: true })).split('\n\n');
    rest = parts.pop() ?? '';
    for (const part of parts) if (part.startsWith('data: ')) frames.push(part.slice('data: '.length));
    if (frames.length > 0) onFirst();
  }
  onFirst();
  return frames;
}
