import { afterAll, describe, expect, test } from 'bun:test';
import { rm } from 'node:fs/promises';
import { Tokenizer } from '../../../src/text/tokenizer.ts';
import { TokenizerPool } from '../../../src/text/tokenizer-pool.ts';
import {
  byteFallbackFile,
  byteLevelFile,
  testIds,
  testTokenizer,
  testTokenizerLlama,
  writeTestModel,
} from '../../helpers/test-tokenizer.ts';

const plain = { addSpecialTokens: false };

describe('tokenizer', () => {
  const tokenizer = testTokenizer();

  test('encodes with merges and finds special tokens in the text', () => {
    expect(tokenizer.encode('hello world', plain)).toEqual([259, 263]);
    expect(tokenizer.encode('a<|im_end|>', plain)).toEqual([97, testIds.imEnd]);
    expect(tokenizer.encode('', plain)).toEqual([]);
  });

  test('round-trips text of any kind', () => {
    for (const text of ['hello world', " don 't . stop , ", '日本語 👩‍🚀 é', '\u0000\t\n', 'a  b   c ']) {
      expect(tokenizer.decode(tokenizer.encode(text, plain), { skipSpecialTokens: false })).toBe(text);
    }
  });

  test('skips special tokens when asked, ignores unknown ids', () => {
    const ids = [testIds.imStart, 97, testIds.imEnd, 99_999];
    expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe('a');
    expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe('<|im_start|>a<|im_end|>');
    expect(tokenizer.decode([], { skipSpecialTokens: false })).toBe('');
  });

  test('knows its size, its special ids and its named tokens', () => {
    expect(tokenizer.vocabSize).toBe(testIds.vocabSize);
    expect([...tokenizer.specialIds].sort()).toEqual([testIds.endOfText, testIds.imStart, testIds.imEnd]);
    expect(tokenizer.namedTokens).toEqual({ bos_token: '<|endoftext|>', eos_token: '<|im_end|>' });
    expect(tokenizer.idToToken(259)).toBe('hello');
    expect(tokenizer.tokenToId('hello')).toBe(259);
    expect(tokenizer.idToToken(5000)).toBeUndefined();
  });

  test('ignores truncation and padding of the file', () => {
    const file = byteLevelFile();
    file.truncation = { max_length: 2, stride: 0, strategy: 'LongestFirst', direction: 'Right' };
    file.padding = { strategy: { Fixed: 8 }, pad_id: 0, pad_token: '!', direction: 'Right', pad_type_id: 0 };
    expect(new Tokenizer(file, {}).encode('abcd', plain)).toHaveLength(4);
  });

  test('cleans spaces up only where the checkpoint asks for it', () => {
    const ids = tokenizer.encode('a .', plain);
    const decode = (config: object) => new Tokenizer(byteLevelFile(), config).decode(ids, { skipSpecialTokens: false });
    expect(decode({})).toBe('a .');
    expect(decode({ clean_up_tokenization_spaces: true })).toBe('a.');
  });

  test('adds a begin token as the post-processor says', () => {
    const llama = testTokenizerLlama();
    expect(llama.encode('ab', { addSpecialTokens: true })[0]).toBe(1);
    expect(llama.encode('ab', plain)).not.toContain(1);
    expect(llama.encode('', { addSpecialTokens: true })).toEqual([1]);
  });

  test('takes special tokens from tokenizer_config.json as well', () => {
    const file = byteFallbackFile();
    file.added_tokens = [];
    const special = new Tokenizer(file, { added_tokens_decoder: { '2': { content: '</s>', special: true } } })
      .specialIds;
    expect([...special]).toEqual([2]);
  });

  test('names the file that is missing or broken', async () => {
    const broken = await writeTestModel({ 'tokenizer.json': '{' });
    await expect(Tokenizer.load(broken)).rejects.toThrow('tokenizer.json is not valid JSON');
    await rm(broken, { recursive: true });
    await expect(Tokenizer.load(broken)).rejects.toThrow('has no tokenizer.json');
  });
});

describe('tokenizer pool', () => {
  const folders: string[] = [];
  afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

  test('a long text comes back from the thread with the same ids', async () => {
    const folder = await writeTestModel();
    folders.push(folder);
    const pool = new TokenizerPool(testTokenizer(), folder, 10);
    const text = 'hello world '.repeat(200);
    const [long, short] = await Promise.all([pool.encode(text, plain), pool.encode('hello', plain)]);
    expect(long).toBeInstanceOf(Uint32Array);
    expect([...long]).toEqual(testTokenizer().encode(text, plain));
    expect(short).toEqual([259]);
    await pool.close();
  });

  test('a thread that cannot load its tokenizer rejects the text', async () => {
    const pool = new TokenizerPool(testTokenizer(), '/nonexistent', 1);
    await expect(pool.encode('hello', plain)).rejects.toThrow('has no tokenizer.json');
    await pool.close();
  });

  test('closing rejects what waits', async () => {
    const folder = await writeTestModel();
    folders.push(folder);
    const pool = new TokenizerPool(testTokenizer(), folder, 1);
    const waiting = pool.encode('hello world', plain).catch((error: Error) => error.message);
    await pool.close();
    expect(await waiting).toBe('The tokenizer is closed.');
  });
});
