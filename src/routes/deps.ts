/**
 * What the HTTP routes are given. Nothing here is global: tests make their own.
 *
 * Next: `app.ts` (all routes), `main.ts` makes the real values.
 */
import type { Engine } from '../engine/types.ts';
import type { ServingMetrics } from '../serving/metrics.ts';
import type { ServedModel, ServingSettings } from '../serving/served-model.ts';

export interface AppSettings extends ServingSettings {
  /** Any of these is accepted as bearer token; empty = open. */
  readonly apiKeys: readonly string[];
  readonly maxRequestBodyBytes: number;
}

export interface AppDeps {
  readonly engine: Engine;
  readonly model: ServedModel;
  readonly settings: AppSettings;
  readonly metrics: ServingMetrics;
  /** True once the server is going down: what runs may finish, nothing new is taken. */
  isDraining(): boolean;
  /** Changes how long a request's connection may be silent; 0 = for ever. Absent where no socket is involved. */
  readonly setIdleTimeout?: (request: Request, seconds: number) => void;
  /** Told of failures that are ours. */
  readonly reportError?: (error: unknown) => void;
  /** How often a silent stream sends a comment; must be shorter than the server's idle timeout. */
  readonly keepAliveMs?: number;
}
