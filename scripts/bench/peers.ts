/**
 * This engine beside others on the same machine and checkpoint, in one run: prefill and decode as ratios.
 *
 * Peers are what is installed: Hugging Face transformers with torch, `llama-server`, and llama.cpp's prebuilt libraries through node-llama-cpp in
 * a folder that a flag names. None is a dependency of ours; what is not found is said. Next: `peers/peer.ts`, `step-driver.ts`.
 */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadConfig, processSurroundings } from '../../src/config/load-config.ts';
import { loadModel } from '../../src/engine/load-model.ts';
import { measureLlamaServer } from './peers/llama-server.ts';
import { type PeerRequest, type PeerResult, ratiosTo, runPeer } from './peers/peer.ts';
import { measureDecode, measurePrefill, type Patience } from './step-driver.ts';
import { printTable, short } from './table.ts';

export interface PeerOptions extends PeerRequest {
  /** A folder; null = MODEL_NAME, or the bundled model. */
  readonly model: string | null;
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

const PREFILL_ROUNDS = 3;
const BACKENDS = ['cpu', 'vulkan', 'cuda'];

/** Measures this engine and every peer found, and prints a table. Throws: EngineError, ConfigError. */
export async function benchPeers(options: PeerOptions): Promise<object> {
  const loaded = loadConfig({ ...processSurroundings(), args: [] });
  if (loaded.kind !== 'config') throw new Error('no configuration');
  const folder = options.model ?? loaded.config.model;
  const { result: ours, isSoftware } = await measureOurs(folder, options, loaded.config.engine);
  console.log(`${folder}, prompts of ${options.promptTokens}, ${options.numSteps} decode steps`);
  console.log(`adapter: ${ours.device}\n`);
  const results = [ours];
  const missing: string[] = [];
  for (const [name, measure] of peersOf(folder, options, isSoftware)) {
    try {
      results.push(await measure());
    } catch (error) {
      missing.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  for (const { peer, decode } of results) {
    const late = options.batches.filter((batch) => !decode.some((one) => one.batch === batch));
    if (late.length > 0) missing.push(`${peer}: decode of ${late.join(', ')} within ${options.limitMs / 1000} s`);
  }
  printPeers(results, options.batches);
  for (const one of missing) console.log(`not measured: ${one}`);
  const ratios = results.slice(1).map((theirs) => ({ peer: theirs.peer, ...ratiosTo(ours, theirs) }));
  const environment = { LP_NUM_THREADS: process.env.LP_NUM_THREADS ?? null };
  return { model: folder, date: new Date().toISOString().slice(0, 10), environment, results, ratios, missing };
}

async function measureOurs(
  folder: string,
  { dtype, promptTokens, numSteps, batches }: PeerOptions,
  engine: Parameters<typeof loadModel>[1],
): Promise<{ result: PeerResult; isSoftware: boolean }> {
  const maxNumSeqs = Math.max(...batches);
  const maxModelLen = promptTokens + numSteps + 64;
  const config = { ...engine, dtype, maxNumSeqs, maxModelLen, enablePrefixCaching: false };
  const model = await loadModel(folder, config, { onProgress: () => {}, onNotice: console.error });
  const { adapter, binding } = model.device;
  const patience: Patience = { warmUpRuns: 2, minRuns: numSteps, maxRuns: numSteps, budgetMs: 0 };
  const prefill = await measurePrefill(model, 1, promptTokens, {
    ...{ ...patience, warmUpRuns: 1, minRuns: PREFILL_ROUNDS, maxRuns: PREFILL_ROUNDS },
  });
  const decode: { batch: number; tokensPerSecond: number }[] = [];
  for (const batch of batches) {
    const { medianMs } = await measureDecode(model, batch, promptTokens, patience);
    decode.push({ batch, tokensPerSecond: batch / (medianMs / 1000) });
  }
  model.device.close();
  const device = `${adapter.description || adapter.device} (${binding})`;
  const prefillTokensPerSecond = promptTokens / (prefill.medianMs / 1000);
  return {
    result: { peer: 'wgslm', device, dtype, prefillTokensPerSecond, decode },
    isSoftware: adapter.isSoftware,
  };
}

/** All peers by name, with what measures them or says why it cannot. */
function peersOf(
  folder: string,
  options: PeerOptions,
  isSoftware: boolean,
): readonly (readonly [string, () => Promise<PeerResult>])[] {
  const { promptTokens, numSteps, batches, dtype, numThreads, limitMs } = options;
  const sizes = ['--prompt', String(promptTokens), '--steps', String(numSteps), '--batches', batches.join(',')];
  const python = [
    fileURLToPath(new URL('./peers/transformers_peer.py', import.meta.url)),
    folder,
    '--dtype',
    dtype,
    ...sizes,
  ];
  if (numThreads !== null) python.push('--threads', String(numThreads));
  const llamaPeer = fileURLToPath(new URL('./peers/node_llama_peer.mjs', import.meta.url));
  const gguf = options.gguf ?? join(folder, 'model.gguf');
  const withGguf = async (measure: () => Promise<PeerResult>) => {
    if (!existsSync(gguf)) throw new Error('no GGUF of this checkpoint; --gguf FILE names one');
    return measure();
  };
  // llama.cpp leaves adapters that are a CPU alone unless they are named.
  const env: Record<string, string> = isSoftware ? { GGML_VK_VISIBLE_DEVICES: '0' } : {};
  const { llamaCpp } = options;
  return [
    ['transformers and torch', () => runPeer('python3', python, {}, limitMs)],
    ...(options.compiled
      ? [['transformers and torch, compiled', () => runPeer('python3', [...python, '--compile'], {}, limitMs)] as const]
      : []),
    [
      'llama-server',
      () =>
        withGguf(async () => {
          const binary = inPath('llama-server');
          if (binary === null) throw new Error('not in PATH');
          return measureLlamaServer(binary, gguf, options);
        }),
    ],
    ...BACKENDS.map(
      (backend) =>
        [
          `llama.cpp (${backend})`,
          () =>
            withGguf(async () => {
              if (llamaCpp === null) throw new Error('--llama-cpp DIR names a folder with node-llama-cpp installed');
              const sizes = [String(promptTokens), String(numSteps), batches.join(','), String(numThreads ?? '')];
              return runPeer('node', [llamaPeer, llamaCpp, gguf, backend, ...sizes], env, limitMs);
            }),
        ] as const,
    ),
  ];
}

function inPath(program: string): string | null {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path)) ?? null;
}

function printPeers(results: readonly PeerResult[], batches: readonly number[]): void {
  const [ours] = results;
  if (ours === undefined) return;
  const columns = batches.flatMap((batch) => [`decode ${batch} tokens/s`, 'ours / theirs']);
  printTable(
    ['', 'weights', 'prefill tokens/s', 'ours / theirs', ...columns],
    results.map((result) => {
      const ratios = ratiosTo(ours, result);
      const rateOf = (batch: number) => result.decode.find((one) => one.batch === batch)?.tokensPerSecond;
      const decode = batches.flatMap((batch, i) => [
        ...[rateOf(batch), ratios.decode[i]].map((value) => short(value ?? Number.NaN)),
      ]);
      const prefill = [short(result.prefillTokensPerSecond), short(ratios.prefill)];
      return [`${result.peer} on ${result.device}`, result.dtype, ...prefill, ...decode];
    }),
  );
}
