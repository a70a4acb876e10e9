/**
 * Stand-ins for the images that FROM names, made without a registry of images: Debian by debootstrap, Bun from its npm package.
 *
 * Owns which images these are, and what Debian's official slim image differs in from a fresh debootstrap.
 * Next: `build.ts`, which copies them.
 */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { parseAptSources } from '../setup/apt-sources.mjs';
import { bunPackage } from '../setup/bun.mjs';

/** Names of Debian's releases by their numbers. */
const RELEASES: Readonly<Record<string, string>> = { '12': 'bookworm', '13': 'trixie' };
/** What slim images leave out. */
const SLIM_AWAY = ['doc', 'man', 'info', 'locale', 'lintian', 'groff', 'linda'];

export interface BaseOptions {
  /** Folder for finished bases; they are used again. */
  readonly folder: string;
  readonly say: (line: string) => void;
}

/** The folder that holds an image's files. Throws: Error when the image is not known or cannot be made. */
export function prepareBase(image: string, options: BaseOptions): string {
  const folder = join(options.folder, image.replace(/[/:]/g, '-'));
  if (existsSync(folder)) return folder;
  const draft = `${folder}.draft`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { recursive: true });
  const [, debian] = /^debian:(\d+(?:\.\d+)?)-slim$/.exec(image) ?? [];
  const [, bun] = /^oven\/bun:([\d.]+)-slim$/.exec(image) ?? [];
  if (debian !== undefined) makeDebian(debian, draft, options);
  else if (bun !== undefined) makeBun(bun, draft, options);
  else throw new Error(`there is no stand-in for the image ${image}`);
  renameSync(draft, folder);
  return folder;
}

function makeDebian(version: string, root: string, { say }: BaseOptions): void {
  const release = RELEASES[version.split('.')[0] ?? ''];
  if (release === undefined) throw new Error(`Debian ${version} is not known`);
  const mirror = machineMirror();
  say(`making Debian ${version} (${release}) with debootstrap`);
  must('debootstrap', ['--variant=minbase', release, root, mirror.archive]);
  const made = readFileSync(join(root, 'etc/debian_version'), 'utf8').trim();
  if (made !== version && version.includes('.')) say(`the mirror has Debian ${made}, not ${version}`);

  rmSync(join(root, 'etc/apt/sources.list'), { force: true });
  const source = (uri: string, suites: string) =>
    `Types: deb\nURIs: ${uri}\nSuites: ${suites}\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.pgp\n`;
  const security = mirror.security === null ? '' : `\n${source(mirror.security, `${release}-security`)}`;
  writeFileSync(
    join(root, 'etc/apt/sources.list.d/debian.sources'),
    source(mirror.archive, `${release} ${release}-updates`) + security,
  );
  const excluded = SLIM_AWAY.map((name) => `path-exclude /usr/share/${name}/*`);
  writeFileSync(
    join(root, 'etc/dpkg/dpkg.cfg.d/docker'),
    `${excluded.join('\n')}\npath-include /usr/share/doc/*/copyright\n`,
  );
  for (const name of SLIM_AWAY) rmSync(join(root, 'usr/share', name), { recursive: true, force: true });
  writeFileSync(
    join(root, 'etc/apt/apt.conf.d/docker-clean'),
    'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };\n',
  );
  for (const folder of ['var/lib/apt/lists', 'var/cache/apt/archives', 'var/log']) emptyFolder(join(root, folder));
  writeFileSync(join(root, 'etc/resolv.conf'), '');
}

/** The mirrors from which this machine installs its own packages. */
function machineMirror(): { readonly archive: string; readonly security: string | null } {
  const folder = '/etc/apt/sources.list.d';
  const files = existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
  const sources = ['/etc/apt/sources.list', ...files].flatMap((path) => {
    const format = /\.(list|sources)$/.exec(path)?.[1];
    if (!existsSync(path) || (format !== 'list' && format !== 'sources')) return [];
    return parseAptSources(readFileSync(path, 'utf8'), format);
  });
  const find = (suite: RegExp) =>
    sources.find(({ suites, components }) => suites.some((name) => suite.test(name)) && components.includes('main'));
  const archive = find(new RegExp(`^(${Object.values(RELEASES).join('|')})$`))?.uris[0];
  if (archive === undefined) throw new Error("this machine's apt sources name no mirror of Debian");
  return { archive, security: find(/^[a-z]+-security$/)?.uris[0] ?? null };
}

function makeBun(version: string, root: string, { say }: BaseOptions): void {
  const name = bunPackage('linux', process.arch, false);
  if (name === null) throw new Error(`there is no Bun for ${process.arch}`);
  say(`taking Bun ${version} from its npm package`);
  const folder = join(root, 'package');
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{"private": true}\n');
  must(process.execPath, ['add', '--exact', `${name}@${version}`], folder);
  const target = join(root, 'usr/local/bin/bun');
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(join(folder, 'node_modules', name, 'bin/bun'), target);
  rmSync(folder, { recursive: true });
}

function emptyFolder(folder: string): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true, force: true });
}

/** Throws: Error with the end of the program's output. */
function must(command: string, args: readonly string[], cwd?: string): void {
  const { status, stdout, stderr, error } = spawnSync(command, [...args], {
    cwd,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  if (error !== undefined) throw new Error(`${command} cannot be run: ${error.message}`);
  if (status !== 0)
    throw new Error(`${command} failed:\n${`${stdout}${stderr}`.trim().split('\n').slice(-15).join('\n')}`);
}
