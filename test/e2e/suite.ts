/**
 * What end-to-end files share: one server for all tests of a file, a client for it, and visible skips.
 *
 * Starting costs seconds on a software GPU, so that a file starts one server. Without an adapter every test is skipped and
 * counted; `REQUIRE_GPU=1` makes that a failure. Next: `test/helpers/server-process.ts`.
 */
import { afterAll, beforeAll, test } from 'bun:test';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { gpu } from '../helpers/gpu.ts';
import { type ServerProcess, startServer } from '../helpers/server-process.ts';

/** Loading and compiling on a busy machine without a GPU. */
const START_LIMIT_MS = 180_000;

/** Robust access and no rasteriser threads: many tiny dispatches are then quickest on a software GPU. */
const TEST_ENVIRONMENT = { WGSLM_GPU_ROBUSTNESS: '1', LP_NUM_THREADS: '0' };

export interface Suite {
  /** A test that is given the running server and the official client for it. */
  test(name: string, run: (server: ServerProcess, client: OpenAI) => Promise<void>, limitMs?: number): void;
}

/** Registers a server for the tests of this file. `skipReason`: why they cannot run; null = they can. */
export function serverSuite(env: Readonly<Record<string, string>>, skipReason: string | null = null): Suite {
  const reason = gpu === null ? 'no adapter' : skipReason;
  if (reason !== null) return { test: (name) => test.skip(`${name} (${reason})`, () => {}) };

  let server: ServerProcess | null = null;
  beforeAll(async () => {
    server = await startServer({ env: { ...TEST_ENVIRONMENT, ...env } });
  }, START_LIMIT_MS);
  afterAll(async () => {
    await server?.stop();
  }, START_LIMIT_MS);
  return {
    test(name, run, limitMs = 60_000) {
      test(
        name,
        async () => {
          if (server === null) throw new Error('the server did not start');
          await run(server, clientOf(server));
        },
        limitMs,
      );
    },
  };
}

/** A tiny checkpoint with random weights, which computes in no time and says nothing sensible. */
export function tinyModel(name: string): string {
  return fileURLToPath(new URL(`../fixtures/models/${name}`, import.meta.url));
}

function clientOf(server: ServerProcess): OpenAI {
  return new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
}
