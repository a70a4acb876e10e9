import { describe, expect, test } from 'bun:test';
import { completionWire } from '../../../src/serving/schema/completions.ts';
import { parseWire } from '../../../src/serving/schema/wire.ts';
import { completionToEngine } from '../../../src/serving/to-engine.ts';
import { infillParts } from '../../../src/text/fill-in-the-middle.ts';
import { TokenTable } from '../../../src/text/token-table.ts';
import { Tokenizer } from '../../../src/text/tokenizer.ts';
import { FakeEngine } from '../../helpers/fake-engine.ts';
import { echoes, testModel, testSettings } from '../../helpers/test-app.ts';
import { byteFallbackFile, byteLevelFile, testIds, testTokenizer } from '../../helpers/test-tokenizer.ts';

interface TokenizerFile {
  readonly added_tokens: readonly { readonly id: number; readonly content: string }[];
}

/** A test tokenizer with more special tokens, from id 300 on. */
function withTokens(file: Record<string, unknown>, names: readonly string[]): Tokenizer {
  const { added_tokens: known } = file as unknown as TokenizerFile;
  const added = names.map((content, i) => ({ ...known[0], id: 300 + i, content }));
  return new Tokenizer({ ...file, added_tokens: [...known, ...added] }, {});
}

const dialects: readonly (readonly [string, readonly string[], string])[] = [
  ['Qwen', ['<|fim_prefix|>', '<|fim_suffix|>', '<|fim_middle|>'], '0 prefix 1 suffix 2'],
  ['StarCoder', ['<fim_prefix>', '<fim_suffix>', '<fim_middle>'], '0 prefix 1 suffix 2'],
  ['CodeLlama', ['▁<PRE>', '▁<SUF>', '▁<MID>'], '0 prefix 1 suffix 2'],
  ['DeepSeek', ['<｜fim▁begin｜>', '<｜fim▁hole｜>', '<｜fim▁end｜>'], '0 prefix 1 suffix 2'],
  ['Seed', ['<[fim-prefix]>', '<[fim-suffix]>', '<[fim-middle]>'], '1 suffix 0 prefix 2'],
  ['Codestral', ['[PREFIX]', '[SUFFIX]'], '1 suffix 0 prefix'],
];

describe('dialects', () => {
  for (const [name, tokens, want] of dialects) {
    test(name, () => {
      const parts = infillParts(withTokens(byteLevelFile(), tokens)) ?? [];
      expect(parts.map((part) => ('token' in part ? part.token - 300 : part.text)).join(' ')).toBe(want);
    });
  }

  test('none, or not all of its tokens', () => {
    expect(infillParts(testTokenizer())).toBeNull();
    expect(infillParts(withTokens(byteLevelFile(), ['<|fim_prefix|>', '<|fim_suffix|>']))).toBeNull();
  });
});

describe('a completion with a suffix', () => {
  const { info } = new FakeEngine({ script: echoes, eosTokenId: testIds.imEnd, vocabSize: 400 });
  const promptOf = async (tokenizer: Tokenizer, body: object): Promise<number[]> => {
    const encoder = {
      encode: async (text: string, options: { addSpecialTokens: boolean }) => tokenizer.encode(text, options),
      close: async () => {},
    };
    const model = { ...testModel(), tokenizer, tokens: new TokenTable(tokenizer), encoder };
    const context = { model, settings: testSettings, info };
    const plan = await completionToEngine(parseWire(completionWire, body), context);
    return [...(plan.choices[0]?.request.promptTokenIds ?? [])];
  };
  const names = ['<PRE>', '<SUF>', '<MID>'];

  test('has both texts between the tokens, as text or as ids', async () => {
    const tokenizer = withTokens(byteLevelFile(), ['<|fim_prefix|>', '<|fim_suffix|>', '<|fim_middle|>']);
    expect(await promptOf(tokenizer, { prompt: 'ab', suffix: 'c' })).toEqual([300, 97, 98, 301, 99, 302]);
    expect(await promptOf(tokenizer, { prompt: [98], suffix: 'c' })).toEqual([300, 98, 301, 99, 302]);
  });

  test('begins as every prompt of the tokenizer does, unless that is not wanted', async () => {
    const tokenizer = withTokens(byteFallbackFile(), names);
    const plain = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
    const middle = [300, ...plain('a'), 301, ...plain('b'), 302];
    expect(await promptOf(tokenizer, { prompt: 'a', suffix: 'b' })).toEqual([1, ...middle]);
    expect(await promptOf(tokenizer, { prompt: 'a', suffix: 'b', add_special_tokens: false })).toEqual(middle);
  });
});
