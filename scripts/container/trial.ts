/**
 * Starts an image that `build.ts` made and uses it as an orchestrator and a client would: health, an answer, the health check, a stop.
 *
 * Owns what an image has to show. The root is read-only and /tmp in memory, so that it also shows what the server writes.
 */
import type { ChildProcess } from 'node:child_process';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Image } from './build.ts';
import { ended, type Program, run, signal, start } from './chroot.ts';

export interface TrialOptions {
  readonly env: ReadonlyMap<string, string>;
  /** Behind the image's name on the command line; takes the place of CMD. */
  readonly args: readonly string[];
  readonly say: (line: string) => void;
}

const READY_TIMEOUT_MS = 600_000;
const POLL_MS = 250;

/** Resolves when the image did all that it has to. Throws: Error that names the first thing it did not. */
export async function tryImage(image: Image, options: TrialOptions): Promise<void> {
  const { say } = options;
  const port = await freePort();
  const env = new Map([...image.env, ...options.env, ['PORT', String(port)]]);
  if (!env.has('HOME')) env.set('HOME', '/');
  const { root, workdir, user } = image;
  const program = (words: readonly string[]): Program => ({ root, workdir, user, env, words, isReadOnly: true });
  const healthy = async (): Promise<boolean> => {
    if (image.healthcheck === null) throw new Error('the image has no HEALTHCHECK');
    return (await run(program(image.healthcheck), (line) => say(`  health| ${line}`))) === 0;
  };

  say(`starting as user ${user ?? 'root'}, read-only, port ${port}`);
  const startedMs = performance.now();
  const seconds = () => ((performance.now() - startedMs) / 1000).toFixed(1);
  const command = [...image.entrypoint, ...(options.args.length > 0 ? options.args : image.cmd)];
  const server = start(program(command), (line) => say(`  server| ${line}`));
  const exit = ended(server);
  try {
    const base = `http://127.0.0.1:${port}`;
    await untilReady(base, exit);
    say(`/health is 200 after ${seconds()} s`);
    if (!(await healthy())) throw new Error('HEALTHCHECK fails although /health is 200');
    say('HEALTHCHECK ends with 0');
    const model = await servedModel(base);
    say(`${model} says: ${JSON.stringify(await ask(base, model))}`);
    await stopWell(server, exit, base, healthy, image.stopSignal, say);
  } finally {
    server.kill('SIGKILL');
    await exit;
  }
}

async function untilReady(base: string, exit: Promise<number>): Promise<void> {
  let code: number | null = null;
  void exit.then((value) => {
    code = value;
  });
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while ((await statusOf(`${base}/health`)) !== 200) {
    if (code !== null) throw new Error(`the server ended with ${code}`);
    if (performance.now() > deadline) throw new Error('/health never was 200');
    await pause(POLL_MS);
  }
}

async function stopWell(
  server: ChildProcess,
  exit: Promise<number>,
  base: string,
  healthy: () => Promise<boolean>,
  stopSignal: string,
  say: (line: string) => void,
): Promise<void> {
  const startedMs = performance.now();
  signal(server, stopSignal as NodeJS.Signals);
  // Until the drain's delay is over the server still answers, and says that it wants no more.
  while ((await statusOf(`${base}/health`)) === 200) await pause(POLL_MS);
  if (await healthy()) throw new Error('HEALTHCHECK still ends with 0 while the server stops');
  say(`after ${stopSignal} HEALTHCHECK ends with 1`);
  const code = await exit;
  if (code !== 0) throw new Error(`the server ended with ${code} after ${stopSignal}`);
  say(`exit code 0, ${((performance.now() - startedMs) / 1000).toFixed(1)} s after ${stopSignal}`);
}

/** 0 = no answer. */
async function statusOf(url: string): Promise<number> {
  return fetch(url).then(
    (answer) => answer.status,
    () => 0,
  );
}

async function servedModel(base: string): Promise<string> {
  const { data } = (await (await fetch(`${base}/v1/models`)).json()) as { data: { id: string }[] };
  const id = data[0]?.id;
  if (id === undefined) throw new Error('/v1/models lists no model');
  return id;
}

async function ask(base: string, model: string): Promise<string> {
  const messages = [{ role: 'user', content: 'What is the capital of France?' }];
  const answer = await fetch(`${base}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages, temperature: 0, max_tokens: 32 }),
  });
  if (answer.status !== 200) throw new Error(`the completion failed: ${answer.status} ${await answer.text()}`);
  const body = (await answer.json()) as { choices: { message: { content: string } }[] };
  const content = body.choices[0]?.message.content ?? '';
  if (content === '') throw new Error('the completion is empty');
  return content;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() =>
        typeof address === 'object' && address !== null ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}
