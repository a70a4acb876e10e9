/**
 * Times prefill and decode of a GGUF file with an installed `llama-server`, by what it tells of its own times in each answer.
 *
 * Owns the process and its HTTP calls. Next: `peers.ts`.
 */
import { execFile, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { median } from '../table.ts';
import { faultLine, type PeerRequest, type PeerResult } from './peer.ts';

interface Timings {
  readonly prompt_per_second: number;
  readonly predicted_n: number;
  readonly predicted_ms: number;
}

const READY_TIMEOUT_MS = 120_000;
const LOOK_AGAIN_MS = 100;
const LIST_TIMEOUT_MS = 20_000;
const PREFILL_ROUNDS = 3;
/** Of its messages. */
const MOST_KEPT = 20_000;

/** Where and for how long a server may run. */
export interface LlamaServerOptions extends PeerRequest {
  /** Units: milliseconds; what is measured by then counts. */
  readonly limitMs: number;
  /** Added to its environment. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Starts `binary`, measures and stops it.
 * Throws: Error saying why when it does not become ready, refuses a request or has not measured a prefill in time.
 */
export async function measureLlamaServer(
  binary: string,
  gguf: string,
  request: LlamaServerOptions,
): Promise<PeerResult> {
  const { promptTokens, numSteps, batches, numThreads, limitMs } = request;
  const env = { ...process.env, ...request.env };
  const device = await deviceOf(binary, env);
  const limit = AbortSignal.timeout(limitMs);
  const most = Math.max(...batches);
  const port = await freePort();
  const context = most * (promptTokens + numSteps + 16);
  const args = ['-m', gguf, '--port', String(port), '-np', String(most), '-c', String(context), '-ngl', '999'];
  if (numThreads !== null) args.push('-t', String(numThreads));
  const child = spawn(binary, args, { stdio: ['ignore', 'ignore', 'pipe'], env });
  let faults = '';
  child.stderr.on('data', (data: Buffer) => {
    faults = (faults + data.toString()).slice(-MOST_KEPT);
  });
  // Whatever ends this process must not leave a server behind.
  const end = () => child.kill('SIGKILL');
  process.once('exit', end);
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
      if (hasEnded) throw new Error(`it did not become ready: ${faultLine(faults)}`);
      if (performance.now() - startMs > Math.min(limitMs, READY_TIMEOUT_MS)) throw new Error('it did not become ready');
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
    }
    await complete(url, promptTokens, 2, limit);
    const rates: number[] = [];
    for (let i = 0; i < PREFILL_ROUNDS; i++)
      rates.push((await complete(url, promptTokens, 1, limit)).prompt_per_second);
    const decode: { batch: number; tokensPerSecond: number }[] = [];
    for (const batch of batches) {
      const all = await decodeAll(batch, () => complete(url, promptTokens, numSteps, limit), limit);
      if (all === null) break;
      // Those that began first decode alone for a while: the time of the slowest is nearest to a full batch.
      const slowestMs = Math.max(...all.map((one) => one.predicted_ms));
      const numTokens = all.reduce((sum, one) => sum + one.predicted_n, 0);
      decode.push({ batch, tokensPerSecond: numTokens / (slowestMs / 1000) });
    }
    return { peer: 'llama-server', device, dtype: 'as in the GGUF', prefillTokensPerSecond: median(rates), decode };
  } finally {
    process.off('exit', end);
    child.kill('SIGKILL');
  }
}

/** Null when the time is over. */
async function decodeAll(
  batch: number,
  one: () => Promise<Timings>,
  limit: AbortSignal,
): Promise<readonly Timings[] | null> {
  try {
    return await Promise.all(Array.from({ length: batch }, one));
  } catch (error) {
    if (limit.aborted) return null;
    throw error;
  }
}

/** The devices that the binary was built for and finds: CUDA, Vulkan or none but the CPU. */
function deviceOf(binary: string, env: NodeJS.ProcessEnv): Promise<string> {
  return new Promise((resolve) => {
    execFile(binary, ['--list-devices'], { env, timeout: LIST_TIMEOUT_MS }, (_error, stdout, stderr) => {
      resolve(deviceNames(`${stdout}\n${stderr}`) ?? 'CPU, as far as it tells');
    });
  });
}

/** The devices in what `--list-devices` prints, such as `CUDA0: NVIDIA H200 (143771 MiB, ...)`; null when there are none. */
export function deviceNames(text: string): string | null {
  const names = text.split('\n').flatMap((line) => {
    const [, id, name] = /^\s+([A-Z][A-Za-z]+\d+): (.+?)(?: \(\d+ MiB.*)?$/.exec(line) ?? [];
    return id !== undefined && name !== undefined ? [`${name} (${id})`] : [];
  });
  return names.length === 0 ? null : names.join(', ');
}

let numPrompts = 0;

async function complete(url: string, promptTokens: number, numPredict: number, signal: AbortSignal): Promise<Timings> {
  const first = ++numPrompts;
  const prompt = Array.from({ length: promptTokens }, (_, i) => 10 + ((first * 7 + i) % 200));
  const body = { prompt, n_predict: numPredict, temperature: 0, ignore_eos: true, cache_prompt: false };
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${url}/completion`, { method: 'POST', headers, body: JSON.stringify(body), signal });
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
