/**
 * Jobs that call one of the server's own routes, in process: the answer is the output.
 *
 * A streamed answer is cut into outputs of growing size, as text or as parsed chunks. Knows no route by name except the two whose
 * streams are batched. Next: `event-frames.ts`.
 */
import { BatchSize } from './batch-size.ts';
import { eventFrames } from './event-frames.ts';
import type { RouteCall } from './input.ts';
import { type Job, JobFailure } from './job.ts';
import type { JobSettings } from './job-settings.ts';

/** The server's routes without a socket and without keys: whoever may submit jobs may use them. */
export type RouteFetch = (request: Request) => Response | Promise<Response>;

const doneData = '[DONE]';

/** Throws: JobFailure with the body of a route's error. Ends early when the signal fires. */
export async function* runRoute(
  call: RouteCall,
  job: Job,
  fetchRoute: RouteFetch,
  settings: JobSettings,
  signal: AbortSignal,
): AsyncGenerator<unknown, void, undefined> {
  const response = await fetchRoute(requestOf(call, job, signal));
  if (signal.aborted) {
    await response.body?.cancel();
    return;
  }
  const type = response.headers.get('content-type') ?? '';
  if (response.ok && response.body !== null && type.startsWith('text/event-stream')) {
    yield* streamed(response.body, call, settings);
    return;
  }
  const text = await response.text();
  if (!response.ok) throw new JobFailure(text === '' ? statusText(response.status) : text);
  yield type.includes('json') ? (JSON.parse(text) as unknown) : text;
}

function requestOf(call: RouteCall, job: Job, signal: AbortSignal): Request {
  const headers: Record<string, string> = {};
  // Answers then carry the job's id, so that logs on both sides can be joined.
  if (call.body?.request_id === undefined) headers['x-request-id'] = job.id;
  if (call.body !== null) headers['content-type'] = 'application/json';
  return new Request(new URL(call.route, 'http://jobs'), {
    method: call.method,
    headers,
    signal,
    ...(call.body === null ? {} : { body: JSON.stringify(call.body) }),
  });
}

async function* streamed(
  body: ReadableStream<Uint8Array>,
  call: RouteCall,
  settings: JobSettings,
): AsyncGenerator<unknown, void, undefined> {
  // Streams of named events are read one by one by their clients.
  const isBatched = /^\/v1\/(chat\/)?completions$/.test(call.route);
  const size = new BatchSize(isBatched ? settings.batchGrowth : { max: 1, min: 1, growthFactor: 1 });
  let waiting: string[] = [];
  let failure: string | null = null;
  const output = (): unknown => {
    const frames = waiting;
    waiting = [];
    return settings.rawOpenaiOutput || !isBatched ? frames.join('') : frames.map(parseFrame);
  };
  for await (const frame of eventFrames(body)) {
    const isDone = dataOf(frame) === doneData;
    if (!isDone) failure ??= failureOf(frame);
    if (isDone && !settings.rawOpenaiOutput) continue;
    waiting.push(frame);
    // The end mark is no chunk: it goes out with the last ones.
    if (!isDone && size.add(1)) yield output();
  }
  if (waiting.length > 0) yield output();
  // The chunk with the error is out; the job's state must say it too.
  if (failure !== null) throw new JobFailure(failure);
}

function dataOf(frame: string): string {
  return /^data: ?(.*)$/m.exec(frame)?.[1] ?? '';
}

function parseFrame(frame: string): unknown {
  return JSON.parse(dataOf(frame));
}

/** The data of a frame that reports an error, or null. */
function failureOf(frame: string): string | null {
  const data = dataOf(frame);
  if (!data.startsWith('{"error"')) return null;
  const parsed = JSON.parse(data) as { error?: unknown };
  return typeof parsed.error === 'object' && parsed.error !== null ? data : null;
}

function statusText(status: number): string {
  return JSON.stringify({
    error: {
      message: `The route answered with status ${status}.`,
      type: 'InternalServerError',
      param: null,
      code: status,
    },
  });
}
