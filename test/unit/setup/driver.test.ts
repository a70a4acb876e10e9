/** What set-up does about a missing driver on each kind of machine. Nothing is installed here. */
import { describe, expect, test } from 'bun:test';
import { parseOsRelease, planDriver } from '../../../scripts/setup/driver.mjs';

const MIRROR = {
  uris: ['http://mirror.example/os'],
  suites: ['bookworm'],
  components: ['main'],
  signedBy: '/k.gpg',
  trusted: false,
};
const INSTALL = ['apt-get', 'install', '--yes', '--no-install-recommends'];
const PACKAGES = ['mesa-vulkan-drivers', 'libvulkan1'];

const debian12 = {
  platform: 'linux',
  osRelease: parseOsRelease('ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n'),
  isRoot: true,
  mayInstall: true,
  sources: [MIRROR],
};

describe('as root', () => {
  test('Debian 12 gets its backports', () => {
    expect(planDriver(debian12)).toEqual({
      kind: 'install',
      sourceText:
        'Types: deb\nURIs: http://mirror.example/os\nSuites: bookworm-backports\nComponents: main\nSigned-By: /k.gpg\n',
      commands: [
        ['apt-get', 'update'],
        [...INSTALL, '-t', 'bookworm-backports', ...PACKAGES],
      ],
    });
  });

  test('Debian 12 with backports gets no second source', () => {
    const sources = [MIRROR, { ...MIRROR, suites: ['bookworm-backports'] }];
    expect(planDriver({ ...debian12, sources })).toMatchObject({ kind: 'install', sourceText: null });
  });

  test.each(['ID=debian\nVERSION_ID="13"', 'ID=debian', "ID='ubuntu'\nVERSION_ID=24.04"])('%p gets its own', (text) => {
    expect(planDriver({ ...debian12, osRelease: parseOsRelease(text) })).toEqual({
      kind: 'install',
      sourceText: null,
      commands: [
        ['apt-get', 'update'],
        [...INSTALL, ...PACKAGES],
      ],
    });
  });
});

describe('elsewhere the command is told', () => {
  test('to a user who is not root', () => {
    expect(planDriver({ ...debian12, isRoot: false })).toEqual({
      kind: 'tell',
      text: [
        'Run:',
        "  printf '%s\\n' 'Types: deb' 'URIs: http://mirror.example/os' 'Suites: bookworm-backports' 'Components: main' 'Signed-By: /k.gpg' | sudo tee /etc/apt/sources.list.d/wgslm-backports.sources",
        '  sudo apt-get update',
        `  sudo ${INSTALL.join(' ')} -t bookworm-backports ${PACKAGES.join(' ')}`,
      ].join('\n'),
    });
  });

  test('where installing is turned off', () => {
    const plan = planDriver({ ...debian12, osRelease: { ID: 'ubuntu' }, mayInstall: false });
    expect(plan).toEqual({ kind: 'tell', text: `Run:\n  apt-get update\n  ${[...INSTALL, ...PACKAGES].join(' ')}` });
  });

  test.each([
    ['fedora', '', 'sudo dnf install mesa-vulkan-drivers vulkan-loader'],
    ['arch', '', 'sudo pacman -S vulkan-swrast vulkan-icd-loader'],
    ['opensuse-leap', 'suse opensuse', 'sudo zypper install libvulkan_lvp libvulkan1'],
    ['linuxmint', 'ubuntu debian', 'sudo apt-get update && sudo apt-get install mesa-vulkan-drivers libvulkan1'],
  ])('on %s', (ID, ID_LIKE, command) => {
    expect(planDriver({ ...debian12, osRelease: { ID, ID_LIKE } })).toEqual({ kind: 'tell', text: `Run: ${command}` });
  });

  test('on Debian 12 without a source to follow', () => {
    expect(planDriver({ ...debian12, sources: [] })).toMatchObject({ kind: 'tell' });
  });

  test('on macOS and Windows', () => {
    expect(planDriver({ ...debian12, platform: 'darwin' })).toMatchObject({ text: expect.stringContaining('Metal') });
    expect(planDriver({ ...debian12, platform: 'win32' })).toMatchObject({ text: expect.stringContaining('D3D12') });
  });
});
