/**
 * The peers that can be asked for, each with what measures it or says why it cannot: transformers with torch, `llama-server`, and llama.cpp's
 * prebuilt libraries through node-llama-cpp, on the CPU, Vulkan and CUDA.
 *
 * Owns the command lines and the search in PATH. Next: `peer.ts` (runs one), `llama-server.ts`, `../peers.ts` (who compares).
 */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { measureLlamaServer } from './llama-server.ts';
import { type PeerRequest, type PeerResult, runPeer } from './peer.ts';

export interface FoundPeersOptions extends PeerRequest {
  readonly dtype: 'float32' | 'float16' | 'bfloat16';
  /** The same checkpoint for llama.cpp; null = `model.gguf` in its folder, where there is one. */
  readonly gguf: string | null;
  /** A folder whose `node_modules` hold node-llama-cpp and its prebuilt binaries. */
  readonly llamaCpp: string | null;
  /** Also transformers with torch.compile. */
  readonly compiled: boolean;
  /** Of each peer. */
  readonly limitMs: number;
}

/** A peer that may be there. */
export interface Peer {
  readonly name: string;
  /** Throws: Error with one line that says why there is no result. */
  measure(): Promise<PeerResult>;
}

const TRANSFORMERS = fileURLToPath(new URL('./transformers_peer.py', import.meta.url));
const LIBRARIES = fileURLToPath(new URL('./node_llama_peer.mjs', import.meta.url));
const BACKENDS = ['cpu', 'vulkan', 'cuda'];

/** All peers. `isSoftware`: the adapter is a CPU, which llama.cpp leaves alone unless it is named. `path`: folders of programs. */
export function peersOf(
  folder: string,
  options: FoundPeersOptions,
  isSoftware: boolean,
  path: string = process.env.PATH ?? '',
): readonly Peer[] {
  const { promptTokens, numSteps, batches, dtype, numThreads, limitMs, llamaCpp, compiled } = options;
  const sizes = ['--prompt', String(promptTokens), '--steps', String(numSteps), '--batches', batches.join(',')];
  const python = [TRANSFORMERS, folder, '--dtype', dtype, ...sizes];
  if (numThreads !== null) python.push('--threads', String(numThreads));
  const gguf = options.gguf ?? join(folder, 'model.gguf');
  const env: Record<string, string> = isSoftware ? { GGML_VK_VISIBLE_DEVICES: '0' } : {};
  const run = (program: string, args: readonly string[], added: Record<string, string>) => {
    const binary = programIn(path, program);
    if (binary === null) throw new Error(`${program} is not installed`);
    return runPeer(binary, args, added, limitMs);
  };
  const withGguf = (measure: () => Promise<PeerResult>) => async () => {
    if (!existsSync(gguf)) throw new Error('no GGUF of this checkpoint; --gguf FILE names one');
    return measure();
  };
  const transformers = { name: 'transformers and torch', measure: async () => run('python3', python, {}) };
  const compiledOne = {
    name: 'transformers and torch, compiled',
    measure: async () => run('python3', [...python, '--compile'], {}),
  };
  const server = {
    name: 'llama-server',
    measure: withGguf(async () => {
      const binary = programIn(path, 'llama-server');
      if (binary === null) throw new Error('not in PATH');
      return measureLlamaServer(binary, gguf, { ...options, env });
    }),
  };
  const libraries = BACKENDS.map((backend) => ({
    name: `llama.cpp (${backend})`,
    measure: withGguf(async () => {
      if (llamaCpp === null) throw new Error('--llama-cpp DIR names a folder with node-llama-cpp installed');
      const args = [String(promptTokens), String(numSteps), batches.join(','), String(numThreads ?? '')];
      return run('node', [LIBRARIES, llamaCpp, gguf, backend, ...args], env);
    }),
  }));
  return [transformers, ...(compiled ? [compiledOne] : []), server, ...libraries];
}

/** The path of a program; null where no folder of `path` has it. */
export function programIn(path: string, program: string): string | null {
  return (
    path
      .split(delimiter)
      .map((folder) => join(folder, program))
      .find((file) => existsSync(file)) ?? null
  );
}
