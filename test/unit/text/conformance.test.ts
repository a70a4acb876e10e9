/**
 * Real tokenizers and the ids and texts that independent implementations give for them. The data is not part of this project: where it
 * is absent these tests are reported as skipped.
 */
import { describe, expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createDetokenizer } from '../../../src/text/detokenizer.ts';
import { TokenTable } from '../../../src/text/token-table.ts';
import { Tokenizer } from '../../../src/text/tokenizer.ts';

const root = join(process.env.WGSLM_CONFORMANCE ?? '../shared/conformance', 'tokenizers');
const isAbsent = !existsSync(root);

interface ExpectedCase {
  readonly text: string;
  readonly ids: readonly number[];
  readonly decoded?: string;
}

const readJson = (path: string): unknown => JSON.parse(readFileSync(join(root, path), 'utf8'));

function load(name: string): Tokenizer {
  const config = `real/${name}.tokenizer_config.json`;
  return new Tokenizer(readJson(`real/${name}.tokenizer.json`), existsSync(join(root, config)) ? readJson(config) : {});
}

function streamed(table: TokenTable, ids: readonly number[], skipSpecialTokens: boolean): string {
  const detokenizer = createDetokenizer(table, { skipSpecialTokens, atTextStart: true });
  let text = '';
  for (const id of ids) {
    const piece = detokenizer.push(id);
    expect(piece.isWellFormed()).toBe(true);
    text += piece;
  }
  return text + detokenizer.flush();
}

/** Name of the files, entry in the list of expectations, whether the expected decoding cleans spaces up. */
const models = [
  { file: 'gpt2', entry: 'Xenova/gpt2', cleansUp: true },
  { file: 'llama1-2_wizard-vicuna', entry: 'Xenova/llama-tokenizer', cleansUp: false },
] as const;

describe.skipIf(isAbsent)('conformance: real tokenizers', () => {
  for (const { file, entry, cleansUp } of models) {
    test(`${file}: ids and decoding`, () => {
      const tokenizer = load(file);
      const table = new TokenTable(tokenizer);
      const cases = Object.values(
        (readJson('tokenizersjs_expected.json') as Record<string, Record<string, ExpectedCase>>)[entry] ?? {},
      );
      expect(cases.length).toBeGreaterThan(10);
      for (const item of cases) {
        expect(tokenizer.encode(item.text, { addSpecialTokens: true })).toEqual([...item.ids]);
        if (item.decoded === undefined) continue;
        if (cleansUp) {
          // The expected text is cleaned up as a whole, which a stream is not.
          expect(tokenizer.decode(item.ids, { skipSpecialTokens: false })).toBe(item.decoded);
          expect(streamed(table, item.ids, false)).toBe(item.text);
        } else {
          expect(streamed(table, item.ids, false)).toBe(item.decoded);
        }
      }
    });
  }

  test('gpt2 and LLaMA ids of another implementation', () => {
    const expected = readJson('llamacpp_vocab_expected.json') as Record<string, ExpectedCase[]>;
    for (const [entry, file] of [
      ['gpt-2', 'gpt2'],
      ['llama-spm', 'llama1-2_wizard-vicuna'],
    ] as const) {
      const tokenizer = load(file);
      for (const item of expected[entry] ?? []) {
        expect(tokenizer.encode(item.text, { addSpecialTokens: false })).toEqual([...item.ids]);
      }
    }
  });

  for (const name of ['gpt2', 'pythia-410m', 'allenai_dolma2', 'llama1-2_wizard-vicuna', 'bert-base-uncased']) {
    test(`${name}: streaming equals the decoding of the whole`, () => {
      const tokenizer = load(name);
      const table = new TokenTable(tokenizer);
      const isLossless = name !== 'bert-base-uncased';
      for (const text of [
        'The quick brown fox',
        'naïve café 日本語',
        '👩‍🚀 👍🏽 e\u0301',
        'def f(x):\n\treturn x  # ok',
        'ⵣ',
      ]) {
        const ids = tokenizer.encode(text, { addSpecialTokens: false });
        if (isLossless) expect(streamed(table, ids, true)).toBe(name === 'pythia-410m' ? text.normalize('NFC') : text);
        else expect(streamed(table, ids, true)).toBe(tokenizer.decode(ids, { skipSpecialTokens: true }));
      }
    });
  }
});
