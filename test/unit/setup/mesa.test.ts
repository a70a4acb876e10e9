/** Where a newer Mesa comes from, and how a program is started with it. Nothing is fetched here. */
import { describe, expect, test } from 'bun:test';
import { aptCommands, commandWith, driverManifest, type Host, planMesa } from '../../../scripts/mesa/plan.ts';

const debian12: Host = {
  platform: 'linux',
  arch: 'x64',
  osRelease: { ID: 'debian', VERSION_ID: '12' },
  mayInstall: true,
  sources: [
    {
      uris: ['http://mirror.example/os'],
      suites: ['bookworm', 'bookworm-updates'],
      components: ['main'],
      signedBy: '/k.gpg',
      trusted: false,
    },
  ],
};

describe('source', () => {
  test("Debian 12 takes Debian 13's suites from its own mirror", () => {
    expect(planMesa(debian12)).toEqual({
      kind: 'fetch',
      sourceText:
        'Types: deb\nURIs: http://mirror.example/os\nSuites: trixie trixie-backports\nComponents: main\nSigned-By: /k.gpg\n',
    });
  });

  test('Debian 13 as well', () => {
    const sources = [
      { uris: ['http://mirror.example/os'], suites: ['trixie'], components: ['main'], signedBy: null, trusted: false },
    ];
    expect(planMesa({ ...debian12, osRelease: { ID: 'debian', VERSION_ID: '13' }, sources })).toMatchObject({
      kind: 'fetch',
    });
  });

  test.each([
    ['another system', { platform: 'darwin' }],
    ['another processor', { arch: 'arm64' }],
    ['another distribution', { osRelease: { ID: 'fedora', VERSION_ID: '12' } }],
    ['an older release', { osRelease: { ID: 'debian', VERSION_ID: '11' } }],
    ['a user who forbids installing', { mayInstall: false }],
    ['a machine without a mirror', { sources: [] }],
  ] as [string, Partial<Host>][])('%s is told why not', (_, change) => {
    const plan = planMesa({ ...debian12, ...change });
    expect(plan.kind === 'unsupported' && plan.reason).toMatch(/\w/);
  });
});

test("apt works in the folder alone: its sources, lists, packages and the record of what is installed are not the machine's", () => {
  for (const words of aptCommands('/f')) {
    for (const option of [
      'Dir::Etc::SourceList=/f/mesa.sources',
      'Dir::Etc::SourceParts=/dev/null',
      'Dir::State::Lists=/f/lists',
      'Dir::State::Status=/f/status',
      'Dir::Cache::Archives=/f/archives',
    ])
      expect(words).toContain(option);
  }
  expect(aptCommands('/f')[1]).toContain('--download-only');
});

test("the driver is named by its place, and a program starts through the folder's own loader", () => {
  const packaged = '{"ICD":{"api_version":"1.4","library_path":"libvulkan_lvp.so"},"file_format_version":"1.0.1"}';
  expect(JSON.parse(driverManifest(packaged, '/r'))).toEqual({
    ICD: { api_version: '1.4', library_path: '/r/usr/lib/x86_64-linux-gnu/libvulkan_lvp.so' },
    file_format_version: '1.0.1',
  });
  const { words, env } = commandWith('/r', '/m.json', ['/bin/bun', 'test']);
  expect(words).toEqual([
    '/r/usr/lib64/ld-linux-x86-64.so.2',
    '--library-path',
    '/r/usr/lib/x86_64-linux-gnu',
    '/bin/bun',
    'test',
  ]);
  expect(env.VK_DRIVER_FILES).toBe('/m.json');
});
