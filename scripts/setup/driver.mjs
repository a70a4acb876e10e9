/**
 * Installs a software Vulkan driver, or tells the user the command that does.
 *
 * Owns which distribution needs what. `planDriver` is pure; `installDriver` reads the machine and carries the plan out.
 * Debian 12's own Mesa (22.3) is too old for Dawn, so its backports suite is used there, from the machine's own mirror.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { backportsSource, parseAptSources } from './apt-sources.mjs';
import { runQuietly, SetupError, say } from './report.mjs';

const PACKAGES = ['mesa-vulkan-drivers', 'libvulkan1'];
const SOURCE_FILE = '/etc/apt/sources.list.d/wgslm-backports.sources';

/** @typedef {import('./apt-sources.mjs').AptSource} AptSource */
/** @typedef {{ platform: string, osRelease: Readonly<Record<string, string>>, isRoot: boolean, mayInstall: boolean, sources: readonly AptSource[] }} Machine */
/** @typedef {{ kind: 'install', sourceText: string | null, commands: string[][] } | { kind: 'tell', text: string }} DriverPlan */

/**
 * What to do on a machine without an adapter.
 * @param {Machine} machine
 * @returns {DriverPlan}
 */
export function planDriver(machine) {
  const { osRelease } = machine;
  if (machine.platform !== 'linux') {
    const api = machine.platform === 'darwin' ? 'Metal' : 'D3D12 or Vulkan';
    return { kind: 'tell', text: `Install the graphics driver of this machine; it needs a GPU with ${api}.` };
  }
  if (osRelease.ID !== 'debian' && osRelease.ID !== 'ubuntu')
    return { kind: 'tell', text: `Run: ${otherCommand(osRelease)}` };

  let sourceText = null;
  const target = [];
  if (osRelease.ID === 'debian' && osRelease.VERSION_ID === '12') {
    const source = backportsSource(machine.sources, 'bookworm');
    if (source.kind === 'unknown-mirror') {
      const text = `Add the suite bookworm-backports to apt's sources, then run: sudo ${aptInstall(['-t', 'bookworm-backports']).join(' ')}`;
      return { kind: 'tell', text: `Debian 12's own driver is too old, and no source of bookworm was found. ${text}` };
    }
    if (source.kind === 'add') sourceText = source.text;
    target.push('-t', 'bookworm-backports');
  }
  const commands = [['apt-get', 'update'], aptInstall(target)];
  if (machine.isRoot && machine.mayInstall) return { kind: 'install', sourceText, commands };
  const sudo = machine.isRoot ? '' : 'sudo ';
  const lines = commands.map((command) => sudo + command.join(' '));
  if (sourceText !== null) {
    const quoted = sourceText
      .trimEnd()
      .split('\n')
      .map((line) => `'${line}'`);
    lines.unshift(`printf '%s\\n' ${quoted.join(' ')} | ${sudo}tee ${SOURCE_FILE}`);
  }
  return { kind: 'tell', text: `Run:\n${lines.map((line) => `  ${line}`).join('\n')}` };
}

/**
 * Installs the driver where that is ours to do.
 * Throws: SetupError with the exact command elsewhere, or when the installation failed.
 * @param {boolean} mayInstall
 */
export function installDriver(mayInstall) {
  const plan = planDriver(readMachine(mayInstall));
  if (plan.kind === 'tell') throw new SetupError(plan.text);
  say(`installing the software driver: ${PACKAGES.join(', ')}`);
  if (plan.sourceText !== null) {
    say(`adding the backports suite of this machine's own mirror in ${SOURCE_FILE}`);
    writeFileSync(SOURCE_FILE, plan.sourceText);
  }
  for (const [command = '', ...args] of plan.commands) {
    const result = runQuietly(command, args, { env: { DEBIAN_FRONTEND: 'noninteractive' } });
    // Another source that cannot be reached must not stop us: the installation itself tells whether it matters.
    if (!result.ok && !args.includes('update')) {
      throw new SetupError(`${[command, ...args].join(' ')} failed:\n${result.output}`);
    }
  }
}

/**
 * The fields of an os-release file.
 * @param {string} text
 * @returns {Record<string, string>}
 */
export function parseOsRelease(text) {
  const pairs = [...text.matchAll(/^([A-Z_]+)=(.*)$/gm)];
  return Object.fromEntries(
    pairs.map(([, name = '', value = '']) => [name, value.trim().replace(/^(["'])(.*)\1$/, '$2')]),
  );
}

/** @param {readonly string[]} target */
function aptInstall(target) {
  return ['apt-get', 'install', '--yes', '--no-install-recommends', ...target, ...PACKAGES];
}

/** @param {Readonly<Record<string, string>>} osRelease */
function otherCommand(osRelease) {
  const family = `${osRelease.ID ?? ''} ${osRelease.ID_LIKE ?? ''}`;
  if (/\b(debian|ubuntu)\b/.test(family)) return `sudo apt-get update && sudo apt-get install ${PACKAGES.join(' ')}`;
  if (/\b(fedora|rhel)\b/.test(family)) return 'sudo dnf install mesa-vulkan-drivers vulkan-loader';
  if (/\barch\b/.test(family)) return 'sudo pacman -S vulkan-swrast vulkan-icd-loader';
  if (/\bsuse\b/.test(family)) return 'sudo zypper install libvulkan_lvp libvulkan1';
  return "your distribution's installation of Mesa's Vulkan drivers (lavapipe) and the Vulkan loader";
}

/**
 * What this machine is, as far as the choice of a driver goes.
 * @param {boolean} mayInstall
 * @returns {Machine}
 */
export function readMachine(mayInstall) {
  const isRoot = process.getuid?.() === 0;
  const osRelease = existsSync('/etc/os-release') ? parseOsRelease(readFileSync('/etc/os-release', 'utf8')) : {};
  const folder = '/etc/apt/sources.list.d';
  const files = existsSync(folder)
    ? readdirSync(folder)
        .sort()
        .map((name) => join(folder, name))
    : [];
  const sources = ['/etc/apt/sources.list', ...files].flatMap((path) => {
    const format = /\.(list|sources)$/.exec(path)?.[1];
    if (!existsSync(path) || (format !== 'list' && format !== 'sources')) return [];
    return parseAptSources(readFileSync(path, 'utf8'), format);
  });
  return { platform: process.platform, osRelease, isRoot, mayInstall, sources };
}
