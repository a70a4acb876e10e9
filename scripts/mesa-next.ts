/**
 * Runs a program on Mesa 26.1's software driver, which has subgroup matrices: `bun scripts/mesa-next.ts -- bun test test/kernels`.
 *
 * Owns the command line. `bun` stands for the Bun that runs this; other programs need an absolute path. The binding is npm `webgpu`
 * unless GPU_BINDING says otherwise: the other one's Dawn has no subgroup matrices here. Next: `mesa/prepare.ts`.
 */
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { prepareMesa, startWith } from './mesa/prepare.ts';

const given = process.argv.slice(2);
const [program, ...args] = given[0] === '--' ? given.slice(1) : given;
if (program === undefined) {
  console.error('bun scripts/mesa-next.ts -- bun test [files]');
  process.exit(2);
}
const mesa = prepareMesa(fileURLToPath(new URL('..', import.meta.url)));
if (mesa.kind !== 'ready') {
  console.error(`Mesa 26.1: ${mesa.kind === 'failed' ? 'set-up failed: ' : ''}${mesa.reason}`);
  process.exit(1);
}
const { words, env } = startWith(mesa, [program === 'bun' ? process.execPath : program, ...args]);
const [loader = '', ...rest] = words;
const defaults = { GPU_BINDING: 'webgpu', LP_NUM_THREADS: '0', XDG_RUNTIME_DIR: tmpdir() };
const { status } = spawnSync(loader, rest, { stdio: 'inherit', env: { ...defaults, ...process.env, ...env } });
process.exit(status ?? 1);
