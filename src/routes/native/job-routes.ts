/**
 * Jobs over HTTP without RunPod: submit, follow, fetch, cancel, retry, purge, count.
 *
 * Owns the limits and defaults of the calls; jobs themselves live behind {@link NativeJobs}. The calls that only read take GET and POST.
 * Source: RunPod's serverless API. Next: `register.ts`, which gives the calls their paths.
 */
import { ApiError } from '../../serving/errors.ts';
import { unreadiness } from '../accepting.ts';
import type { AppDeps } from '../deps.ts';
import { readBody } from '../read-body.ts';
import { jsonResponse } from '../responses.ts';
import { jobBodyWire, jobOptions } from './job-body.ts';
import type { NativeJobs } from './native-jobs.ts';

const mib = 2 ** 20;

/** Both ways to submit. Units: bytes and milliseconds. */
const asyncJobs = { idPrefix: '', maxBodyBytes: 10 * mib, retentionMs: 30 * 60_000 };
const syncJobs = { idPrefix: 'sync-', maxBodyBytes: 20 * mib, retentionMs: 60_000 };

const syncWaitMs = { min: 1000, max: 300_000, default: 90_000 };
/** A call for more of a stream is answered this late at the latest: clients give up after ten seconds. */
const streamWaitMs = 5000;

export interface JobRoutes {
  run(request: Request): Promise<Response>;
  runSync(request: Request): Promise<Response>;
  status(request: Request, id: string): Promise<Response>;
  /** Like status, but waits for the end. */
  statusSync(request: Request, id: string): Promise<Response>;
  stream(request: Request, id: string): Promise<Response>;
  cancel(id: string): Response;
  retry(id: string): Response;
  purgeQueue(): Response;
  counters(): Response;
}

/** All of them throw ApiError. */
export function jobRoutes(deps: AppDeps, jobs: NativeJobs): JobRoutes {
  const submit = async (request: Request, kind: typeof asyncJobs): Promise<string> => {
    const maxBytes = Math.min(kind.maxBodyBytes, deps.settings.maxRequestBodyBytes);
    const body = await readBody(request, jobBodyWire, maxBytes);
    assertTaking(deps);
    return jobs.submit(JSON.stringify(body.input), kind.idPrefix, jobOptions(body, kind.retentionMs));
  };
  return {
    async run(request) {
      return jsonResponse({ id: await submit(request, asyncJobs), status: 'IN_QUEUE' });
    },
    async runSync(request) {
      const waitMs = waitOf(request);
      const id = await submit(request, syncJobs);
      deps.setIdleTimeout?.(request, 0);
      return textResponse(await jobs.status(id, waitMs));
    },
    async status(request, id) {
      const text = await jobs.status(id, 0);
      const ttlMs = numberOf(request, 'ttl');
      if (ttlMs !== null) jobs.shortenRetention(id, ttlMs);
      return textResponse(text);
    },
    async statusSync(request, id) {
      deps.setIdleTimeout?.(request, 0);
      return textResponse(await jobs.status(id, waitOf(request)));
    },
    stream: async (_request, id) => textResponse(await jobs.stream(id, streamWaitMs)),
    cancel: (id) => textResponse(jobs.cancel(id)),
    retry(id) {
      assertTaking(deps);
      return textResponse(jobs.retry(id));
    },
    purgeQueue: () => jsonResponse({ removed: jobs.purgeQueue(), status: 'completed' }),
    counters() {
      const counters = jobs.counters();
      const isReady = unreadiness(deps) === null;
      const isRunning = isReady && counters.inProgress > 0;
      return jsonResponse({
        jobs: counters,
        // This server is the endpoint's one worker.
        workers: { idle: Number(isReady && !isRunning), running: Number(isRunning) },
      });
    },
  };
}

/** A job may be queued while the model is being loaded, but not while the server goes down. Throws: ApiError 503. */
function assertTaking(deps: AppDeps): void {
  const problem = unreadiness(deps);
  if (problem === null || (!deps.isDraining() && ['loading', 'restarting'].includes(deps.engine.state))) return;
  throw problem;
}

function textResponse(text: string | null): Response {
  if (text === null) throw new ApiError(404, 'There is no such job. Results are kept for a limited time.');
  return new Response(text, { headers: { 'content-type': 'application/json' } });
}

function waitOf(request: Request): number {
  const { min, max, default: fallback } = syncWaitMs;
  return Math.min(max, Math.max(min, numberOf(request, 'wait') ?? fallback));
}

/** A number from the query, or null. */
function numberOf(request: Request, name: string): number | null {
  const text = new URL(request.url).searchParams.get(name);
  return text !== null && /^\d{1,12}$/.test(text) ? Number(text) : null;
}
