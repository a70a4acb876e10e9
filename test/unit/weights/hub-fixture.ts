/**
 * What the downloader's tests share: a mock hub with a small checkpoint, a temporary cache, and waiting without time.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { HubConfig } from '../../../src/config/server-config.ts';
import { HubError } from '../../../src/engine/weights/hub/errors.ts';
import { type ResolveOptions, resolveModelFolder } from '../../../src/engine/weights/hub/resolve.ts';
import type { HubProgress, HubSettings } from '../../../src/engine/weights/hub/session.ts';
import { MOCK_ID, MockHub } from '../../helpers/mock-hub.ts';

/** Bytes that no half, shift or repetition of which looks the same. */
export function patternBytes(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

export const WEIGHTS = patternBytes(300_000);

export function checkpointFiles(): Record<string, Uint8Array | string> {
  return {
    'README.md': 'not wanted',
    'config.json': '{"architectures":["LlamaForCausalLM"]}',
    'generation_config.json': '{}',
    'tokenizer.json': '{"model":{}}',
    'tokenizer_config.json': '{"bos_token":"<s>"}',
    'model.safetensors': WEIGHTS,
  };
}

export class HubFixture {
  readonly delaysMs: number[] = [];
  readonly notices: string[] = [];
  readonly progress: HubProgress[] = [];
  /** The file whose cut answers break once some of them has arrived. */
  cutFile = 'model.safetensors';

  private constructor(
    readonly hub: MockHub,
    readonly cacheDir: string,
  ) {}

  static async create(files = checkpointFiles()): Promise<HubFixture> {
    return new HubFixture(await MockHub.start(files), await mkdtemp(join(tmpdir(), 'hub-test-')));
  }

  async dispose(): Promise<void> {
    await this.hub.close();
    await rm(this.cacheDir, { recursive: true, force: true });
  }

  readonly settings: Partial<HubSettings> = {
    delay: async (ms, signal) => {
      this.delaysMs.push(ms);
      signal.throwIfAborted();
      // Lets sockets go on; no time passes on purpose.
      await setImmediate();
    },
  };

  config(more: Partial<HubConfig> = {}): HubConfig {
    return { endpoint: this.hub.endpoint, token: null, cacheDir: this.cacheDir, offline: false, ...more };
  }

  resolve(
    more: Partial<HubConfig> = {},
    options: ResolveOptions & { readonly revision?: string } = {},
  ): Promise<string> {
    const { revision = 'main', settings, ...rest } = options;
    return resolveModelFolder(MOCK_ID, revision, this.config(more), {
      onProgress: (progress) => {
        this.progress.push(progress);
        // Only here is it sure that a cut answer has brought something.
        if (progress.file === this.cutFile) this.hub.breakConnections();
      },
      onNotice: (message) => this.notices.push(message),
      ...rest,
      settings: { ...this.settings, ...settings },
    });
  }

  /** Where something of the repository lies in the cache. */
  cached(...parts: string[]): string {
    return join(this.cacheDir, 'models--org--model', ...parts);
  }
}

/** The HubError that a promise rejects with. Throws: when it does anything else. */
export async function hubErrorOf(promise: Promise<unknown>): Promise<HubError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof HubError) return error;
    throw error;
  }
  throw new Error('expected a HubError, but the promise resolved');
}
