/**
 * This engine beside others on the same machine and checkpoint, in one run: prefill and decode as ratios.
 *
 * Peers are what is installed: Hugging Face transformers with torch, `llama-server`, and llama.cpp's prebuilt libraries through node-llama-cpp in
 * a folder that a flag names. None is a dependency of ours; what is not found is said. Next: `peers/found-peers.ts`, `peers/peer.ts`, `step-driver.ts`.
 */
import { loadConfig, processSurroundings } from '../../src/config/load-config.ts';
import { loadModel } from '../../src/engine/load-model.ts';
import { type FoundPeersOptions, peersOf } from './peers/found-peers.ts';
import { type PeerResult, ratiosTo } from './peers/peer.ts';
import { measureDecode, measurePrefill, type Patience } from './step-driver.ts';
import { printTable, short } from './table.ts';

export interface PeerOptions extends FoundPeersOptions {
  /** A folder; null = MODEL_NAME, or the bundled model. */
  readonly model: string | null;
  /** Gets what is measured so far after every peer. */
  readonly onProgress: (report: object) => void;
}

const PREFILL_ROUNDS = 3;

/**
 * Measures this engine and every peer found, and prints a table. What fails, this engine included, is a line.
 * Throws: ConfigError; Error when nothing could be measured.
 */
export async function benchPeers(options: PeerOptions): Promise<object> {
  const loaded = loadConfig({ ...processSurroundings(), args: [] });
  if (loaded.kind !== 'config') throw new Error('no configuration');
  const folder = options.model ?? loaded.config.model;
  console.log(`${folder}, prompts of ${options.promptTokens}, ${options.numSteps} decode steps`);
  const missing: string[] = [];
  const results: PeerResult[] = [];
  let isSoftware = false;
  let ours: PeerResult | null = null;
  const miss = (name: string, error: unknown) => {
    missing.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    console.log(`not measured: ${missing.at(-1)}`);
  };
  const take = (result: PeerResult) => {
    results.push(result);
    const decode = result.decode.map(({ batch, tokensPerSecond }) => `decode of ${batch} ${short(tokensPerSecond)}`);
    const rates = [`prefill ${short(result.prefillTokensPerSecond)}`, ...decode].join(', ');
    console.log(`${result.peer} on ${result.device}: ${rates} tokens/s`);
  };
  const report = () => ({
    ...{ model: folder, date: new Date().toISOString().slice(0, 10) },
    environment: { LP_NUM_THREADS: process.env.LP_NUM_THREADS ?? null },
    ...{ results, missing, ratios: ours === null ? [] : ratiosOf(ours, results) },
  });
  try {
    const measured = await measureOurs(folder, options, loaded.config.engine);
    isSoftware = measured.isSoftware;
    ours = measured.result;
    take(ours);
  } catch (error) {
    miss('wgslm', error);
  }
  for (const peer of peersOf(folder, options, isSoftware)) {
    options.onProgress(report());
    try {
      take(await peer.measure());
    } catch (error) {
      miss(peer.name, error);
    }
  }
  if (results.length === 0) throw new Error(missing.join('; '));
  for (const { peer, decode } of results) {
    const late = options.batches.filter((batch) => !decode.some((one) => one.batch === batch));
    if (late.length > 0) miss(peer, `decode of ${late.join(', ')} within ${options.limitMs / 1000} s`);
  }
  console.log('');
  printPeers(ours, results, options.batches);
  return report();
}

function ratiosOf(ours: PeerResult, results: readonly PeerResult[]): object[] {
  return results.filter((one) => one !== ours).map((theirs) => ({ peer: theirs.peer, ...ratiosTo(ours, theirs) }));
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

function printPeers(ours: PeerResult | null, results: readonly PeerResult[], batches: readonly number[]): void {
  const columns = batches.flatMap((batch) => [`decode ${batch} tokens/s`, 'ours / theirs']);
  printTable(
    ['', 'weights', 'prefill tokens/s', 'ours / theirs', ...columns],
    results.map((result) => {
      const ratios = ours && ratiosTo(ours, result);
      const ratioOf = (batch: number) => ratios?.decode[ours?.decode.findIndex((one) => one.batch === batch) ?? -1];
      const rateOf = (batch: number) => result.decode.find((one) => one.batch === batch)?.tokensPerSecond;
      const text = (value: number | null | undefined) => short(value ?? Number.NaN);
      const decode = batches.flatMap((batch) => [text(rateOf(batch)), text(ratioOf(batch))]);
      const prefill = [short(result.prefillTokensPerSecond), text(ratios?.prefill)];
      return [`${result.peer} on ${result.device}`, result.dtype, ...prefill, ...decode];
    }),
  );
}
