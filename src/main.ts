/**
 * The server: configuration -> model folder -> engine process -> routes -> listening -> graceful stop.
 *
 * The only file with top-level effects. It decides nothing that a request could notice; it puts the parts together.
 * Next: `config/load-config.ts`, `routes/app.ts`, `engine/host/client.ts`.
 */
import packageJson from '../package.json' with { type: 'json' };
import { ConfigError } from './config/config-error.ts';
import { loadConfig, processSurroundings } from './config/load-config.ts';
import type { ServerConfig } from './config/server-config.ts';
import { type Engine, startEngine } from './engine/index.ts';
import { EngineError } from './engine/types.ts';
import { HubError } from './engine/weights/hub/errors.ts';
import { resolveModelFolder } from './engine/weights/hub/resolve.ts';
import { createApp } from './routes/app.ts';
import { ProgressLine } from './runtime/progress-line.ts';
import { type Listening, listen, setIdleTimeout } from './runtime/serve.ts';
import { parseYaml } from './runtime/yaml.ts';
import { ServingMetrics } from './serving/metrics.ts';
import { loadServedModel } from './serving/served-model.ts';

/** How often a drain looks whether the last request has ended. */
const DRAIN_POLL_MS = 50;
/** Answers that are written but not yet read get this long once all requests have ended. */
const CLOSE_GRACE_MS = 2000;
const BODY_SLACK_BYTES = 2 ** 20;

function log(message: string): void {
  console.error(message);
}

async function serve(config: ServerConfig): Promise<void> {
  const progress = new ProgressLine(process.stderr);
  if (config.isBundledModel)
    log('No MODEL_NAME is set: serving the bundled demo model, a toy that shows the server works.');
  const folder = await resolveModelFolder(config.model, config.revision, config.hub, {
    onProgress: ({ file, bytesDone, bytesTotal }) => progress.show(`downloading ${file}`, bytesDone / bytesTotal),
    onNotice: log,
  });
  progress.end();
  const model = await loadServedModel(folder, config.chatTemplate);
  const engine = startEngine(
    { modelFolder: folder, config: config.engine, extra: {} },
    {
      onLog: (line) => {
        progress.end();
        log(`[engine] ${line}`);
      },
      onProgress: ({ text, fraction }) => progress.show(text, fraction),
    },
  );
  let isDraining = false;
  const app = createApp({
    engine,
    model,
    settings: {
      servedModelNames: config.servedModelNames,
      modelRoot: config.isBundledModel ? 'models/demo' : config.model,
      responseRole: config.responseRole,
      maxLogprobs: config.maxLogprobs,
      version: packageJson.version,
      apiKeys: config.apiKeys,
      maxRequestBodyBytes: config.maxRequestBodyBytes,
    },
    metrics: new ServingMetrics(() => performance.now()),
    isDraining: () => isDraining,
    setIdleTimeout,
    reportError: (error) => log(error instanceof Error ? (error.stack ?? error.message) : String(error)),
  });
  const server = listen(app, {
    host: config.host,
    port: config.port,
    // Bodies a little over the limit get our own error object; far beyond it the socket is cut.
    maxRequestBodyBytes: config.maxRequestBodyBytes + BODY_SLACK_BYTES,
  });
  const stop = () => {
    if (isDraining) return;
    isDraining = true;
    void drain(engine, server, config.shutdownTimeoutMs).then(async () => {
      await model.encoder.close();
      process.exit(0);
    });
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  const info = await engine.ready();
  progress.end();
  log(
    `${info.architecture} on ${info.adapter} (${info.binding}), ${info.dtype} weights, ${info.numBlocks} KV blocks of ${info.blockSize}`,
  );
  const shown = config.host === '0.0.0.0' || config.host === '::' ? 'localhost' : config.host;
  log(`Ready: http://${shown}:${server.port}/v1 serves ${config.servedModelNames[0]} (context ${info.maxModelLen})`);
}

/** Lets what runs finish, up to the limit; whatever is left is aborted with the engine. */
async function drain(engine: Engine, server: Listening, timeoutMs: number): Promise<void> {
  log('Stopping: running requests finish, new ones are refused.');
  const deadline = performance.now() + timeoutMs;
  const busy = () => engine.state === 'ready' && engine.stats().numRunning + engine.stats().numWaiting > 0;
  while (busy() && performance.now() < deadline) await pause(DRAIN_POLL_MS);
  if (busy()) log('Time is up: what still runs is aborted.');
  await Promise.race([server.stop(false), pause(busy() ? 0 : CLOSE_GRACE_MS)]);
  await engine.close();
  await Promise.race([server.stop(true), pause(CLOSE_GRACE_MS)]);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

try {
  const loaded = loadConfig(processSurroundings(parseYaml));
  if (loaded.kind === 'help') console.log(loaded.text);
  else if (loaded.kind === 'version') console.log(packageJson.version);
  else {
    for (const notice of loaded.notices) log(notice);
    await serve(loaded.config);
  }
} catch (error) {
  const isExpected = error instanceof ConfigError || error instanceof HubError || error instanceof EngineError;
  log(isExpected ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exit(error instanceof ConfigError ? 2 : 1);
}
