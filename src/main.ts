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
import { shuttingDown } from './routes/accepting.ts';
import { type App, createApp } from './routes/app.ts';
import { createBootApp } from './routes/boot-app.ts';
import type { AppSettings } from './routes/deps.ts';
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

async function serve(config: ServerConfig, log: Log): Promise<void> {
  const nowMs = (): number => performance.now();
  // Redrawn lines are for people; a log of objects gets objects.
  const isJson = config.logging.format === 'json';
  const progress = new ProgressLine(isJson ? { write: (text) => log.info(text.trim()) } : process.stderr);
  const metrics = new ServingMetrics(nowMs);
  const settings = appSettings(config);
  let engine: Engine | null = null;
  let hasBeenReady = false;

  const inFlight = new InFlight({
    limits: () => (engine === null ? null : admissionLimits(config.admission, engine.info)),
    nowMs,
    random: Math.random,
  });
  const drain = new Drain({
    pause,
    stopListening: () => server.stop(false),
    isBusy: () => inFlight.numRequests > 0 || (engine?.state === 'ready' && isBusy(engine)),
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

  const stop = async (signal: StopSignal): Promise<void> => {
    // Nobody sends requests to a server that has never been ready; somebody at a terminal does not want to wait.
    const delayMs = hasBeenReady && signal === 'SIGTERM' ? config.admission.drainDelayMs : 0;
    await drain.run({ delayMs, timeoutMs: config.shutdownTimeoutMs });
    await Promise.race([engine?.close(), pause(CLOSE_GRACE_MS)]);
    await Promise.race([Promise.all([server.stop(true), probeServer?.stop(true)]), pause(CLOSE_GRACE_MS)]);
    process.exit(0);
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
  app = createApp({
    engine: started,
    model,
    settings,
    metrics,
    ...lifecycle,
    inFlight,
    setIdleTimeout,
    log,
    reportError: (error) => log.error(error),
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
  });
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

let log = earlyLog;
try {
  const loaded = loadConfig(processSurroundings(parseYaml));
  if (loaded.kind === 'help') console.log(loaded.text);
  else if (loaded.kind === 'version') console.log(packageJson.version);
  else {
    log = createLog(loaded.config.logging);
    for (const notice of loaded.notices) log.info(notice);
    await serve(loaded.config, log);
  }
} catch (error) {
  const isExpected = error instanceof ConfigError || error instanceof HubError || error instanceof EngineError;
  if (isExpected) log.write('critical', error.message);
  else log.error(error);
  process.exit(error instanceof ConfigError ? 2 : 1);
}
