/** Transfers that go wrong: a blob is right or is not there. */

import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Fault } from '../../helpers/mock-hub.ts';
import { HubFixture, hubErrorOf, patternBytes, WEIGHTS } from './hub-fixture.ts';

const FILE = 'model.safetensors';

let fixture: HubFixture;
beforeEach(async () => {
  fixture = await HubFixture.create();
});
afterEach(() => fixture.dispose());

async function weightsIn(folder: string): Promise<Uint8Array> {
  return new Uint8Array(await readFile(join(folder, FILE)));
}

/** The Range of each request for the weights; 'all' where there was none. */
function rangesSent(): string[] {
  return fixture.hub.transfersOf(FILE).flatMap((r) => (r.host === 'storage' ? [r.headers.range ?? 'all'] : []));
}

describe('a connection that ends too early is resumed', () => {
  for (const kind of ['chunked-cut', 'short'] as const) {
    test(kind, async () => {
      fixture.hub.fail(FILE, { kind }, 2);
      expect(await weightsIn(await fixture.resolve())).toEqual(WEIGHTS);
      // Each broken answer brings half of the rest.
      expect(rangesSent()).toEqual(['all', 'bytes=150000-', 'bytes=225000-']);
    });
  }

  test('cut', async () => {
    fixture.hub.fail(FILE, { kind: 'cut' });
    expect(await weightsIn(await fixture.resolve())).toEqual(WEIGHTS);
    // How much of the half was read before the break is up to the runtime.
    expect(rangesSent()).toEqual(['all', expect.stringMatching(/^bytes=[1-9]\d*-$/)]);
  });

  test('a connection that stays open but silent counts as broken', async () => {
    fixture.hub.fail(FILE, { kind: 'silent' });
    const folder = await fixture.resolve({}, { settings: { stallTimeoutMs: 500 } });
    expect(await weightsIn(folder)).toEqual(WEIGHTS);
    expect(rangesSent()).toContain('bytes=150000-');
  });

  test('more breaks than retries, as long as each try brings something', async () => {
    fixture.hub.fail(FILE, { kind: 'cut' }, 12);
    expect(await weightsIn(await fixture.resolve())).toEqual(WEIGHTS);
    expect(rangesSent()).toHaveLength(13);
  });

  test('a server that ignores Range starts over, and its first bytes are passed over', async () => {
    fixture.hub.fail(FILE, { kind: 'chunked-cut' });
    fixture.hub.fail(FILE, { kind: 'ignore-range' });
    expect(await weightsIn(await fixture.resolve())).toEqual(WEIGHTS);
    expect(rangesSent()).toEqual(['all', 'bytes=150000-']);
  });

  test('a wrong range is not trusted', async () => {
    fixture.hub.fail(FILE, { kind: 'chunked-cut' });
    fixture.hub.fail(FILE, { kind: 'wrong-range' });
    expect(await weightsIn(await fixture.resolve())).toEqual(WEIGHTS);
    expect(rangesSent()).toEqual(['all', 'bytes=150000-', 'all']);
  });

  test('416 starts over', async () => {
    fixture.hub.fail(FILE, { kind: 'chunked-cut' });
    fixture.hub.fail(FILE, { kind: 'status', status: 416 });
    expect(await weightsIn(await fixture.resolve())).toEqual(WEIGHTS);
  });
});

describe('corrupt bytes', () => {
  test('are fetched once more', async () => {
    fixture.hub.fail(FILE, { kind: 'corrupt' });
    expect(await weightsIn(await fixture.resolve())).toEqual(WEIGHTS);
    expect(fixture.progress.at(-1)?.bytesDone).toBe(fixture.progress.at(-1)?.bytesTotal);
  });

  test('twice are an integrity error, and nothing is stored', async () => {
    fixture.hub.fail(FILE, { kind: 'corrupt' }, 2);
    const error = await hubErrorOf(fixture.resolve());
    expect(error.code).toBe('integrity');
    expect(error.message).toContain(FILE);
    expect(existsSync(fixture.cached('blobs', fixture.hub.blobOf(FILE)))).toBe(false);
    expect(existsSync(fixture.cached('refs', 'main'))).toBe(false);
    expect(existsSync(fixture.cached('snapshots', fixture.hub.commit, 'config.json'))).toBe(false);
  });

  test("of a small file are found by git's sha1", async () => {
    fixture.hub.fail('tokenizer.json', { kind: 'corrupt' }, 2);
    expect((await hubErrorOf(fixture.resolve())).code).toBe('integrity');
  });
});

describe('statuses', () => {
  const passing: Fault[] = [408, 429, 500, 502, 503, 504].map((status) => ({ kind: 'status', status }));
  for (const fault of [...passing, { kind: 'refuse' } as const]) {
    test(`${fault.kind} ${fault.kind === 'status' ? fault.status : ''} is tried again, for the API and for files`, async () => {
      for (const part of ['/revision/', '/tree/', 'tokenizer.json', FILE]) fixture.hub.fail(part, fault, 2);
      expect(await weightsIn(await fixture.resolve())).toEqual(WEIGHTS);
      expect(fixture.delaysMs.length).toBe(8);
    });
  }

  test('Retry-After is obeyed', async () => {
    const headers = { 'Retry-After': '7' };
    fixture.hub.fail('/revision/', { kind: 'status', status: 429, headers });
    await fixture.resolve();
    expect(fixture.delaysMs).toEqual([7000]);
  });

  test('pauses grow, and the tries end', async () => {
    fixture.hub.fail(FILE, { kind: 'status', status: 503 }, 100);
    const error = await hubErrorOf(fixture.resolve({}, { settings: { numParallelFiles: 1 } }));
    expect(error.code).toBe('network');
    expect(error.message).toContain('503');
    expect(rangesSent()).toHaveLength(6);
    expect(fixture.delaysMs).toHaveLength(5);
    expect(fixture.delaysMs.every((ms, i) => i === 0 || ms > (fixture.delaysMs[i - 1] ?? 0))).toBe(true);
  });

  test('403 of the storage host asks the Hub for a new address', async () => {
    fixture.hub.fail(FILE, { kind: 'status', status: 403 });
    expect(await weightsIn(await fixture.resolve())).toEqual(WEIGHTS);
    expect(fixture.hub.requests.filter((r) => r.target.includes(`/resolve/`) && r.target.includes(FILE))).toHaveLength(
      2,
    );
  });

  test('404 of the storage host is not tried again', async () => {
    fixture.hub.fail(FILE, { kind: 'status', status: 404 });
    expect((await hubErrorOf(fixture.resolve())).code).toBe('network');
    expect(fixture.delaysMs).toEqual([]);
  });
});

describe('resume across runs', () => {
  test('what a failed run left is used', async () => {
    fixture.hub.fail(FILE, { kind: 'chunked-cut' });
    fixture.hub.fail(FILE, { kind: 'status', status: 404 });
    await hubErrorOf(fixture.resolve());
    const partial = fixture.cached('blobs', `${fixture.hub.blobOf(FILE)}.incomplete`);
    expect((await readFile(partial)).length).toBe(150_000);
    expect(await weightsIn(await fixture.resolve())).toEqual(WEIGHTS);
    expect(rangesSent().at(-1)).toBe('bytes=150000-');
    expect((await readdir(fixture.cached('blobs'))).filter((name) => name.includes('incomplete'))).toEqual([]);
  });

  test('damage in what was left is found, and does not use up the refetch', async () => {
    await mkdir(fixture.cached('blobs'), { recursive: true });
    const partial = fixture.cached('blobs', `${fixture.hub.blobOf(FILE)}.incomplete`);
    await writeFile(partial, new Uint8Array(1000));
    expect(await weightsIn(await fixture.resolve())).toEqual(WEIGHTS);
    expect(rangesSent()).toEqual(['bytes=1000-', 'all']);
  });

  test('a part that is too long is dropped', async () => {
    await mkdir(fixture.cached('blobs'), { recursive: true });
    await writeFile(fixture.cached('blobs', `${fixture.hub.blobOf(FILE)}.incomplete`), new Uint8Array(400_000));
    expect(await weightsIn(await fixture.resolve())).toEqual(WEIGHTS);
    expect(rangesSent()).toEqual(['all']);
  });

  test('a blob of the wrong size, as other programs store cut files, is fetched again', async () => {
    await mkdir(fixture.cached('blobs'), { recursive: true });
    await writeFile(fixture.cached('blobs', fixture.hub.blobOf(FILE)), WEIGHTS.subarray(0, 1000));
    expect(await weightsIn(await fixture.resolve())).toEqual(WEIGHTS);
  });
});

describe('several at once', () => {
  test('two downloads of one model make one transfer', async () => {
    const folders = await Promise.all([fixture.resolve(), fixture.resolve()]);
    expect(folders[0]).toBe(folders[1] ?? '');
    expect(await weightsIn(folders[0] ?? '')).toEqual(WEIGHTS);
    expect(rangesSent()).toEqual(['all']);
  });

  test('without locks both transfer, and both are right', async () => {
    const settings = { tryLock: async () => 'unsupported' as const };
    const folders = await Promise.all([fixture.resolve({}, { settings }), fixture.resolve({}, { settings })]);
    expect(await weightsIn(folders[1] ?? '')).toEqual(WEIGHTS);
    expect((await readdir(fixture.cached('blobs'))).filter((name) => name.includes('incomplete'))).toEqual([]);
  });

  test('without locks a failed transfer leaves no file behind', async () => {
    fixture.hub.fail(FILE, { kind: 'chunked-cut' });
    fixture.hub.fail(FILE, { kind: 'status', status: 404 });
    await hubErrorOf(fixture.resolve({}, { settings: { tryLock: async () => 'unsupported' } }));
    expect((await readdir(fixture.cached('blobs'))).filter((name) => name.includes('incomplete'))).toEqual([]);
  });

  test('the failure of one file stops the others', async () => {
    fixture.hub.putFile('tokenizer.model', patternBytes(1000));
    fixture.hub.fail('tokenizer.model', { kind: 'silent' });
    fixture.hub.fail(FILE, { kind: 'status', status: 404 });
    // The silent one alone would keep this waiting for the stall timeout of 30 s.
    expect((await hubErrorOf(fixture.resolve())).message).toContain(FILE);
  });

  test('never more files side by side than allowed', async () => {
    for (let i = 0; i < 9; i++) fixture.hub.putFile(`config_${i}.json`, `{"n":${i}}`);
    let running = 0;
    let most = 0;
    const settings = {
      fetch: async (url: string, init: RequestInit) => {
        running++;
        most = Math.max(most, running);
        try {
          return await fetch(url, init);
        } finally {
          running--;
        }
      },
    };
    await fixture.resolve({}, { settings });
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(4);
  });
});

describe('abort', () => {
  test('ends a running transfer with the given reason and keeps the part', async () => {
    fixture.hub.fail(FILE, { kind: 'silent' });
    const controller = new AbortController();
    const reason = new Error('enough');
    const promise = fixture.resolve(
      {},
      {
        signal: controller.signal,
        onProgress: ({ file }) => {
          if (file === FILE) controller.abort(reason);
        },
      },
    );
    expect(await promise.catch((error: unknown) => error)).toBe(reason);
    const partial = await readFile(fixture.cached('blobs', `${fixture.hub.blobOf(FILE)}.incomplete`));
    expect(partial.length).toBeGreaterThan(0);
  });

  test('before the start asks nothing', async () => {
    const promise = fixture.resolve({}, { signal: AbortSignal.abort() });
    await expect(promise).rejects.toThrow();
    expect(fixture.hub.requests).toEqual([]);
  });
});
