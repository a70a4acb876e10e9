/**
 * What the HTTP routes are given. Nothing here is global: tests make their own.
 *
 * Next: `app.ts` (all routes), `main.ts` makes the real values.
 */
import type { CorsConfig, HttpConfig } from '../config/server-config.ts';
import type { Engine } from '../engine/types.ts';
import type { InFlight } from '../serving/in-flight.ts';
import type { Log } from '../serving/log.ts';
import type { ServingMetrics } from '../serving/metrics.ts';
import type { RequestLogOptions } from '../serving/request-log.ts';
import type { ServedModel, ServingSettings } from '../serving/served-model.ts';

export interface AppSettings extends ServingSettings {
  /** Any of these is accepted as bearer token; empty = open. */
  readonly apiKeys: readonly string[];
  readonly maxRequestBodyBytes: number;
  /** Absent: no path in front, no header of ids on every answer, all pages. */
  readonly http?: Pick<
    HttpConfig,
    'rootPath' | 'enableRequestIdHeaders' | 'hasApiDocs' | 'enableTokenizerInfoEndpoint' | 'healthCheckPath'
  >;
  /** Whether requests come encrypted, so that their addresses begin with https. */
  readonly isHttps?: boolean;
  /** Absent: no page of another origin may call. */
  readonly cors?: CorsConfig;
}

export interface AppDeps {
  readonly engine: Engine;
  readonly model: ServedModel;
  readonly settings: AppSettings;
  readonly metrics: ServingMetrics;
  /** True once the server is going down: readiness says no, so that balancers send their requests elsewhere. */
  isDraining(): boolean;
  /** True once nothing new is taken and what runs may finish. Absent: from the beginning of the drain. */
  readonly isClosing?: () => boolean;
  /** Counts and limits what is in progress. Absent: nothing is refused. */
  readonly inFlight?: InFlight;
  /** Changes how long a request's connection may be silent; 0 = for ever. Absent where no socket is involved. */
  readonly setIdleTimeout?: (request: Request, seconds: number) => void;
  /** Told of failures that are ours. */
  readonly reportError?: (error: unknown) => void;
  readonly log?: Log;
  /** What the log says of generations; nothing when absent. */
  readonly requestLog?: RequestLogOptions;
  /** Whether the log says where errors in answers came from, the client's own too. */
  readonly logErrorStack?: boolean;
  /** How often a silent stream sends a comment; 0 = never. */
  readonly keepAliveMs?: number;
  /** How long the reader of a stream may take nothing; 0 = for ever. */
  readonly slowReaderTimeoutMs?: number;
  /** How long a generation may take; 0 = for ever. */
  readonly requestTimeoutMs?: number;
}
