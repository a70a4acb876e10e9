/**
 * A tiny random model with a context of 16,384 tokens, so that a request can run for as long as a test wants.
 *
 * Made from a fixture with another length in its configuration: the weights do not depend on it. What it says beyond the length that it
 * was made for is noise. Knows no test runner. Next: `test/e2e/cancel.test.ts`, `scripts/haproxy/run.ts`.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FIXTURE = fileURLToPath(new URL('../fixtures/models/tiny-llama', import.meta.url));
const CONTEXT_TOKENS = 16_384;

export interface LongContextModel {
  /** Settings of a server with that model. */
  readonly env: Readonly<Record<string, string>>;
  /** Removes the folder; for when the server has stopped. */
  readonly remove: () => void;
}

export function longContextModel(): LongContextModel {
  const folder = mkdtempSync(join(tmpdir(), 'wgslm-long-'));
  cpSync(FIXTURE, folder, { recursive: true });
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as object;
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, max_position_embeddings: CONTEXT_TOKENS }));
  return {
    env: { MODEL_NAME: folder, SERVED_MODEL_NAME: 'tiny' },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
