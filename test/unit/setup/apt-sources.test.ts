/** apt's two formats of sources, and the backports suite that follows from them. */
import { describe, expect, test } from 'bun:test';
import { backportsSource, parseAptSources } from '../../../scripts/setup/apt-sources.mjs';

const PARAGRAPHS = `Types: deb
# a comment between fields
URIs: http://mirror.example/os
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/archive.gpg

Types: deb
URIs: http://security.example/os-security
Suites: bookworm-security
Components: main

Types: deb-src
URIs: http://mirror.example/os
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: http://off.example
Suites: bookworm-backports
Components: main
`;

const LINES = `# deb http://comment.example bookworm main
deb [arch=amd64 signed-by=/etc/key.gpg trusted=yes] https://mirror.example/os bookworm main contrib # why
deb-src https://mirror.example/os bookworm main
deb http://security.example/os bookworm-security main
`;

describe('reading', () => {
  test('paragraphs: comments, disabled ones and sources of source packages are left out', () => {
    expect(parseAptSources(PARAGRAPHS, 'sources')).toEqual([
      {
        uris: ['http://mirror.example/os'],
        suites: ['bookworm', 'bookworm-updates'],
        components: ['main'],
        signedBy: '/usr/share/keyrings/archive.gpg',
        trusted: false,
      },
      {
        uris: ['http://security.example/os-security'],
        suites: ['bookworm-security'],
        components: ['main'],
        signedBy: null,
        trusted: false,
      },
    ]);
  });

  test('lines: options, comments and several components', () => {
    expect(parseAptSources(LINES, 'list')).toEqual([
      {
        uris: ['https://mirror.example/os'],
        suites: ['bookworm'],
        components: ['main', 'contrib'],
        signedBy: '/etc/key.gpg',
        trusted: true,
      },
      {
        uris: ['http://security.example/os'],
        suites: ['bookworm-security'],
        components: ['main'],
        signedBy: null,
        trusted: false,
      },
    ]);
  });

  test('a key in the field keeps its lines', () => {
    const text = 'Types: deb\nURIs: u\nSuites: bookworm\nComponents: main\nSigned-By:\n -----BEGIN-----\n .\n abc\n';
    const added = backportsSource(parseAptSources(text, 'sources'), 'bookworm');
    expect(added.kind === 'add' && added.text).toEndWith('Signed-By: \n -----BEGIN-----\n .\n abc\n');
  });
});

describe('the backports suite', () => {
  test('comes from the mirror of the own suite', () => {
    expect(backportsSource(parseAptSources(PARAGRAPHS, 'sources'), 'bookworm')).toEqual({
      kind: 'add',
      text: 'Types: deb\nURIs: http://mirror.example/os\nSuites: bookworm-backports\nComponents: main\nSigned-By: /usr/share/keyrings/archive.gpg\n',
    });
  });

  test('from lines too', () => {
    expect(backportsSource(parseAptSources(LINES, 'list'), 'bookworm')).toEqual({
      kind: 'add',
      text: 'Types: deb\nURIs: https://mirror.example/os\nSuites: bookworm-backports\nComponents: main\nSigned-By: /etc/key.gpg\nTrusted: yes\n',
    });
  });

  test('is not added twice, and not without a mirror', () => {
    const present = 'deb http://mirror.example/os bookworm-backports main\n';
    expect(backportsSource(parseAptSources(LINES + present, 'list'), 'bookworm')).toEqual({ kind: 'present' });
    expect(backportsSource([], 'bookworm')).toEqual({ kind: 'unknown-mirror' });
  });
});
