/**
 * Times prefill and decode of a GGUF file with llama.cpp through an installed node-llama-cpp; prints a line of JSON after each batch.
 *
 * Runs in a process of its own: `node node_llama_peer.mjs FOLDER GGUF BACKEND PROMPT STEPS BATCHES THREADS`, where FOLDER holds the `node_modules`
 * and BACKEND is cpu, vulkan or cuda. All sequences take their steps together, so that llama.cpp puts them into one batch.
 */
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder = '', gguf = '', backend = '', prompt = '', steps = '', batches = '', wanted = ''] =
  process.argv.slice(2);
const [promptTokens, numSteps] = [Number(prompt), Number(steps)];
const WARM_UP_STEPS = 2;

const path = createRequire(join(folder, 'package.json')).resolve.paths('node-llama-cpp')?.[0] ?? '';
// Its own default is four at least; threads beyond the cores spin while the others wait for a core.
const threads = Number(wanted) || availableParallelism();
const { getLlama } = await import(pathToFileURL(join(path, 'node-llama-cpp/dist/index.js')).href);
const llama = await getLlama({
  gpu: backend === 'cpu' ? false : backend,
  build: 'never',
  progressLogs: false,
  maxThreads: threads,
});
if ((llama.gpu || 'cpu') !== backend) throw new Error(`${backend} was asked for, ${llama.gpu} was taken`);
const model = await llama.loadModel({ modelPath: gguf, gpuLayers: backend === 'cpu' ? 0 : 'max' });

/** @param {number[]} values */
const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
let numPrompts = 0;
const promptOf = () => Array.from({ length: promptTokens }, (_, i) => 10 + ((++numPrompts * 7 + i) % 200));

/** @param {number} batch */
async function makeContext(batch) {
  const contextSize = promptTokens + numSteps + WARM_UP_STEPS + 64;
  const context = await model.createContext({
    ...{ contextSize, threads, sequences: batch, batchSize: Math.max(512, promptTokens) },
    batching: { dispatchSchedule: 'nextCycle' },
  });
  return { context, sequences: Array.from({ length: batch }, () => context.getSequence()) };
}

/** @param {number} batch */
async function decode(batch) {
  const { context, sequences } = await makeContext(batch);
  await Promise.all(sequences.map((sequence) => sequence.evaluateWithoutGeneratingNewTokens(promptOf())));
  const times = [];
  for (let step = 0; step < numSteps + WARM_UP_STEPS; step++) {
    const startMs = performance.now();
    await Promise.all(
      sequences.map((sequence) =>
        sequence.controlledEvaluate([[10 + step, { generateNext: { token: true, options: { temperature: 0 } } }]]),
      ),
    );
    if (step >= WARM_UP_STEPS) times.push(performance.now() - startMs);
  }
  await context.dispose();
  return { batch, tokensPerSecond: batch / (median(times) / 1000) };
}

async function prefill() {
  const { context, sequences } = await makeContext(1);
  const times = [];
  for (let round = 0; round < 4; round++) {
    await sequences[0].clearHistory();
    const tokens = promptOf();
    /** @type {[number, object]} */
    const last = [tokens.pop() ?? 0, { generateNext: { token: true, options: { temperature: 0 } } }];
    const startMs = performance.now();
    await sequences[0].controlledEvaluate([...tokens, last]);
    if (round > 0) times.push(performance.now() - startMs);
  }
  await context.dispose();
  return promptTokens / (median(times) / 1000);
}

const prefillTokensPerSecond = await prefill();
const results = [];
const names = backend === 'cpu' ? [] : await llama.getGpuDeviceNames();
for (const batch of batches.split(',').map(Number)) {
  results.push(await decode(batch));
  // After every batch, so that what took too long does not cost what did not.
  const result = {
    peer: `llama.cpp ${llama.llamaCppRelease.release} (${backend})`,
    device: names.join(', ') || `CPU, threads: ${threads}`,
    dtype: 'as in the GGUF',
    ...{ prefillTokensPerSecond, decode: results },
  };
  console.log(JSON.stringify(result));
}
process.exit(0);
