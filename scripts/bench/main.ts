/**
 * `bun run bench all|device|serve|http-load|engine|kernels|host|peers [options]`: what the server, the engine and its parts cost on this machine.
 *
 * Owns the command line and where the JSON goes. Each benchmark prints a table and gives back what it measured.
 * Next: `serve.ts`, `kernels.ts`, `host.ts`, `engine.ts`, `peers.ts`; figures and how to read them: `docs/performance.md`.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { EngineConfig } from '../../src/config/server-config.ts';
import type { MatrixFormat } from '../../src/engine/ops/tensor.ts';
import { benchAll } from './all.ts';
import { BREAKDOWN_KINDS, type BreakdownKind } from './breakdown.ts';
import { benchDevice } from './device-facts.ts';
import { benchEngine } from './engine.ts';
import { benchHost } from './host.ts';
import { benchHttpLoad } from './http-load.ts';
import { benchKernels } from './kernels.ts';
import { isShapeName, SHAPE_NAMES } from './model-shapes.ts';
import { benchPeers } from './peers.ts';
import { benchScenarios } from './scenario-serve.ts';
import { isScenarioName, SCENARIO_NAMES } from './scenarios.ts';
import { benchServe } from './serve.ts';

const KV_DTYPES: readonly string[] = [...['float32', 'float16', 'bfloat16', 'int8', 'fp8', 'fp8_e4m3', 'fp8_e5m2']];

const HELP = `bun run bench all --out DIR [options]  everything below, each part in a process of its own; files and a report into DIR
  --minutes 25           for all parts together, the most important first
  --parts A,B            only these; see the report for their names
  --model FOLDER         for peers and servers; without it MODEL_NAME, or on a GPU a random checkpoint that is made with Python
  --models, --dtype, --batch, --context, --prefill, --kv-dtype  as of engine
bun run bench serve [options]    a server under 1, 8, 32 and 128 streams at once
  --url URL              a server that runs already; without it one is started, with this environment's MODEL_NAME
  --streams 1,8,32,128   levels of concurrency
  --prompt-tokens 32     length of each prompt
  --max-tokens 64        length of each answer
  --rounds 3             answers per stream; throughput is the median of the rounds
  --api-key KEY          bearer token for --url
bun run bench serve --scenario NAME [options]  a published workload at rising load, up to the knee
  NAME                   ${SCENARIO_NAMES.join(', ')}, or all
  --url, --api-key       as above
  --max-streams 64       most streams at once; load doubles from 1
  --rounds 3             answers per stream at each level
  --scale N              multiplies all lengths; without it 1, or what fits the model's context
  --slo-ttft-ms 2000     goodput: the first token comes within
  --slo-itl-ms 100       goodput: mean time between tokens
  --minutes N            no level is begun after it
bun run bench http-load [options]  streams alone, and beside large request bodies
  --url, --api-key, --prompt-tokens, --max-tokens, --rounds  as above
  --streams 64           streams at once
  --rate 50              bodies per second
  --body-kib 200         size of each body
bun run bench engine [options]   real models' shapes with made-up weights, against the roofline
  --models A,B           ${SHAPE_NAMES.join(', ')}
  --dtype bf16           how weights are stored: f32, bf16, f16, int8, int4 (the last two: of the layers)
  --batch 1,8,32         sequences that decode at once
  --context 128,2048     their contexts
  --prefill 512,2048     prompts that are computed alone; none: no prefill
  --kv-dtype auto        how the cache is stored: auto, ${KV_DTYPES.join(', ')}
  --int-activations      with int8 and int4: multiply bytes with bytes
  --budget-ms 2000       time spent on one case, beyond the least number of runs
  --minutes N            no case is begun after it
  --breakdown 3          rounds of the breakdown per kernel; none: no breakdown
  --breakdown-by timestamps  by the GPU's clock where it has one, or step: by what a step saves without the kernel
  --svg FILE             also draws the shares as SVG
bun run bench peers [options]    the same checkpoint here and in what else is installed
  --model FOLDER         a local checkpoint
  --dtype float32        float32, float16, bfloat16
  --gguf FILE            the same checkpoint for llama.cpp; without it model.gguf in its folder
  --llama-cpp DIR        a folder with node-llama-cpp and its prebuilt binaries installed
  --threads N            of peers on the CPU; without it one for each core
  --peer-seconds 300     the longest that a peer may take
  --compiled             also transformers with torch.compile
  --prompt-tokens 32     length of the prompts
  --batch 1,8,32         sequences that decode at once
  --decode-steps 16      steps to measure
bun run bench device             what the adapter is and can do: features, limits, dispatch cost, bandwidth, rates of all units
  --budget-ms 500        time spent on one rate
bun run bench kernels [options]  each kernel against the adapter's measured bandwidth and arithmetic rate
  --only TEXT            kernels whose name contains it
  --budget-ms 300        time spent on one kernel
bun run bench host [options]     the engine's time outside the GPU, per step
  --sequences 64         sequences in a step
  --steps 100            steps to measure
--json FILE              also writes the figures as JSON to FILE; without it they follow the table
The model of serve and host is MODEL_NAME, the bundled one without it; the binding is GPU_BINDING.`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    help: { type: 'boolean', default: false },
    json: { type: 'string' },
    url: { type: 'string' },
    streams: { type: 'string' },
    rate: { type: 'string', default: '50' },
    'body-kib': { type: 'string', default: '200' },
    'prompt-tokens': { type: 'string', default: '32' },
    'max-tokens': { type: 'string', default: '64' },
    rounds: { type: 'string', default: '3' },
    'api-key': { type: 'string', default: 'none' },
    only: { type: 'string', default: '' },
    'budget-ms': { type: 'string' },
    'kv-dtype': { type: 'string', default: 'auto' },
    'int-activations': { type: 'boolean', default: false },
    'breakdown-by': { type: 'string', default: 'timestamps' },
    minutes: { type: 'string' },
    out: { type: 'string' },
    parts: { type: 'string' },
    scenario: { type: 'string' },
    'max-streams': { type: 'string', default: '64' },
    scale: { type: 'string' },
    'slo-ttft-ms': { type: 'string', default: '2000' },
    'slo-itl-ms': { type: 'string', default: '100' },
    models: { type: 'string' },
    dtype: { type: 'string' },
    batch: { type: 'string' },
    context: { type: 'string' },
    prefill: { type: 'string' },
    breakdown: { type: 'string', default: '3' },
    svg: { type: 'string' },
    model: { type: 'string' },
    gguf: { type: 'string' },
    'llama-cpp': { type: 'string' },
    threads: { type: 'string' },
    'peer-seconds': { type: 'string', default: '300' },
    compiled: { type: 'boolean', default: false },
    'decode-steps': { type: 'string', default: '16' },
    sequences: { type: 'string', default: '64' },
    steps: { type: 'string', default: '100' },
  },
});

const limitMs = values.minutes === undefined ? null : 60_000 * positive(values.minutes, '--minutes');

function saveProgress(report: object): void {
  if (values.json !== undefined) writeFileSync(values.json, textOf(report));
}

async function run(name: string | undefined): Promise<object> {
  switch (name) {
    case 'serve':
      if (values.scenario !== undefined) return runScenario(values.scenario);
      return benchServe({
        url: values.url ?? null,
        apiKey: values['api-key'],
        levels: counts(values.streams, '--streams') ?? [1, 8, 32, 128],
        promptTokens: count(values['prompt-tokens'], '--prompt-tokens'),
        maxTokens: count(values['max-tokens'], '--max-tokens'),
        rounds: count(values.rounds, '--rounds'),
      });
    case 'http-load':
      return benchHttpLoad({
        ...{ url: values.url ?? null, apiKey: values['api-key'] },
        streams: count(values.streams ?? '64', '--streams'),
        rate: count(values.rate, '--rate'),
        bodyKib: count(values['body-kib'], '--body-kib'),
        promptTokens: count(values['prompt-tokens'], '--prompt-tokens'),
        maxTokens: count(values['max-tokens'], '--max-tokens'),
        rounds: count(values.rounds, '--rounds'),
      });
    case 'all':
      return benchAll({
        out: values.out ?? refuse('--out DIR is missing'),
        minutes: positive(values.minutes ?? '25', '--minutes'),
        parts: values.parts?.split(',') ?? null,
        engineArgs: passedOn(['models', 'dtype', 'batch', 'context', 'prefill', 'kv-dtype']),
        model: values.model ?? null,
        dtype: 'bfloat16',
      });
    case 'device':
      return benchDevice({ budgetMs: count(values['budget-ms'] ?? '500', '--budget-ms') });
    case 'kernels':
      return benchKernels({
        only: values.only,
        budgetMs: count(values['budget-ms'] ?? '300', '--budget-ms'),
        onProgress: saveProgress,
      });
    case 'host':
      return benchHost({
        numSequences: count(values.sequences, '--sequences'),
        numSteps: count(values.steps, '--steps'),
      });
    case 'engine':
      return benchEngine({
        models: values.models?.split(',').map((text) => oneOf(text, '--models', isShapeName)) ?? null,
        dtype: oneOf(values.dtype ?? 'bf16', '--dtype', (text): text is MatrixFormat =>
          /^(f32|bf16|f16|int8|int4)$/.test(text),
        ),
        batches: counts(values.batch, '--batch'),
        contexts: counts(values.context, '--context'),
        prefills: values.prefill === 'none' ? [] : counts(values.prefill, '--prefill'),
        kvDtype: oneOf(values['kv-dtype'], '--kv-dtype', isKvDtype),
        intActivations: values['int-activations'],
        budgetMs: count(values['budget-ms'] ?? '2000', '--budget-ms'),
        limitMs,
        breakdownBy: oneOf(values['breakdown-by'], '--breakdown-by', isBreakdownKind),
        onProgress: saveProgress,
        breakdownRounds: values.breakdown === 'none' ? 0 : count(values.breakdown, '--breakdown'),
        svgPath: values.svg ?? null,
      });
    case 'peers':
      return benchPeers({
        model: values.model ?? null,
        dtype: oneOf(values.dtype ?? 'float32', '--dtype', isDtype),
        gguf: values.gguf ?? null,
        llamaCpp: values['llama-cpp'] ?? null,
        compiled: values.compiled,
        limitMs: 1000 * count(values['peer-seconds'], '--peer-seconds'),
        numThreads: values.threads === undefined ? null : count(values.threads, '--threads'),
        promptTokens: count(values['prompt-tokens'], '--prompt-tokens'),
        numSteps: count(values['decode-steps'], '--decode-steps'),
        batches: counts(values.batch, '--batch') ?? [1, 8, 32],
        onProgress: saveProgress,
      });
    default:
      console.error(HELP);
      process.exit(values.help ? 0 : 2);
  }
}

function runScenario(text: string): Promise<object> {
  const scale = values.scale === undefined ? null : positive(values.scale, '--scale');
  return benchScenarios({
    scenarios: text === 'all' ? SCENARIO_NAMES : [oneOf(text, '--scenario', isScenarioName)],
    url: values.url ?? null,
    apiKey: values['api-key'],
    maxStreams: count(values['max-streams'], '--max-streams'),
    rounds: count(values.rounds, '--rounds'),
    scale,
    firstTokenLimitMs: count(values['slo-ttft-ms'], '--slo-ttft-ms'),
    interTokenLimitMs: count(values['slo-itl-ms'], '--slo-itl-ms'),
    limitMs,
    onProgress: saveProgress,
  });
}

function isKvDtype(text: string): text is EngineConfig['kvCacheDtype'] {
  return text === 'auto' || KV_DTYPES.includes(text);
}

function isBreakdownKind(text: string): text is BreakdownKind {
  return (BREAKDOWN_KINDS as readonly string[]).includes(text);
}

function isDtype(text: string): text is 'float32' | 'float16' | 'bfloat16' {
  return ['float32', 'float16', 'bfloat16'].includes(text);
}

function oneOf<Value extends string>(text: string, option: string, accepts: (text: string) => text is Value): Value {
  return accepts(text) ? text : refuse(`${option} does not know "${text}"; see --help`);
}

function counts(text: string | undefined, option: string): number[] | null {
  return text?.split(',').map((part) => count(part, option)) ?? null;
}

function refuse(message: string): never {
  console.error(message);
  process.exit(2);
}

function count(text: string, option: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  return refuse(`${option} must be a positive integer, not "${text}"`);
}

function positive(text: string, option: string): number {
  const value = Number(text);
  return value > 0 ? value : refuse(`${option} must be a positive number, not "${text}"`);
}

/** Those of the options that were given, as words. */
function passedOn(names: readonly (keyof typeof values)[]): string[] {
  return names.flatMap((name) => (values[name] === undefined ? [] : [`--${name}`, String(values[name])]));
}

function textOf(report: object): string {
  return `${JSON.stringify(report, null, 2)}\n`;
}

const result = textOf(await run(positionals[0]));
const jsonPath = values.json ?? (values.out === undefined ? null : join(values.out, 'summary.json'));
if (jsonPath === null) console.log(result);
else writeFileSync(jsonPath, result);
process.exit(0);
