/** Reading safetensors: single, sharded, and everything that can be wrong with them. Fixtures are written here. */

import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EngineError } from '../../../src/engine/types.ts';
import { openSafetensors } from '../../../src/engine/weights/safetensors.ts';
import { assertFloatEntry } from '../../../src/engine/weights/tensor-entry.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'safetensors-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

interface TensorInfo {
  dtype: string;
  shape: unknown;
  data_offsets: unknown;
}

/** A file with any header, valid or not. */
function fileBytes(header: unknown, dataBytes: number, options: { length?: bigint } = {}): Uint8Array {
  const text = typeof header === 'string' ? header : JSON.stringify(header);
  const json = new TextEncoder().encode(text);
  const file = new Uint8Array(8 + json.length + dataBytes);
  new DataView(file.buffer).setBigUint64(0, options.length ?? BigInt(json.length), true);
  file.set(json, 8);
  for (let i = 0; i < dataBytes; i++) file[8 + json.length + i] = i % 251;
  return file;
}

const f32 = (length: number, begin: number): TensorInfo => ({
  dtype: 'F32',
  shape: [length],
  data_offsets: [begin, begin + length * 4],
});

async function put(name: string, bytes: Uint8Array | string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
}

/** The EngineError that opening fails with. */
async function failure(path: string): Promise<EngineError> {
  const error = await openSafetensors(path).then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof EngineError)) throw new Error(`expected an EngineError, got ${String(error)}`);
  expect(error.code).toBe('load-failed');
  return error;
}

async function fails(header: unknown, dataBytes: number, ...words: string[]): Promise<void> {
  const path = await put('x.safetensors', fileBytes(header, dataBytes));
  const { message } = await failure(path);
  for (const word of [path, ...words]) expect(message).toContain(word);
}

describe('one file', () => {
  test('names, entries and bytes, in chunks', async () => {
    const header = {
      __metadata__: { format: 'pt' },
      second: { dtype: 'BF16', shape: [2, 3], data_offsets: [40, 52] },
      first: f32(10, 0),
      scalar: { dtype: 'F16', shape: [], data_offsets: [52, 54] },
      empty: { dtype: 'F32', shape: [0, 4], data_offsets: [54, 54] },
    };
    const path = await put('model.safetensors', fileBytes(header, 54));
    const files = await openSafetensors(path);
    expect(files.names()).toEqual(['first', 'second', 'scalar', 'empty']);
    expect(files.entry('second')).toMatchObject({
      name: 'second',
      dtype: 'BF16',
      shape: [2, 3],
      byteLength: 12,
      file: path,
    });
    const buffer = new Uint8Array(16);
    for (let offset = 0; offset < 40; offset += 16) {
      const chunk = buffer.subarray(0, Math.min(16, 40 - offset));
      await files.read('first', chunk, offset);
      expect([...chunk]).toEqual([...chunk.keys()].map((i) => (offset + i) % 251));
    }
    const parts = [new Uint8Array(5), new Uint8Array(7)] as const;
    await Promise.all([files.read('second', parts[0], 0), files.read('second', parts[1], 5)]);
    expect([...parts[0], ...parts[1]]).toEqual(Array.from({ length: 12 }, (_, i) => 40 + i));
    await files.read('empty', new Uint8Array(0), 0);
    await files.close();
  });

  test('a range outside the tensor, and a tensor that is not there', async () => {
    const path = await put('model.safetensors', fileBytes({ w: f32(2, 0) }, 8));
    const files = await openSafetensors(path);
    await expect(files.read('w', new Uint8Array(5), 4)).rejects.toThrow('tensor w has 8 bytes');
    await expect(files.read('w', new Uint8Array(1), -1)).rejects.toThrow('tensor w');
    await expect(files.read('v', new Uint8Array(1), 0)).rejects.toThrow('There is no tensor v');
    expect(() => files.entry('v')).toThrow(path);
    expect(files.has('v')).toBe(false);
    await files.close();
  });

  test('a file that shrinks after opening', async () => {
    const bytes = fileBytes({ a: f32(2, 0), w: f32(100, 8) }, 408);
    const path = await put('model.safetensors', bytes);
    const files = await openSafetensors(path);
    await truncate(path, bytes.length - 10);
    await expect(files.read('w', new Uint8Array(400), 0)).rejects.toThrow(`${path}: tensor w is cut short`);
    await files.close();
  });

  test('integers can be there, but not be weights', async () => {
    const header = { ids: { dtype: 'I64', shape: [2], data_offsets: [0, 16] }, w: f32(1, 16) };
    const path = await put('model.safetensors', fileBytes(header, 20));
    const files = await openSafetensors(path);
    expect(() => assertFloatEntry(files.entry('ids'))).toThrow(`${path}: tensor ids has dtype I64`);
    expect(() => assertFloatEntry(files.entry('w'))).not.toThrow();
    await files.close();
  });

  test('names that are also properties of objects', async () => {
    const path = await put(
      'm.safetensors',
      fileBytes('{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1),
    );
    const files = await openSafetensors(path);
    expect(files.names()).toEqual(['__proto__']);
    await files.close();
    await fails({ w: { dtype: 'constructor', shape: [1], data_offsets: [0, 1] } }, 1, 'tensor w', 'constructor');
  });
});

describe('a broken file', () => {
  test('cut in its tensors', () => fails({ a: f32(10, 0), b: f32(10, 40) }, 50, 'tensor b', 'cut short'));
  test('bytes too many', () => fails({ a: f32(10, 0) }, 41, '1 bytes that belong to no tensor'));
  test('a gap', () => fails({ a: f32(1, 0), b: f32(1, 8) }, 12, 'tensor b'));
  test('a gap in front', () => fails({ a: f32(1, 4) }, 8, 'tensor a'));
  test('an overlap', () => fails({ a: f32(2, 0), b: f32(2, 4) }, 12, 'tensor b'));
  test('an unknown dtype', () => fails({ w: { ...f32(1, 0), dtype: 'F12' } }, 4, 'tensor w', 'F12'));
  test('a shape of another size', () => fails({ w: { ...f32(2, 0), shape: [3] } }, 8, 'tensor w', 'F32 [3]'));
  test('a shape beyond all numbers', () => fails({ w: { ...f32(2, 0), shape: [2 ** 40, 2 ** 40] } }, 8, 'tensor w'));
  test('half a byte', () => fails({ w: { dtype: 'F4', shape: [3], data_offsets: [0, 1] } }, 1, 'tensor w', 'F4 [3]'));
  for (const shape of [[-1], [1.5], ['1'], 4, null]) {
    test(`shape ${JSON.stringify(shape)}`, () => fails({ w: { ...f32(1, 0), shape } }, 4, 'tensor w', 'shape'));
  }
  for (const offsets of [[4, 0], [0], [0, 4, 8], [-4, 0], [0, 2 ** 60], null]) {
    const name = `offsets ${JSON.stringify(offsets)}`;
    test(name, () => fails({ w: { ...f32(1, 0), data_offsets: offsets } }, 4, 'tensor w', 'offsets'));
  }
  for (const header of ['[]', 'null', '{', '"x"', '']) {
    test(`header ${header}`, () => fails(header, 0, 'not a JSON object'));
  }
  test('a tensor without description', () => fails({ w: 3 }, 0, 'tensor w'));

  test('no file, an empty one, a short one', async () => {
    expect((await failure(join(folder, 'nothing'))).message).toContain('does not exist');
    expect((await failure(await put('a.safetensors', ''))).message).toContain('only 0 bytes');
    expect((await failure(await put('b.safetensors', 'abc'))).message).toContain('only 3 bytes');
  });

  test('header lengths that cannot be', async () => {
    const huge = await failure(await put('a.safetensors', fileBytes({}, 0, { length: 2n ** 63n })));
    expect(huge.message).toContain('at most 100000000');
    const longer = await failure(await put('b.safetensors', fileBytes({}, 0, { length: 50n })));
    expect(longer.message).toContain('cut short');
  });

  test('a header that is not UTF-8', async () => {
    const bytes = fileBytes('{"a":""}', 0);
    bytes[14] = 0xff;
    expect((await failure(await put('a.safetensors', bytes))).message).toContain('not a JSON object');
  });
});

describe('a folder', () => {
  const index = (weightMap: Record<string, unknown>) =>
    put('model.safetensors.index.json', JSON.stringify({ metadata: { total_size: 1 }, weight_map: weightMap }));

  test('model.safetensors, or whatever safetensors there are', async () => {
    await put('b.safetensors', fileBytes({ b: f32(1, 0) }, 4));
    await put('a.safetensors', fileBytes({ a: f32(1, 0) }, 4));
    await put('consolidated.safetensors', 'not read');
    const all = await openSafetensors(folder);
    expect(all.names()).toEqual(['a', 'b']);
    await all.close();
    await put('model.safetensors', fileBytes({ m: f32(1, 0) }, 4));
    const single = await openSafetensors(folder);
    expect(single.names()).toEqual(['m']);
    await single.close();
  });

  test('without weights', async () => {
    await put('pytorch_model.bin', 'x');
    expect((await failure(folder)).message).toContain('no safetensors weights');
  });

  test('shards', async () => {
    await put('s1.safetensors', fileBytes({ a: f32(1, 0), b: f32(2, 4) }, 12));
    const second = await put('s2.safetensors', fileBytes({ c: f32(3, 0) }, 12));
    await index({ c: 's2.safetensors', a: 's1.safetensors', b: 's1.safetensors' });
    const files = await openSafetensors(folder);
    expect(files.names()).toEqual(['a', 'b', 'c']);
    expect(files.entry('c').file).toBe(second);
    const bytes = new Uint8Array(12);
    await files.read('c', bytes, 0);
    expect([...bytes]).toEqual([...bytes.keys()]);
    await files.close();
  });

  test('missing shards are all named', async () => {
    await put('s1.safetensors', fileBytes({ a: f32(1, 0) }, 4));
    await index({ a: 's1.safetensors', b: 's2.safetensors', c: 's3.safetensors' });
    expect((await failure(folder)).message).toContain('s2.safetensors, s3.safetensors');
  });

  test('an index that names a tensor which its shard does not hold', async () => {
    const first = await put('s1.safetensors', fileBytes({ a: f32(1, 0) }, 4));
    await put('s2.safetensors', fileBytes({ b: f32(1, 0) }, 4));
    await index({ a: 's1.safetensors', b: 's1.safetensors', c: 's2.safetensors' });
    const { message } = await failure(folder);
    expect(message).toContain(`${first}: tensor b is not there`);
  });

  test('a name in two shards', async () => {
    const first = await put('s1.safetensors', fileBytes({ a: f32(1, 0) }, 4));
    const second = await put('s2.safetensors', fileBytes({ a: f32(1, 0), b: f32(1, 4) }, 8));
    await index({ a: 's1.safetensors', b: 's2.safetensors' });
    const { message } = await failure(folder);
    for (const word of [first, second, 'tensor a']) expect(message).toContain(word);
  });

  for (const file of ['../other.safetensors', '/etc/x.safetensors', 'a\\b.safetensors', 'model.bin', 7, null]) {
    test(`an index that names ${JSON.stringify(file)}`, async () => {
      await index({ w: file });
      const { message } = await failure(folder);
      expect(message).toContain('tensor w');
      expect(message).toContain('index.json');
    });
  }

  for (const text of ['', '[]', '{}', '{"weight_map":[]}', '{"weight_map":{}}']) {
    test(`an index of ${text === '' ? 'nothing' : text}`, async () => {
      await put('model.safetensors.index.json', text);
      expect((await failure(folder)).message).toContain('index.json');
    });
  }
});
