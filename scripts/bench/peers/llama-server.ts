/**
 * Times prefill and decode of a GGUF file with an installed `llama-server`, by what it tells of its own times in each answer.
 *
 * Owns the process and its HTTP calls. Next: `peers.ts`.
 */
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { median } from '../table.ts';
import type { PeerRequest, PeerResult } from './peer.ts';

interface Timings {
  readonly prompt_per_second: number;
  readonly predicted_n: number;
  readonly predicted_ms: number;
}

const READY_TIMEOUT_MS = 120_000;
const LOOK_AGAIN_MS = 100;
const PREFILL_ROUNDS = 3;

/** Starts `binary`, measures and stops it. Throws: Error when it does not become ready or refuses a request. */
export async function measureLlamaServer(binary: string, gguf: string, request: PeerRequest): Promise<PeerResult> {
  const { promptTokens, numSteps, batches, numThreads } = request;
  const most = Math.max(...batches);
  const port = await freePort();
  const context = most * (promptTokens + numSteps + 16);
  const args = ['-m', gguf, '--port', String(port), '-np', String(most), '-c', String(context), '-ngl', '999'];
  if (numThreads !== null) args.push('-t', String(numThreads));
  const child = spawn(binary, args, { stdio: 'ignore' });
  const url = `http://127.0.0.1:${port}`;
  let hasEnded = false;
  child.once('close', () => {
    hasEnded = true;
  });
  child.once('error', () => {
    hasEnded = true;
  });
  try {
    const startMs = performance.now();
    while (!(await isReady(url))) {
      if (hasEnded || performance.now() - startMs > READY_TIMEOUT_MS) throw new Error('it did not become ready');
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
    }
    await complete(url, promptTokens, 2);
    const rates: number[] = [];
    for (let i = 0; i < PREFILL_ROUNDS; i++) rates.push((await complete(url, promptTokens, 1)).prompt_per_second);
    const decode: { batch: number; tokensPerSecond: number }[] = [];
    for (const batch of batches) {
      const all = await Promise.all(Array.from({ length: batch }, () => complete(url, promptTokens, numSteps)));
      // Those that began first decode alone for a while: the time of the slowest is nearest to a full batch.
      const slowestMs = Math.max(...all.map((one) => one.predicted_ms));
      const numTokens = all.reduce((sum, one) => sum + one.predicted_n, 0);
      decode.push({ batch, tokensPerSecond: numTokens / (slowestMs / 1000) });
    }
    const device = 'as llama-server chose';
    return { peer: binary, device, dtype: 'as in the GGUF', prefillTokensPerSecond: median(rates), decode };
  } finally {
    child.kill();
  }
}

let numPrompts = 0;

async function complete(url: string, promptTokens: number, numPredict: number): Promise<Timings> {
  const first = ++numPrompts;
  const prompt = Array.from({ length: promptTokens }, (_, i) => 10 + ((first * 7 + i) % 200));
  const body = { prompt, n_predict: numPredict, temperature: 0, ignore_eos: true, cache_prompt: false };
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${url}/completion`, { method: 'POST', headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`it answered ${response.status}`);
  return ((await response.json()) as { timings: Timings }).timings;
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/health`)).ok;
  } catch {
    return false; // not listening yet
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
