/**
 * The paths of the job routes, bare and under `/v2/{endpoint}`, and the OpenAI routes under `/v2/{endpoint}/openai`.
 *
 * So that RunPod's clients work with only host, key and model name changed. The endpoint's id may be anything: there is one. The bare
 * `/health` stays the server's own. Next: `job-routes.ts`.
 */
import { Elysia } from 'elysia';
import type { AppDeps } from '../deps.ts';
import { withPath } from '../rewrites.ts';
import { jobRoutes } from './job-routes.ts';
import type { NativeJobs } from './native-jobs.ts';

const rawBody = { parse: 'none' } as const;

/** Routes of jobs, as a part of the app. Without `jobs` there are none. */
export function nativeRoutes(deps: AppDeps, jobs: NativeJobs | null) {
  const app = new Elysia();
  if (jobs === null) return app;
  const routes = jobRoutes(deps, jobs);
  for (const prefix of ['', '/v2/:endpoint'] as const) {
    app
      .post(`${prefix}/run`, ({ request }) => routes.run(request), rawBody)
      .post(`${prefix}/runsync`, ({ request }) => routes.runSync(request), rawBody)
      .post(`${prefix}/cancel/:id`, ({ params }) => routes.cancel(params.id), rawBody)
      .post(`${prefix}/retry/:id`, ({ params }) => routes.retry(params.id), rawBody)
      .post(`${prefix}/purge-queue`, () => routes.purgeQueue(), rawBody);
    for (const method of ['GET', 'POST'] as const) {
      app
        .route(method, `${prefix}/status/:id`, ({ request, params }) => routes.status(request, params.id), rawBody)
        .route(
          method,
          `${prefix}/status-sync/:id`,
          ({ request, params }) => routes.statusSync(request, params.id),
          rawBody,
        )
        .route(method, `${prefix}/stream/:id`, ({ request, params }) => routes.stream(request, params.id), rawBody);
    }
  }
  return app.get('/v2/:endpoint/health', () => routes.counters());
}

interface Routes {
  fetch(request: Request): Response | Promise<Response>;
  handle(request: Request): Promise<Response>;
}

/** `app`, that answers under `/v2/{endpoint}/openai` as well. */
export function underOpenaiPrefix(app: Routes): Routes {
  return {
    fetch: (request) => app.fetch(withoutOpenaiPrefix(request)),
    handle: (request) => app.handle(withoutOpenaiPrefix(request)),
  };
}

function withoutOpenaiPrefix(request: Request): Request {
  // Most requests are told by this alone.
  if (!request.url.includes('/openai/')) return request;
  const path = /^\/v2\/[^/]+\/openai(\/.*)$/.exec(new URL(request.url).pathname)?.[1];
  return path === undefined ? request : withPath(request, path);
}
