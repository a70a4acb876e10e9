/** From a name to a folder: layout, revisions, access, offline, and what the user is told. */

import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { resolveModelFolder } from '../../../src/engine/weights/hub/resolve.ts';
import { MOCK_COMMIT } from '../../helpers/mock-hub.ts';
import { HubFixture, hubErrorOf, patternBytes, WEIGHTS } from './hub-fixture.ts';

let fixture: HubFixture;
beforeEach(async () => {
  fixture = await HubFixture.create();
});
afterEach(() => fixture.dispose());

describe('cache layout', () => {
  test('is the one of huggingface_hub', async () => {
    const folder = await fixture.resolve();
    expect(folder).toBe(fixture.cached('snapshots', MOCK_COMMIT));
    expect((await readdir(folder)).toSorted()).toEqual([
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    expect(await readlink(join(folder, 'model.safetensors'))).toBe(
      `../../blobs/${fixture.hub.blobOf('model.safetensors')}`,
    );
    expect(await readFile(fixture.cached('refs', 'main'), 'utf8')).toBe(MOCK_COMMIT);
    expect((await readdir(fixture.cached())).toSorted()).toEqual(['blobs', 'refs', 'snapshots']);
    const locks = await readdir(join(fixture.cacheDir, '.locks', 'models--org--model'));
    expect(locks).toContain(`${fixture.hub.blobOf('config.json')}.lock`);
    expect((await readdir(fixture.cached('blobs'))).toSorted()).toEqual(locks.map((l) => l.slice(0, -5)).toSorted());
  });

  test('names with spaces, #, % and ? in them, in a folder', async () => {
    const names = ['config sp ace #1.json', 'tokenizer 100%?.txt', 'additional templates/a b#.jinja'];
    for (const name of names) fixture.hub.putFile(name, `content of ${name}`);
    const folder = await fixture.resolve();
    for (const name of names) expect(await readFile(join(folder, name), 'utf8')).toBe(`content of ${name}`);
    expect(await readlink(join(folder, names[2] ?? ''))).toStartWith('../../../blobs/');
  });

  test('names that would leave the folder are not stored', async () => {
    fixture.hub.putFile('../config_evil.json', '{}');
    fixture.hub.putFile('tokenizer\\..\\x', '{}');
    const folder = await fixture.resolve();
    expect(await readdir(folder)).toHaveLength(5);
  });

  test('an empty file, and two names with the same content', async () => {
    fixture.hub.putFile('merges.txt', '');
    fixture.hub.putFile('vocab.json', '{}');
    const folder = await fixture.resolve();
    expect((await stat(join(folder, 'merges.txt'))).size).toBe(0);
    expect(await readlink(join(folder, 'vocab.json'))).toBe(await readlink(join(folder, 'generation_config.json')));
  });

  test('a second start transfers and reports nothing; a broken link is repaired', async () => {
    const folder = await fixture.resolve();
    await rm(fixture.cached('blobs', fixture.hub.blobOf('config.json')));
    fixture.hub.requests.length = 0;
    fixture.progress.length = 0;
    await fixture.resolve();
    expect(fixture.hub.requests.filter((r) => r.target.includes('/resolve/'))).toHaveLength(1);
    expect(await readFile(join(folder, 'config.json'), 'utf8')).toContain('LlamaForCausalLM');
    fixture.progress.length = 0;
    await fixture.resolve();
    expect(fixture.progress).toEqual([]);
  });

  test('a branch that moved gets a new snapshot and keeps the old one', async () => {
    const old = await fixture.resolve();
    fixture.hub.commit = '2'.repeat(40);
    fixture.hub.putFile('config.json', '{"new":true}');
    const now = await fixture.resolve();
    expect(now).toBe(fixture.cached('snapshots', '2'.repeat(40)));
    expect(await readFile(join(now, 'config.json'), 'utf8')).toBe('{"new":true}');
    expect(await readFile(join(old, 'config.json'), 'utf8')).toContain('LlamaForCausalLM');
    expect(fixture.hub.transfersOf('model.safetensors').filter((r) => r.host === 'storage')).toHaveLength(1);
  });
});

describe('requests', () => {
  test('the token goes to the hub alone, and no answer is compressed', async () => {
    await fixture.resolve({ token: fixture.hub.goodToken });
    const hosts = Object.groupBy(fixture.hub.requests, (request) => request.host);
    expect(hosts.hub?.every((r) => r.headers.authorization === `Bearer ${fixture.hub.goodToken}`)).toBe(true);
    expect(hosts.storage?.length).toBe(1);
    expect(hosts.storage?.some((r) => r.headers.authorization !== undefined)).toBe(false);
    expect(fixture.hub.requests.every((r) => r.headers['accept-encoding'] === 'identity')).toBe(true);
  });

  test('the file list is read over all its pages', async () => {
    fixture.hub.pageSize = 1;
    await fixture.resolve();
    expect(fixture.hub.requests.filter((r) => r.target.includes('/tree/'))).toHaveLength(6);
  });

  test('progress grows to the total', async () => {
    await fixture.resolve();
    const last = fixture.progress.at(-1);
    expect(last?.bytesDone).toBe(last?.bytesTotal ?? 0);
    expect(last?.bytesTotal).toBeGreaterThan(WEIGHTS.length);
    for (const [i, { bytesDone }] of fixture.progress.entries()) {
      expect(bytesDone).toBeGreaterThanOrEqual(fixture.progress[i - 1]?.bytesDone ?? 0);
    }
  });

  for (const revision of ['refs/pr/7', 'v1.0', 'a branch#1']) {
    test(`revision ${revision}`, async () => {
      fixture.hub.revisions.add(revision);
      await fixture.resolve({}, { revision });
      expect(await readFile(fixture.cached('refs', revision), 'utf8')).toBe(MOCK_COMMIT);
    });
  }

  test('a commit needs no ref', async () => {
    await fixture.resolve({}, { revision: MOCK_COMMIT });
    expect(await readdir(fixture.cached())).not.toContain('refs');
  });

  test('an endpoint that is no hub', async () => {
    const fetchPage = async () => new Response('<html>log in</html>');
    const error = await hubErrorOf(fixture.resolve({}, { settings: { fetch: fetchPage } }));
    expect(error.code).toBe('network');
    expect(error.message).toContain('HF_ENDPOINT');
  });

  test('endless redirects', async () => {
    const redirect = async (url: string) => new Response(null, { status: 302, headers: { location: url } });
    const error = await hubErrorOf(fixture.resolve({}, { settings: { fetch: redirect } }));
    expect(error.message).toContain('redirected');
  });
});

describe('access', () => {
  test('gated, without token', async () => {
    fixture.hub.access = 'gated';
    const error = await hubErrorOf(fixture.resolve());
    expect(error.code).toBe('gated');
    expect(error.message).toContain(`${fixture.hub.endpoint}/org/model`);
    expect(error.message).toContain('HF_TOKEN');
    expect(fixture.delaysMs).toEqual([]);
  });

  test('gated, with a token that was not granted access', async () => {
    fixture.hub.access = 'gated';
    const error = await hubErrorOf(fixture.resolve({ token: 'other-token' }));
    expect(error.code).toBe('gated');
    expect(error.message).toContain('Accept its licence');
  });

  test('gated, with a token that may', async () => {
    fixture.hub.access = 'gated';
    await fixture.resolve({ token: fixture.hub.goodToken });
  });

  test('missing or private', async () => {
    fixture.hub.access = 'private';
    const anonymous = await hubErrorOf(fixture.resolve());
    expect(anonymous.code).toBe('not-found');
    expect(anonymous.message).toContain('set HF_TOKEN');
    expect((await hubErrorOf(fixture.resolve({ token: 'other-token' }))).code).toBe('not-found');
    expect(fixture.delaysMs).toEqual([]);
  });

  test('a token that the hub does not know', async () => {
    const error = await hubErrorOf(fixture.resolve({ token: 'nonsense' }));
    expect(error.code).toBe('unauthorized');
    expect(error.message).not.toContain('nonsense');
  });

  test('a revision that is not there', async () => {
    const error = await hubErrorOf(fixture.resolve({}, { revision: 'nope' }));
    expect(error.code).toBe('revision-not-found');
    expect(error.message).toContain('"nope"');
    expect((await hubErrorOf(fixture.resolve({}, { revision: '0'.repeat(40) }))).code).toBe('revision-not-found');
    expect((await hubErrorOf(fixture.resolve({}, { revision: '../../x' }))).code).toBe('revision-not-found');
  });
});

describe('what is fetched', () => {
  test('the shards of the index, and no other weights', async () => {
    const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
    const index = { weight_map: { a: shards[0], b: shards[1], c: shards[1] } };
    fixture.hub.putFile('model.safetensors.index.json', JSON.stringify(index));
    for (const [i, shard] of shards.entries()) fixture.hub.putFile(shard, patternBytes(1000, i + 5));
    fixture.hub.putFile('consolidated.safetensors', patternBytes(10));
    const names = await readdir(await fixture.resolve());
    expect(names.filter((name) => name.includes('safetensors')).toSorted()).toEqual([
      ...shards,
      'model.safetensors.index.json',
    ]);
  });

  test('an index that names a file which is not there', async () => {
    fixture.hub.putFile('model.safetensors.index.json', '{"weight_map":{"a":"model-9.safetensors"}}');
    const error = await hubErrorOf(fixture.resolve());
    expect(error.code).toBe('unsupported');
    expect(error.message).toContain('model-9.safetensors');
  });

  test('an index that is none', async () => {
    fixture.hub.putFile('model.safetensors.index.json', '{}');
    const error = await hubErrorOf(fixture.resolve());
    expect(error.code).toBe('unsupported');
    expect(error.message).toContain('weight_map');
  });

  test('a repository without safetensors: the error names what it has', async () => {
    fixture.hub.removeFile('model.safetensors');
    for (const name of ['pytorch_model.bin', 'q4.gguf', 'consolidated.safetensors']) fixture.hub.putFile(name, 'x');
    const error = await hubErrorOf(fixture.resolve());
    expect(error.code).toBe('unsupported');
    for (const word of ['PyTorch', 'GGUF', 'consolidated']) expect(error.message).toContain(word);
    expect(error.message).not.toContain('subfolder');
  });

  test('a repository without config.json', async () => {
    fixture.hub.removeFile('config.json');
    expect((await hubErrorOf(fixture.resolve())).message).toContain('config.json');
  });

  test('a disk that is too small is noticed before the transfer', async () => {
    const error = await hubErrorOf(fixture.resolve({}, { settings: { freeBytes: async () => 1000 } }));
    expect(error.code).toBe('disk');
    expect(error.message).toContain('300.1 kB');
    expect(fixture.hub.requests.some((r) => r.target.includes('/resolve/'))).toBe(false);
  });
});

describe('offline', () => {
  const unreachable = { endpoint: 'http://127.0.0.1:9' };

  test('the cached copy is used without a request', async () => {
    const folder = await fixture.resolve();
    fixture.hub.requests.length = 0;
    expect(await fixture.resolve({ offline: true })).toBe(folder);
    expect(await fixture.resolve({ offline: true }, { revision: MOCK_COMMIT })).toBe(folder);
    expect(fixture.hub.requests).toEqual([]);
  });

  test('without a copy, or with a part of one, the error says so', async () => {
    expect((await hubErrorOf(fixture.resolve({ offline: true }))).code).toBe('offline');
    await fixture.resolve();
    await rm(fixture.cached('snapshots', MOCK_COMMIT, 'model.safetensors'));
    const error = await hubErrorOf(fixture.resolve({ offline: true }));
    expect(error.code).toBe('offline');
    expect(error.message).toContain('without safetensors weights');
  });

  test('a missing shard is a part', async () => {
    fixture.hub.putFile('model.safetensors.index.json', '{"weight_map":{"a":"one.safetensors","b":"two.safetensors"}}');
    fixture.hub.putFile('one.safetensors', patternBytes(10, 1));
    fixture.hub.putFile('two.safetensors', patternBytes(10, 2));
    await fixture.resolve();
    await rm(fixture.cached('blobs', fixture.hub.blobOf('two.safetensors')));
    expect((await hubErrorOf(fixture.resolve({ offline: true }))).message).toContain('without two.safetensors');
  });

  test('a hub that cannot be reached: the copy, with a notice', async () => {
    const folder = await fixture.resolve();
    expect(await fixture.resolve(unreachable)).toBe(folder);
    expect(fixture.notices.at(-1)).toContain(folder);
    expect(fixture.delaysMs).toHaveLength(1);
  });

  test('a hub that cannot be reached, and no copy', async () => {
    const error = await hubErrorOf(fixture.resolve(unreachable));
    expect(error.code).toBe('network');
    expect(error.message).toContain('127.0.0.1:9');
  });

  test('a hub that is down while a new revision is fetched: the old copy', async () => {
    const folder = await fixture.resolve();
    fixture.hub.commit = '2'.repeat(40);
    fixture.hub.putFile('config.json', '{"new":true}');
    fixture.hub.fail('config.json', { kind: 'status', status: 500 }, 100);
    expect(await fixture.resolve()).toBe(folder);
    expect(fixture.notices.at(-1)).toContain('500');
  });

  test('a refusal is not hidden by a copy', async () => {
    await fixture.resolve();
    fixture.hub.access = 'gated';
    expect((await hubErrorOf(fixture.resolve())).code).toBe('gated');
  });
});

describe('local folders and names', () => {
  const ask = (model: string) => resolveModelFolder(model, 'main', fixture.config());

  test('a checkpoint is returned as is', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'local-model-'));
    try {
      expect((await hubErrorOf(ask(folder))).message).toContain('config.json');
      await writeFile(join(folder, 'config.json'), '{}');
      expect(await ask(folder)).toBe(folder);
      expect((await hubErrorOf(ask(join(folder, 'config.json')))).message).toContain('is a file');
      await mkdir(join(folder, 'sub'));
      expect((await hubErrorOf(ask(join(folder, 'nothing')))).code).toBe('not-found');
    } finally {
      await rm(folder, { recursive: true });
    }
    expect(fixture.hub.requests).toEqual([]);
  });

  for (const name of [
    '',
    '.',
    '..',
    './x',
    'a/b/c',
    '../up',
    'org/na me',
    'org/..',
    '-a/b',
    'org/a--b',
    '~/x',
    'org/',
  ]) {
    test(`"${name}" is no hub id`, async () => {
      expect((await hubErrorOf(ask(name))).code).toBe('not-found');
      expect(fixture.hub.requests).toEqual([]);
    });
  }
});
