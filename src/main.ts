/**
 * The server: configuration -> listening -> model folder -> engine process -> routes -> graceful stop.
 *
 * The only file with top-level effects. It decides nothing that a request could notice; it puts the parts together.
 * Next: `config/load-config.ts`, `routes/app.ts`, `engine/host/client.ts`, `serving/drain.ts`.
 */
import packageJson from '../package.json' with { type: 'json' };
import { ConfigError } from './config/config-error.ts';
import { loadConfig, processSurroundings } from './config/load-config.ts';
import type { LoggingConfig, ServerConfig } from './config/server-config.ts';
import { type Engine, startEngine } from './engine/index.ts';
import { EngineError } from './engine/types.ts';
import { HubError } from './engine/weights/hub/errors.ts';
import { resolveModelFolder } from './engine/weights/hub/resolve.ts';
import { createJobHandler } from './jobs/handler.ts';
import type { JobHandler } from './jobs/job.ts';
import { JobService } from './jobs/service/job-service.ts';
import { createJobLog, jobLogLevel } from './jobs/worker/job-log.ts';
import { argsWithoutTestInput, findTestInput, runLocalTest } from './jobs/worker/local-test.ts';
import { type QueueSettings, queueSettings } from './jobs/worker/queue-settings.ts';
import { type QueueWorker, startQueueWorker } from './jobs/worker/queue-worker.ts';
import { shuttingDown } from './routes/accepting.ts';
import { type App, createApp } from './routes/app.ts';
import { createBootApp } from './routes/boot-app.ts';
import type { AppDeps, AppSettings } from './routes/deps.ts';
import { probesOnly } from './routes/probes.ts';
import { ProgressLine } from './runtime/progress-line.ts';
import { listen, setIdleTimeout } from './runtime/serve.ts';
import { onStopSignal, type StopSignal } from './runtime/stop-signals.ts';
import { parseYaml } from './runtime/yaml.ts';
import { Drain } from './serving/drain.ts';
import { admissionLimits, InFlight } from './serving/in-flight.ts';
import { Log } from './serving/log.ts';
import { ServingMetrics } from './serving/metrics.ts';
import { loadServedModel } from './serving/served-model.ts';
import { StatsLine } from './serving/stats-line.ts';

/** Answers that are written but not yet read get this long once all else has ended. */
const CLOSE_GRACE_MS = 2000;
const BODY_SLACK_BYTES = 2 ** 20;
const STATS_INTERVAL_MS = 10_000;

function createLog({ format, level }: Pick<LoggingConfig, 'format' | 'level'>): Log {
  return new Log({
    format: format === 'json' ? 'json' : 'text',
    level,
    write: (line) => console.error(line),
    now: () => new Date(),
  });
}

/** The log until the configuration is known. */
const earlyLog = createLog({ format: 'text', level: 'info' });

/** What takes jobs besides HTTP: RunPod's queue, or one job from the command line. */
interface JobSources {
  readonly queue: QueueSettings | null;
  readonly testInput: string | null;
}

async function serve(config: ServerConfig, sources: JobSources, log: Log): Promise<void> {
  const nowMs = (): number => performance.now();
  // Redrawn lines are for people; a log of objects gets objects.
  const isJson = config.logging.format === 'json';
  const progress = new ProgressLine(isJson ? { write: (text) => log.info(text.trim()) } : process.stderr);
  const metrics = new ServingMetrics(nowMs);
  const settings = appSettings(config);
  let engine: Engine | null = null;
  let hasBeenReady = false;
  let jobs: JobService | null = null;
  let worker: QueueWorker | null = null;

  const inFlight = new InFlight({
    // The defaults follow from the engine's size, which is known once it is ready.
    limits: () => (engine === null || !hasBeenReady ? null : admissionLimits(config.admission, engine.info)),
    nowMs,
    random: Math.random,
  });
  const drain = new Drain({
    pause,
    stopListening: () => server.stop(false),
    isBusy: () => inFlight.numRequests > 0 || jobs?.isBusy === true || (engine?.state === 'ready' && isBusy(engine)),
    cancelAll: () => inFlight.cancelAll(shuttingDown()),
    say: (message) => log.info(message),
  });
  const lifecycle = { isDraining: () => drain.isDraining, isClosing: () => drain.isClosing };

  let app: App = createBootApp({ settings, metrics, ...lifecycle });
  const whole = { fetch: (request: Request) => app.fetch(request) };
  const server = listen(whole, {
    host: config.host,
    port: config.port,
    // Bodies a little over the limit get our own error object; far beyond it the socket is cut.
    maxRequestBodyBytes: config.maxRequestBodyBytes + BODY_SLACK_BYTES,
    tls: config.http.tls,
  });
  const { portHealth } = config.http;
  const probes = probesOnly(whole, config.http.healthCheckPath);
  const probeServer =
    portHealth === null ? null : listen(probes, { host: config.host, port: portHealth, maxRequestBodyBytes: 1024 });

  const stop = async (signal: StopSignal | null, exitCode = 0): Promise<void> => {
    await worker?.stop(config.shutdownTimeoutMs);
    // Nobody sends requests to a server that has never been ready; somebody at a terminal does not want to wait.
    const delayMs = hasBeenReady && signal === 'SIGTERM' ? config.admission.drainDelayMs : 0;
    await drain.run({ delayMs, timeoutMs: config.shutdownTimeoutMs });
    await Promise.race([engine?.close(), pause(CLOSE_GRACE_MS)]);
    await Promise.race([Promise.all([server.stop(true), probeServer?.stop(true)]), pause(CLOSE_GRACE_MS)]);
    process.exit(exitCode);
  };
  onStopSignal(process, { first: (signal) => void stop(signal), again: () => drain.hurry() }, nowMs);

  if (config.isBundledModel)
    log.info('No MODEL_NAME is set: serving the bundled demo model, a toy that shows the server works.');
  const folder = await resolveModelFolder(config.model, config.revision, config.hub, {
    onProgress: ({ file, bytesDone, bytesTotal }) => progress.show(`downloading ${file}`, bytesDone / bytesTotal),
    onNotice: (notice) => log.info(notice),
  });
  progress.end();
  const model = await loadServedModel(folder, config.chatTemplate, config.requests);
  const started = startEngine(
    { modelFolder: folder, config: config.engine, extra: {} },
    {
      onLog: (line) => {
        progress.end();
        log.info(`[engine] ${line}`);
      },
      onProgress: ({ text, fraction }) => progress.show(text, fraction),
    },
  );
  engine = started;
  const reportError = (error: unknown): void => log.error(error);
  const deps: AppDeps = {
    engine: started,
    model,
    settings,
    metrics,
    ...lifecycle,
    setIdleTimeout,
    log,
    reportError,
    requestLog: {
      requests: config.logging.enableLogRequests,
      outputs: config.logging.enableLogOutputs,
      deltas: config.logging.enableLogDeltas,
      maxTextLength: config.logging.maxLogLength,
    },
    logErrorStack: config.logging.logErrorStack,
    keepAliveMs: config.http.sseKeepAliveMs,
    slowReaderTimeoutMs: config.http.slowReaderTimeoutMs,
    requestTimeoutMs: config.http.requestTimeoutMs,
  };
  const handler = createHandler(deps, config);
  jobs = new JobService({ handler, maxConcurrency: config.jobs.maxConcurrency, reportError });
  app = createApp({ ...deps, inFlight }, jobs);
  if (sources.queue) {
    worker = startQueueWorker({
      settings: sources.queue,
      handler,
      maxConcurrency: config.jobs.maxConcurrency,
      version: packageJson.version,
      log: createJobLog({
        isJson: Boolean(process.env.RUNPOD_ENDPOINT_ID),
        level: jobLogLevel(process.env),
        write: (line) => console.log(line),
      }),
      engine: started,
      onEnd: (reason) => void stop(null, reason === 'failed' ? 1 : 0),
    });
  }
  const info = await started.ready().catch((error: unknown) => {
    // Whoever stops a server that is loading gets no complaint that it did not load.
    if (drain.isDraining) return null;
    throw error;
  });
  if (info === null) return;
  hasBeenReady = true;
  progress.end();
  if (config.logging.enableLogStats) logStats(started, log);
  log.info(
    `${info.architecture} on ${info.adapter} (${info.binding}), ${info.dtype} weights, ${info.numBlocks} KV blocks of ${info.blockSize}`,
  );
  const shown = config.host === '0.0.0.0' || config.host === '::' ? 'localhost' : config.host;
  const scheme = config.http.tls === null ? 'http' : 'https';
  log.info(
    `Ready: ${scheme}://${shown}:${server.port}/v1 serves ${config.servedModelNames[0]} (context ${info.maxModelLen})`,
  );
  if (sources.testInput !== null) {
    await stop(null, await runLocalTest(sources.testInput, handler, (line) => console.log(line)));
  }
}

/** Jobs call the routes in this process: their keys were checked where they came in, and none is refused half-way. */
function createHandler(deps: AppDeps, config: ServerConfig): JobHandler {
  const settings = { ...deps.settings, apiKeys: [] };
  const inner = createApp({ ...deps, settings, isDraining: () => false, isClosing: () => false });
  const { engine, model, metrics } = deps;
  return createJobHandler({
    engine,
    model,
    settings,
    metrics,
    jobs: config.jobs,
    fetchRoute: (request) => inner.handle(request),
  });
}

function appSettings(config: ServerConfig): AppSettings {
  return {
    servedModelNames: config.servedModelNames,
    modelRoot: config.isBundledModel ? 'models/demo' : config.model,
    responseRole: config.responseRole,
    maxLogprobs: config.maxLogprobs,
    version: packageJson.version,
    apiKeys: config.apiKeys,
    maxRequestBodyBytes: config.maxRequestBodyBytes,
    http: config.http,
    isHttps: config.http.tls !== null,
    cors: config.cors,
    ...config.requests,
    maxNSequences: config.requests.maxNumSequences,
    schedulingPolicy: config.engine.schedulingPolicy,
  };
}

function isBusy(engine: Engine): boolean {
  const { numRunning, numWaiting } = engine.stats();
  return numRunning + numWaiting > 0;
}

function logStats(engine: Engine, log: Log): void {
  const line = new StatsLine(log);
  const timer = setInterval(() => line.write(engine.stats(), STATS_INTERVAL_MS / 1000), STATS_INTERVAL_MS);
  timer.unref();
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Throws: ConfigError when the environment names half a queue. */
function readQueue(): QueueSettings | null {
  try {
    return queueSettings(process.env);
  } catch (error) {
    throw new ConfigError(error instanceof Error ? error.message : String(error));
  }
}

let log = earlyLog;
try {
  const testInput = await findTestInput(process.argv);
  const surroundings = processSurroundings(parseYaml);
  const loaded = loadConfig({ ...surroundings, args: argsWithoutTestInput(surroundings.args) });
  if (loaded.kind === 'help') console.log(loaded.text);
  else if (loaded.kind === 'version') console.log(packageJson.version);
  else {
    log = createLog(loaded.config.logging);
    for (const notice of loaded.notices) log.info(notice);
    await serve(loaded.config, { queue: readQueue(), testInput }, log);
  }
} catch (error) {
  const isExpected = error instanceof ConfigError || error instanceof HubError || error instanceof EngineError;
  if (isExpected) log.write('critical', error.message);
  else log.error(error);
  process.exit(error instanceof ConfigError ? 2 : 1);
}
