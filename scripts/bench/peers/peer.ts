/**
 * What every peer is asked for and gives back, and how a peer in a process of its own is read.
 *
 * Next: `../peers.ts`; the peers: `transformers_peer.py`, `node_llama_peer.mjs`, `llama-server.ts`.
 */
import { spawn } from 'node:child_process';

export interface PeerRequest {
  readonly promptTokens: number;
  readonly numSteps: number;
  readonly batches: readonly number[];
  /** Of peers that compute on the CPU; null = one for each core. */
  readonly numThreads: number | null;
}

export interface PeerResult {
  /** Its name and version. */
  readonly peer: string;
  readonly device: string;
  readonly dtype: string;
  /** Of one prompt alone. */
  readonly prefillTokensPerSecond: number;
  /** Of all sequences together. */
  readonly decode: readonly { readonly batch: number; readonly tokensPerSecond: number }[];
}

/**
 * Runs a program whose last line of output is a {@link PeerResult}. One that takes too long is ended, and what it printed until then counts.
 * Throws: Error with the line that says why when there is no result.
 */
export function runPeer(
  program: string,
  args: readonly string[],
  env: Record<string, string>,
  limitMs: number,
): Promise<PeerResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      child.kill('SIGKILL');
    }, limitMs);
    // Whatever ends this process must not leave a peer behind.
    const end = () => child.kill('SIGKILL');
    process.once('exit', end);
    let out = '';
    let faults = '';
    child.stdout.on('data', (data: Buffer) => {
      out += data.toString();
    });
    child.stderr.on('data', (data: Buffer) => {
      faults += data.toString();
    });
    child.once('error', () => reject(new Error(`${program} is not installed`)));
    child.once('close', (code) => {
      clearTimeout(timer);
      process.off('exit', end);
      const result = parsePeerResult(out);
      if ((code === 0 || isLate) && result !== null) resolve(result);
      else if (isLate) reject(new Error(`nothing measured within ${limitMs / 1000} s`));
      else reject(new Error(faultLine(faults) || lastLine(out) || `it ended with ${code}`));
    });
  });
}

/** The result in a peer's output; null when its last line is none. */
export function parsePeerResult(output: string): PeerResult | null {
  try {
    const value = JSON.parse(lastLine(output)) as Partial<PeerResult>;
    return value.decode !== undefined && value.prefillTokensPerSecond !== undefined ? (value as PeerResult) : null;
  } catch {
    return null;
  }
}

/** Ours as a multiple of theirs. */
export interface Ratios {
  readonly prefill: number;
  /** By batch; null where they have no figure. */
  readonly decode: readonly (number | null)[];
}

export function ratiosTo(ours: PeerResult, theirs: PeerResult): Ratios {
  const of = (batch: number) => theirs.decode.find((one) => one.batch === batch)?.tokensPerSecond ?? null;
  return {
    prefill: ours.prefillTokensPerSecond / theirs.prefillTokensPerSecond,
    decode: ours.decode.map(({ batch, tokensPerSecond }) => {
      const rate = of(batch);
      return rate === null ? null : tokensPerSecond / rate;
    }),
  };
}

/** The line of a program's stderr that says most: the last one that names an error, or the last one. */
export function faultLine(text: string): string {
  const named = text.split('\n').filter((line) => /^[\w[\]. ]*Error\b.*: /.test(line));
  return named.at(-1)?.trim() ?? lastLine(text);
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}
