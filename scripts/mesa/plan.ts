/**
 * How a newer Mesa is had beside the machine's own: where it may be fetched from, and what a program is started with.
 *
 * Pure: knows neither files nor processes. The packages of Debian 13's backports are unpacked into a folder, not installed, and a
 * program uses them through that folder's own dynamic loader. Next: `prepare.ts`, which carries it out.
 */
import { join } from 'node:path';
import { type AptSource, sourceOfSuites } from '../setup/apt-sources.mjs';

/** The release whose backports have Mesa 26.1, and the suites that hold it with all it depends on. */
const RELEASE = 'trixie';
const SUITES = [RELEASE, `${RELEASE}-backports`];
/** Debian's releases on which this is done, by number: their mirrors have the newer suites too. */
const CODENAMES: Readonly<Record<string, string>> = { '12': 'bookworm', '13': RELEASE };
const PACKAGES = ['mesa-vulkan-drivers', 'libvulkan1'];
const LIBRARIES = 'usr/lib/x86_64-linux-gnu';

export interface Host {
  readonly platform: string;
  readonly arch: string;
  readonly osRelease: Readonly<Record<string, string>>;
  readonly mayInstall: boolean;
  readonly sources: readonly AptSource[];
}

export type MesaPlan =
  | { readonly kind: 'fetch'; readonly sourceText: string }
  | { readonly kind: 'unsupported'; readonly reason: string };

/** Whether this machine can have the newer Mesa, and the apt source for it: other suites of the machine's own mirror. */
export function planMesa(host: Host): MesaPlan {
  const codename = CODENAMES[host.osRelease.VERSION_ID ?? ''];
  if (host.platform !== 'linux' || host.arch !== 'x64' || host.osRelease.ID !== 'debian' || codename === undefined) {
    return { kind: 'unsupported', reason: 'its packages are for Debian 12 and 13 on x86-64' };
  }
  if (!host.mayInstall) return { kind: 'unsupported', reason: 'WGSLM_NO_INSTALL=1 forbids fetching it' };
  const sourceText = sourceOfSuites(host.sources, codename, SUITES);
  if (sourceText === null) return { kind: 'unsupported', reason: `no apt source of ${codename} was found` };
  return { kind: 'fetch', sourceText };
}

/** apt-get's options for a world of its own in `folder`: nothing of the machine's packages is read or changed. */
export function aptOptions(folder: string): string[] {
  const options = {
    'Dir::Etc::SourceList': join(folder, 'mesa.sources'),
    'Dir::Etc::SourceParts': '/dev/null',
    'Dir::State': folder,
    'Dir::State::Lists': join(folder, 'lists'),
    'Dir::State::Status': join(folder, 'status'),
    'Dir::Cache': folder,
    'Dir::Cache::Archives': join(folder, 'archives'),
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
    'APT::Architecture': 'amd64',
    'APT::Architectures': 'amd64',
    // apt's own user cannot enter every folder.
    'APT::Sandbox::User': 'root',
  };
  return Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

/** The calls of apt-get that put the packages and their dependencies into `folder`/archives. */
export function aptCommands(folder: string): string[][] {
  const options = aptOptions(folder);
  const install = ['install', '--yes', '--download-only', '--no-install-recommends', '-t', `${RELEASE}-backports`];
  return [
    ['apt-get', ...options, 'update'],
    ['apt-get', ...options, ...install, ...PACKAGES],
  ];
}

/** The driver's manifest with the library named by its place in `root`; the packaged one leaves that to the loader's path. */
export function driverManifest(packaged: string, root: string): string {
  const manifest = JSON.parse(packaged) as { ICD: { library_path: string } };
  const name = manifest.ICD.library_path.split('/').at(-1) ?? '';
  return JSON.stringify({ ...manifest, ICD: { ...manifest.ICD, library_path: join(root, LIBRARIES, name) } });
}

/** Words and variables to start a program of the machine (an absolute path) with the libraries unpacked in `root`. */
export function commandWith(root: string, manifest: string, words: readonly string[]) {
  const loader = join(root, 'usr/lib64/ld-linux-x86-64.so.2');
  return {
    words: [loader, '--library-path', join(root, LIBRARIES), ...words],
    env: { VK_DRIVER_FILES: manifest, VK_ICD_FILENAMES: manifest },
  };
}
