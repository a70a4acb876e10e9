/**
 * The engine's public face: what routes, jobs and main may import.
 */
import { RemoteEngine, type RemoteEngineOptions } from './host/client.ts';
import type { EngineInit } from './host/local-engine-contract.ts';
import type { Engine } from './types.ts';

export { emptyStats } from './host/status.ts';
export type { Engine } from './types.ts';

/** Starts the engine in a supervised process of its own; `ready()` tells when it takes requests. */
export function startEngine(init: EngineInit, options: Pick<RemoteEngineOptions, 'onLog' | 'onProgress'>): Engine {
  return new RemoteEngine({ init, ...options });
}
