/**
 * Builds the Dockerfile's image without a Docker engine and tries it. As root, on Debian with debootstrap, or with `--help` for anyone.
 *
 * Owns the command line. It shows that the image's file system works; it shows nothing of Docker itself, of networks or of limits.
 * Next: `dockerfile.ts` (reading), `build.ts` (performing), `trial.ts` (using).
 */
import { readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildImage, folderMib } from './build.ts';
import { parseDockerfile } from './dockerfile.ts';
import { tryImage } from './trial.ts';

const HELP = `bun scripts/container/run-dockerfile.ts [options] [-- arguments of the server]
  --build-arg NAME=VALUE   as docker build; may be repeated
  --secret id=ID,env=NAME  as docker build, also id=ID,src=FILE; may be repeated
  --env NAME=VALUE         as docker run; may be repeated
  --work FOLDER            where roots are made (1 to 2 GB); bases are kept there and used again
  --keep                   keep the image's root as well
  --no-trial               build only`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    help: { type: 'boolean', short: 'h', default: false },
    'build-arg': { type: 'string', multiple: true, default: [] },
    secret: { type: 'string', multiple: true, default: [] },
    env: { type: 'string', multiple: true, default: [] },
    work: { type: 'string', default: join(tmpdir(), 'wgslm-container') },
    keep: { type: 'boolean', default: false },
    'no-trial': { type: 'boolean', default: false },
  },
});

const context = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const startedMs = performance.now();

function say(line: string): void {
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1).padStart(6);
  console.log(`${seconds} ${line}`);
}

function pairs(texts: readonly string[]): Map<string, string> {
  return new Map(
    texts.map((text) => {
      const at = text.indexOf('=');
      return at < 0 ? [text, process.env[text] ?? ''] : [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}

function secretOf(text: string): [string, string] {
  const fields = pairs(text.split(','));
  const id = fields.get('id') ?? '';
  const file = fields.get('src');
  const secret = file === undefined ? process.env[fields.get('env') ?? id] : readFileSync(file, 'utf8');
  if (id === '' || !secret) throw new Error(`--secret ${text} names nothing`);
  return [id, secret];
}

async function main(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('Making roots and mounts needs root.');
  const dockerfile = parseDockerfile(readFileSync(join(context, 'Dockerfile'), 'utf8'));
  const image = await buildImage(dockerfile, {
    context,
    workFolder: values.work,
    buildArgs: pairs(values['build-arg']),
    secrets: new Map(values.secret.map(secretOf)),
    authority: process.env.NODE_EXTRA_CA_CERTS ?? null,
    say,
  });
  say(`the image is made: ${folderMib(image.root)} MiB in ${image.root}`);
  if (!values['no-trial']) await tryImage(image, { env: pairs(values.env), args: positionals, say });
  if (!values.keep) rmSync(image.root, { recursive: true });
}

if (values.help) console.log(HELP);
else {
  try {
    await main();
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}
