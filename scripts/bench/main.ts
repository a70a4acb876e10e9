/**
 * `bun run bench serve|kernels|host [options]`: what the server, the kernels and the engine's host side cost on this machine.
 *
 * Owns the command line and where the JSON goes. Each benchmark prints a table and gives back what it measured.
 * Next: `serve.ts`, `kernels.ts`, `host.ts`; figures and how to read them: `docs/performance.md`.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { benchHost } from './host.ts';
import { benchKernels } from './kernels.ts';
import { benchServe } from './serve.ts';

const HELP = `bun run bench serve [options]    a server under 1, 8, 32 and 128 streams at once
  --url URL              a server that runs already; without it one is started, with this environment's MODEL_NAME
  --streams 1,8,32,128   levels of concurrency
  --prompt-tokens 32     length of each prompt
  --max-tokens 64        length of each answer
  --rounds 3             answers per stream; throughput is the median of the rounds
  --api-key KEY          bearer token for --url
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
    streams: { type: 'string', default: '1,8,32,128' },
    'prompt-tokens': { type: 'string', default: '32' },
    'max-tokens': { type: 'string', default: '64' },
    rounds: { type: 'string', default: '3' },
    'api-key': { type: 'string', default: 'none' },
    only: { type: 'string', default: '' },
    'budget-ms': { type: 'string', default: '300' },
    sequences: { type: 'string', default: '64' },
    steps: { type: 'string', default: '100' },
  },
});

async function run(name: string | undefined): Promise<object> {
  switch (name) {
    case 'serve':
      return benchServe({
        url: values.url ?? null,
        apiKey: values['api-key'],
        levels: values.streams.split(',').map((text) => count(text, '--streams')),
        promptTokens: count(values['prompt-tokens'], '--prompt-tokens'),
        maxTokens: count(values['max-tokens'], '--max-tokens'),
        rounds: count(values.rounds, '--rounds'),
      });
    case 'kernels':
      return benchKernels({ only: values.only, budgetMs: count(values['budget-ms'], '--budget-ms') });
    case 'host':
      return benchHost({
        numSequences: count(values.sequences, '--sequences'),
        numSteps: count(values.steps, '--steps'),
      });
    default:
      console.error(HELP);
      process.exit(values.help ? 0 : 2);
  }
}

function count(text: string, option: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  console.error(`${option} must be a positive integer, not "${text}"`);
  process.exit(2);
}

const result = `${JSON.stringify(await run(positionals[0]), null, 2)}\n`;
if (values.json === undefined) console.log(result);
else writeFileSync(values.json, result);
process.exit(0);
