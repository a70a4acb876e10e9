/**
 * The one function that runs jobs, whoever takes them: input -> outputs.
 *
 * Waits for the engine while a model is being loaded or loaded again. Next: `input.ts` (forms of input), `native.ts` and `route-call.ts`
 * (the two ways to answer); `service/job-service.ts` and `worker/queue-worker.ts` take jobs.
 */
import type { Engine } from '../engine/types.ts';
import { badRequest } from '../serving/errors.ts';
import type { ServingMetrics } from '../serving/metrics.ts';
import type { ServedModel, ServingSettings } from '../serving/served-model.ts';
import { parseJobInput } from './input.ts';
import type { JobHandler } from './job.ts';
import type { JobSettings } from './job-settings.ts';
import { runNative } from './native.ts';
import { type RouteFetch, runRoute } from './route-call.ts';

export interface JobHandlerDeps {
  readonly engine: Engine;
  readonly model: ServedModel;
  readonly settings: ServingSettings;
  readonly metrics: ServingMetrics;
  readonly jobs: JobSettings;
  /** The server's routes, without keys and without the job routes themselves. */
  readonly fetchRoute: RouteFetch;
}

export function createJobHandler(deps: JobHandlerDeps): JobHandler {
  return async function* handleJob(job, signal) {
    const call = parseJobInput(job.input, deps.jobs);
    await whenReady(deps.engine, signal);
    if (signal.aborted) return;
    if (call.kind === 'route') {
      if (!isOwnPath(call.route)) throw badRequest('The route must be a path on this server.', 'route');
      yield* runRoute(call, job, deps.fetchRoute, deps.jobs, signal);
    } else {
      const { engine, model, settings, metrics } = deps;
      yield* runNative(call, { engine, metrics, context: { model, settings, info: engine.info } }, signal);
    }
  };
}

/** Throws: EngineError when the engine has failed for good. Returns early when the signal fires. */
async function whenReady(engine: Engine, signal: AbortSignal): Promise<void> {
  if (engine.state === 'ready' || signal.aborted) return;
  await new Promise<void>((resolve, reject) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
    engine.ready().then(() => resolve(), reject);
  });
}

/** `//host` and `/\host` would leave it. */
function isOwnPath(route: string): boolean {
  return /^\/(?![/\\])/.test(route);
}
