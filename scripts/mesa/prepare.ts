/**
 * Fetches and unpacks Mesa 26.1 into `.cache/`, once; about 60 MB to fetch and 310 MB on disk.
 *
 * Its software driver offers subgroup matrices, so that kernels for tensor cores are tested without a GPU. Needs apt and dpkg, not root.
 * Owns the folder `.cache/mesa-next`. Next: `plan.ts`, which says from where and how.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readMachine } from '../setup/driver.mjs';
import { runQuietly } from '../setup/report.mjs';
import { aptCommands, commandWith, driverManifest, planMesa } from './plan.ts';

export type Mesa =
  | { readonly kind: 'ready'; readonly root: string; readonly manifest: string }
  | { readonly kind: 'unsupported'; readonly reason: string }
  | { readonly kind: 'failed'; readonly reason: string };

/** Makes Mesa ready, or says why it cannot be had here (`unsupported`) or could not be made (`failed`). */
export function prepareMesa(projectRoot: string): Mesa {
  const folder = join(projectRoot, '.cache', 'mesa-next');
  const root = join(folder, 'root');
  const manifest = join(folder, 'lavapipe.json');
  if (existsSync(manifest)) return { kind: 'ready', root, manifest };
  const machine = readMachine(process.env.WGSLM_NO_INSTALL !== '1');
  const plan = planMesa({ ...machine, arch: process.arch });
  if (plan.kind === 'unsupported') return plan;

  const draft = `${folder}.${process.pid}`;
  try {
    for (const name of ['lists/partial', 'archives/partial', 'root']) mkdirSync(join(draft, name), { recursive: true });
    writeFileSync(join(draft, 'mesa.sources'), plan.sourceText);
    writeFileSync(join(draft, 'status'), '');
    for (const words of aptCommands(draft)) must(words);
    const archives = join(draft, 'archives');
    for (const name of readdirSync(archives).filter((entry) => entry.endsWith('.deb'))) {
      must(['dpkg-deb', '--extract', join(archives, name), join(draft, 'root')]);
    }
    const packaged = readdirSync(join(draft, 'root/usr/share/vulkan/icd.d')).find((name) => name.startsWith('lvp_icd'));
    if (packaged === undefined) throw new Error('the packages hold no lavapipe');
    const text = readFileSync(join(draft, 'root/usr/share/vulkan/icd.d', packaged), 'utf8');
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    renameSync(join(draft, 'root'), root);
    writeFileSync(manifest, driverManifest(text, root));
    return { kind: 'ready', root, manifest };
  } catch (error) {
    return { kind: 'failed', reason: error instanceof Error ? error.message : String(error) };
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/** What a program is started with to use a ready Mesa. `words`: the program's absolute path and its arguments. */
export function startWith(mesa: Mesa & { kind: 'ready' }, words: readonly string[]) {
  return commandWith(mesa.root, mesa.manifest, words);
}

function must(words: readonly string[]): void {
  const [command = '', ...args] = words;
  const { ok, output } = runQuietly(command, args, { env: { DEBIAN_FRONTEND: 'noninteractive' } });
  if (!ok) throw new Error(`${command} failed:\n${output}`);
}
