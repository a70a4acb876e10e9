/**
 * The job handler and the job routes over a fake engine, with a clock that tests turn by hand.
 */
import { createJobHandler } from '../../../src/jobs/handler.ts';
import type { JobHandler } from '../../../src/jobs/job.ts';
import { defaultJobSettings, type JobSettings } from '../../../src/jobs/job-settings.ts';
import type { Clock } from '../../../src/jobs/service/clock.ts';
import { JobService, type JobServiceOptions } from '../../../src/jobs/service/job-service.ts';
import { type App, createApp } from '../../../src/routes/app.ts';
import type { AppDeps, AppSettings } from '../../../src/routes/deps.ts';
import type { FakeEngine, Script } from '../../helpers/fake-engine.ts';
import { testApp } from '../../helpers/test-app.ts';

/** Time stands still until {@link HandClock.advance}. */
export class HandClock implements Clock {
  private now = 1_000_000;
  private watchers: (() => void)[] = [];
  private timers: { readonly atMs: number; readonly run: () => void }[] = [];

  nowMs(): number {
    return this.now;
  }

  /** Resolves when the next timer has been set. */
  timerSet(): Promise<void> {
    return new Promise((resolve) => this.watchers.push(resolve));
  }

  after(ms: number, run: () => void): () => void {
    for (const resolve of this.watchers.splice(0)) resolve();
    const timer = { atMs: this.now + ms, run };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((other) => other !== timer);
    };
  }

  /** Rings what is due, in order. */
  advance(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const next = this.timers.filter((timer) => timer.atMs <= end).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.timers = this.timers.filter((other) => other !== next);
      this.now = next.atMs;
      next.run();
    }
    this.now = end;
  }
}

export interface JobSetup {
  readonly engine: FakeEngine;
  readonly handler: JobHandler;
  readonly service: JobService;
  readonly clock: HandClock;
  readonly app: App;
  readonly reported: unknown[];
  /** All outputs of one job. */
  outputs(input: unknown): Promise<unknown[]>;
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>;
  /** The JSON of an answer. */
  json(method: string, path: string, body?: unknown): Promise<Record<string, unknown>>;
}

export interface JobSetupOptions {
  readonly jobs?: Partial<JobSettings>;
  readonly service?: Partial<JobServiceOptions>;
  readonly deps?: Partial<Omit<AppDeps, 'settings'>>;
  readonly settings?: Partial<AppSettings>;
}

export function jobSetup(script: Script, options: JobSetupOptions = {}): JobSetup {
  const { engine, deps, reported } = testApp(script, { ...options.deps, settings: options.settings ?? {} });
  const jobs = { ...defaultJobSettings, ...options.jobs };
  const inner = createApp({ ...deps, settings: { ...deps.settings, apiKeys: [] }, isDraining: () => false });
  const handler = createJobHandler({
    engine,
    model: deps.model,
    settings: deps.settings,
    metrics: deps.metrics,
    jobs,
    fetchRoute: (request) => inner.handle(request),
  });
  const clock = new HandClock();
  const service = new JobService({
    handler,
    maxConcurrency: jobs.maxConcurrency,
    clock,
    reportError: (error) => reported.push(error),
    ...options.service,
  });
  const app = createApp(deps, service);
  const call: JobSetup['call'] = (method, path, body, headers = {}) =>
    app.handle(
      new Request(`http://localhost${path}`, {
        method,
        headers: { 'content-type': 'application/json', ...headers },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      }),
    );
  return {
    engine,
    handler,
    service,
    clock,
    app,
    reported,
    call,
    outputs: (input) => Array.fromAsync(handler({ id: 'job-1', input }, new AbortController().signal)),
    json: async (method, path, body) => (await (await call(method, path, body)).json()) as Record<string, unknown>,
  };
}
