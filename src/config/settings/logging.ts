/**
 * Settings of what the server logs and measures. Rows only; `../settings.ts` puts all sections together.
 */
import { boolean, choice, integer, list, notation, text } from '../kinds.ts';
import { acts, noEffect, plannedQuietly, section } from '../setting.ts';

export const logging = section('Logging', {
  logFormat: acts(
    choice(['auto', 'text', 'json']),
    'auto',
    'Lines for people, or one JSON object a line; auto is lines for people.',
  ),
  uvicornLogLevel: acts(
    choice(['critical', 'error', 'warning', 'info', 'debug', 'trace'], { warn: 'warning' }),
    'info',
    'Least important messages that are logged.',
    { flagAliases: ['log-level'], env: ['UVICORN_LOG_LEVEL', 'LOG_LEVEL', 'VLLM_LOGGING_LEVEL'] },
  ),
  enableLogRequests: acts(boolean(), true, 'Log a line for each request.', {
    oldNames: [
      { name: 'disable-log-requests', isInverted: true },
      { name: 'disable-logging-request', isInverted: true },
    ],
  }),
  disableUvicornAccessLog: noEffect(boolean(), false, 'There is no access log beside the line for each request.'),
  disableAccessLogForEndpoints: noEffect(list('PATH,...'), [], 'Health and metrics routes are never logged.', {
    defaultText: 'none',
  }),
  enableLogOutputs: acts(boolean(), false, 'Log the generated text too.'),
  enableLogDeltas: acts(boolean(), true, 'With ENABLE_LOG_OUTPUTS: log the pieces of streams too.'),
  maxLogLen: acts(
    integer({ min: 0 }),
    null,
    'Log prompts too, up to this many characters, and cut logged answers there; 0 is none. Unset: prompts only at level debug.',
    {
      defaultText: 'no limit',
      unit: 'characters',
    },
  ),
  logErrorStack: acts(
    boolean(),
    false,
    "Log errors in answers that are the client's fault with the place where they were found.",
  ),
  disableLogStats: acts(boolean(), false, 'Leave out the regular line with throughput and queue.'),
  aggregateEngineLogging: noEffect(boolean(), false, 'There is one engine, so nothing to sum up.'),
  logConfigFile: noEffect(text('FILE'), null, "Python's logging is not used here."),
  otlpTracesEndpoint: plannedQuietly(text('URL'), null, 'Where traces are sent.'),
  collectDetailedTraces: plannedQuietly(list('PART,...'), [], 'Parts that are traced in detail.', {
    defaultText: 'none',
  }),
  showHiddenMetricsForVersion: noEffect(text('VERSION'), null, 'No metric is hidden.'),
  kvCacheMetrics: plannedQuietly(boolean(), false, 'Measure how long KV blocks live.'),
  enableLoggingIterationDetails: plannedQuietly(boolean(), false, 'Log each step of the engine.'),
  enableMfuMetrics: noEffect(boolean(), false, 'WebGPU does not tell how much the hardware could do.'),
  kvEventsConfig: plannedQuietly(notation('JSON'), null, 'Publish which KV blocks are stored and removed.'),
});
