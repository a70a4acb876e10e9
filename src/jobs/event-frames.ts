/**
 * A byte stream of server-sent events -> its frames as text, read as fast as it comes.
 *
 * The stream is read ahead of its consumer: whoever takes the frames may be slow (a queue that answers with retries), and a stream that
 * waits for its reader too long is broken by the server. What may wait is bounded by the length of an answer.
 */

/** Each frame with its closing empty line; comments are left out. Throws: what the stream throws. */
export async function* eventFrames(body: ReadableStream<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const frames: string[] = [];
  let isDone = false;
  let failure: { readonly error: unknown } | null = null;
  let wake: () => void = () => {};

  const readAhead = async (): Promise<void> => {
    let rest = '';
    try {
      for (;;) {
        const { done, value } = await reader.read();
        rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
        const pieces = rest.split('\n\n');
        rest = pieces.pop() ?? '';
        for (const piece of pieces) if (piece !== '' && !piece.startsWith(':')) frames.push(`${piece}\n\n`);
        if (done) break;
        wake();
      }
    } catch (error) {
      failure = { error };
    }
    isDone = true;
    wake();
  };

  void readAhead();
  try {
    for (;;) {
      const frame = frames.shift();
      if (frame !== undefined) yield frame;
      else if (failure !== null) throw (failure as { readonly error: unknown }).error;
      else if (isDone) return;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  } finally {
    // A consumer that leaves early ends the generation behind the stream.
    if (!isDone) await reader.cancel().catch(() => {});
  }
}
