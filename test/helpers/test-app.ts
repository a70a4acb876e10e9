/**
 * The whole HTTP front over a fake engine, without a socket.
 */
import type { Engine } from '../../src/engine/types.ts';
import { type App, createApp } from '../../src/routes/app.ts';
import type { AppDeps, AppSettings } from '../../src/routes/deps.ts';
import { type GenerationDefaults, generationDefaults } from '../../src/serving/generation-defaults.ts';
import { ServingMetrics } from '../../src/serving/metrics.ts';
import type { ServedModel } from '../../src/serving/served-model.ts';
import { ChatTemplate } from '../../src/text/chat-template.ts';
import { TokenTable } from '../../src/text/token-table.ts';
import type { TextEncoderPool } from '../../src/text/tokenizer-pool.ts';
import { FakeEngine, type Script } from './fake-engine.ts';
import { chatMlTemplate, testIds, testTokenizer } from './test-tokenizer.ts';

export const tokenizer = testTokenizer();

/** Ids of a text, special tokens in it included. */
export const idsOf = (text: string): number[] => tokenizer.encode(text, { addSpecialTokens: false });

/** Every request is answered with this text. */
export const says =
  (text: string): Script =>
  () =>
    idsOf(text);

/** Every request is answered with its own prompt. */
export const echoes: Script = (request) => [...request.promptTokenIds];

export function testModel(
  overrides: { template?: string | null; defaults?: Partial<GenerationDefaults> } = {},
): ServedModel {
  const template = overrides.template === undefined ? chatMlTemplate : overrides.template;
  const encoder: TextEncoderPool = {
    encode: (text, options) => Promise.resolve(tokenizer.encode(text, options)),
    close: () => Promise.resolve(),
  };
  return {
    tokenizer,
    tokens: new TokenTable(tokenizer),
    encoder,
    chatTemplate: new ChatTemplate(new Map(template === null ? [] : [['default', template]]), tokenizer.namedTokens),
    defaults: { ...generationDefaults({}), ...overrides.defaults },
  };
}

export const testSettings: AppSettings = {
  servedModelNames: ['test-model', 'alias/of-it'],
  modelRoot: 'models/test',
  responseRole: 'assistant',
  maxLogprobs: 20,
  version: '0.0.0',
  apiKeys: [],
  maxRequestBodyBytes: 1 << 20,
};

export interface TestApp {
  readonly app: App;
  readonly engine: FakeEngine;
  readonly deps: AppDeps;
  /** Failures reported as the server's own. */
  readonly reported: unknown[];
  get(path: string, headers?: Record<string, string>): Promise<Response>;
  post(path: string, body: unknown, init?: RequestInit): Promise<Response>;
}

export function testApp(
  script: Script,
  overrides: Partial<Omit<AppDeps, 'settings'>> & { settings?: Partial<AppSettings> } = {},
): TestApp {
  const engine = new FakeEngine({ script, eosTokenId: testIds.imEnd, vocabSize: testIds.vocabSize });
  const reported: unknown[] = [];
  const deps: AppDeps = {
    engine: engine as Engine,
    model: testModel(),
    metrics: new ServingMetrics(() => 0),
    isDraining: () => false,
    reportError: (error) => reported.push(error),
    ...overrides,
    settings: { ...testSettings, ...overrides.settings },
  };
  const app = createApp(deps);
  return {
    app,
    engine,
    deps,
    reported,
    get: (path, headers = {}) => app.handle(new Request(`http://localhost${path}`, { headers })),
    post: (path, body, init = {}) =>
      app.handle(
        new Request(`http://localhost${path}`, {
          method: 'POST',
          body: typeof body === 'string' ? body : JSON.stringify(body),
          ...init,
          headers: { 'content-type': 'application/json', ...(init.headers as Record<string, string>) },
        }),
      ),
  };
}

/** Payloads of a finished event stream, `[DONE]` left out but required. */
export function eventsOf(text: string): Record<string, unknown>[] {
  const frames = text.split('\n\n').filter((frame) => frame !== '' && !frame.startsWith(':'));
  if (frames.at(-1) !== 'data: [DONE]') throw new Error(`The stream does not end with [DONE]: ${frames.at(-1)}`);
  return frames.slice(0, -1).map((frame) => JSON.parse(frame.slice('data: '.length)) as Record<string, unknown>);
}
