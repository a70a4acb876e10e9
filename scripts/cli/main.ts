#!/usr/bin/env bun
/**
 * The command `wgslm`: serve, bench, help and version. `bun link` installs it.
 *
 * Owns the names of the commands and nothing of what they do: `src/main.ts` serves, `scripts/bench/main.ts` measures.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import packageJson from '../../package.json' with { type: 'json' };
import { nearest } from '../../src/config/nearest.ts';

const COMMANDS = ['serve', 'bench', 'help', 'version'] as const;

const HELP = `Usage: wgslm COMMAND [arguments]

  serve [MODEL] [flags]   Serve a model over HTTP. MODEL is a local folder or a Hub id; without one, the
                          bundled demo model. wgslm serve --help lists the flags.
  bench [arguments]       Measure. wgslm bench --help lists what.

  --help, -h              This text.
  --version, -v           The version.
`;

async function run(args: readonly string[]): Promise<void> {
  const [command, ...rest] = args;
  if (command === undefined) {
    console.error(HELP);
    process.exitCode = 2;
  } else if (['help', '--help', '-h'].includes(command)) console.log(HELP);
  else if (['version', '--version', '-v'].includes(command)) console.log(packageJson.version);
  else if (command === 'serve') await serve(rest);
  else if (command === 'bench') bench(rest);
  else {
    const suggestion = nearest(command, COMMANDS);
    console.error(
      `unknown command ${command}: ${suggestion === null ? 'see wgslm --help' : `did you mean ${suggestion}?`}`,
    );
    process.exitCode = 2;
  }
}

/** In this process, so that signals reach the server itself. It reads its flags from `process.argv`. */
async function serve(args: readonly string[]): Promise<void> {
  process.argv = [...process.argv.slice(0, 2), ...args];
  await import('../../src/main.ts');
}

function bench(args: readonly string[]): void {
  const script = fileURLToPath(new URL('../bench/main.ts', import.meta.url));
  if (!existsSync(script)) {
    console.error('This installation has no benchmarks: they are in the source repository.');
    process.exitCode = 1;
    return;
  }
  const { status } = spawnSync(process.execPath, [script, ...args], { stdio: 'inherit' });
  process.exitCode = status ?? 1;
}

await run(process.argv.slice(2));
