/** The ways to the peers, with programs that only pretend to be them. */
import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type FoundPeersOptions, peersOf, programIn } from '../../../scripts/bench/peers/found-peers.ts';
import { deviceNames } from '../../../scripts/bench/peers/llama-server.ts';

const folder = mkdtempSync(join(tmpdir(), 'peers-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const gguf = join(folder, 'model.gguf');
writeFileSync(gguf, '');
const options: FoundPeersOptions = {
  ...{ promptTokens: 8, numSteps: 4, batches: [1, 8, 32], numThreads: 2, dtype: 'bfloat16', gguf: null },
  ...{ llamaCpp: '/libraries', compiled: true, limitMs: 60_000 },
};

/** A program of JavaScript that Bun runs. */
function fake(program: string, code: string): void {
  writeFileSync(join(folder, program), `#!${process.execPath}\n${code}\n`, { mode: 0o755 });
}

function peer(name: string, path = folder) {
  const found = peersOf(folder, options, false, path).find((one) => one.name === name);
  if (!found) throw new Error(`no peer ${name}`);
  return found;
}

/** Prints a result that carries the command line back. */
const ECHO = `const decode = [{ batch: 1, tokensPerSecond: 7 }];
console.log(JSON.stringify({ peer: process.argv.slice(2).join(' '), device: 'd', dtype: 't', prefillTokensPerSecond: 5, decode }));`;

describe('peersOf', () => {
  test('asks transformers for the sizes, plain and compiled', async () => {
    fake('python3', ECHO);
    const plain = await peer('transformers and torch').measure();
    expect(plain.peer).toEndWith(`${folder} --dtype bfloat16 --prompt 8 --steps 4 --batches 1,8,32 --threads 2`);
    expect((await peer('transformers and torch, compiled').measure()).peer).toEndWith('--threads 2 --compile');
  });

  test('asks the libraries of llama.cpp for each backend', async () => {
    fake('node', ECHO);
    for (const backend of ['cpu', 'vulkan', 'cuda']) {
      const { peer: line } = await peer(`llama.cpp (${backend})`).measure();
      expect(line).toEndWith(`/libraries ${gguf} ${backend} 8 4 1,8,32 2`);
    }
  });

  test('names what a peer complains of, and what is not there', async () => {
    fake('node', "console.error('Error: cuda was asked for, false was taken'); process.exit(1);");
    await expect(peer('llama.cpp (cuda)').measure()).rejects.toThrow('cuda was asked for');
    await expect(peer('transformers and torch', '/nowhere').measure()).rejects.toThrow('python3 is not installed');
    await expect(peer('llama-server', '/nowhere').measure()).rejects.toThrow('not in PATH');
    const elsewhere = peersOf('/no/model', options, false, folder).find(({ name }) => name === 'llama-server');
    await expect(elsewhere?.measure()).rejects.toThrow('no GGUF');
  });

  test('finds programs in the folders of PATH', () => {
    fake('here', '');
    expect(programIn(`/nowhere:${folder}`, 'here')).toBe(join(folder, 'here'));
    expect(programIn('/nowhere', 'here')).toBeNull();
  });
});

describe('llama-server', () => {
  const SERVER = `const args = process.argv;
if (args.includes('--list-devices')) {
  console.log('Available devices:\\n  CUDA0: NVIDIA H200 (143771 MiB, 143000 MiB free)');
  process.exit(0);
}
const timings = { prompt_per_second: 50, predicted_n: 4, predicted_ms: 100 };
Bun.serve({
  port: Number(args[args.indexOf('--port') + 1]),
  fetch: (request) => (request.url.endsWith('/health') ? new Response('ok') : Response.json({ timings })),
});`;

  test('is started, measured by its own times, and named with its device', async () => {
    fake('llama-server', SERVER);
    expect(await peer('llama-server').measure()).toEqual({
      ...{ peer: 'llama-server', device: 'NVIDIA H200 (CUDA0)', dtype: 'as in the GGUF', prefillTokensPerSecond: 50 },
      decode: [1, 8, 32].map((batch) => ({ batch, tokensPerSecond: batch * 40 })),
    });
  });

  test('that ends at once is quoted', async () => {
    fake('llama-server', "console.error('error: no backend'); process.exit(1);");
    await expect(peer('llama-server').measure()).rejects.toThrow('it did not become ready: error: no backend');
  });

  test('tells its devices in several ways', () => {
    expect(deviceNames('  Vulkan0: Card A (8 MiB, 7 MiB free)\n  Vulkan1: Card (B) (9 MiB)')).toBe(
      'Card A (Vulkan0), Card (B) (Vulkan1)',
    );
    expect(deviceNames('Available devices:\n')).toBeNull();
  });
});
