import { describe, expect, test } from 'bun:test';
import { createDetokenizer } from '../../../src/text/detokenizer.ts';
import { TokenTable } from '../../../src/text/token-table.ts';
import { Tokenizer } from '../../../src/text/tokenizer.ts';
import { byteLevelFile, testIds, testTokenizer, testTokenizerLlama } from '../../helpers/test-tokenizer.ts';

const bytesOf = (text: string): number[] => [...new TextEncoder().encode(text)];

/** Pieces of a stream, the last one being the flush. */
function stream(
  table: TokenTable,
  ids: readonly number[],
  options: { skip?: boolean; atStart?: boolean } = {},
): string[] {
  const detokenizer = createDetokenizer(table, {
    skipSpecialTokens: options.skip ?? true,
    atTextStart: options.atStart ?? true,
  });
  return [...ids.map((id) => detokenizer.push(id)), detokenizer.flush()];
}

const isWhole = (piece: string): boolean => piece.isWellFormed();

describe('byte-level', () => {
  const table = new TokenTable(testTokenizer());

  test('holds an emoji back until its last byte', () => {
    expect(stream(table, [97, ...bytesOf('👍'), 98])).toEqual(['a', '', '', '', '👍', 'b', '']);
  });

  test('flushes half a character as one replacement', () => {
    expect(stream(table, [97, 0xe2, 0x82])).toEqual(['a', '', '', '\ufffd']);
  });

  test('broken bytes do not swallow what follows', () => {
    expect(stream(table, [0xe2, 97, 0xff, 98, 0x80]).join('')).toBe('\ufffda\ufffdb\ufffd');
  });

  test('agrees with the platform decoder on random bytes, whatever the order', () => {
    let state = 12345;
    const random = (): number => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return state >>> 16;
    };
    const leads = [0x41, 0xc3, 0xe2, 0xed, 0xf0, 0xf4, 0xef];
    for (let round = 0; round < 500; round++) {
      const ids = Array.from({ length: 1 + (random() % 20) }, () =>
        random() % 2 === 0 ? (leads[random() % leads.length] ?? 0) : 0x80 + (random() % 0x40),
      );
      const pieces = stream(table, ids);
      expect(pieces.join('')).toBe(new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(ids)));
      expect(pieces.every(isWhole)).toBe(true);
    }
  });

  test('skips special tokens or prints them as they are', () => {
    const ids = [testIds.imStart, 97, testIds.imEnd];
    expect(stream(table, ids).join('')).toBe('a');
    expect(stream(table, ids, { skip: false }).join('')).toBe('<|im_start|>a<|im_end|>');
  });

  test('ignores ids that are not in the vocabulary', () => {
    expect(stream(table, [97, 1_000_000, 98]).join('')).toBe('ab');
  });

  test('gives bytes and text of single tokens', () => {
    expect([...table.bytes(260)]).toEqual(bytesOf(' w'));
    expect([...table.bytes(0xe2)]).toEqual([0xe2]);
    expect(table.displayText(0xe2)).toBe('\ufffd');
    expect(table.displayText(testIds.imEnd)).toBe('<|im_end|>');
    expect([...table.bytes(-1)]).toEqual([]);
  });
});

describe('pieces with byte fallback', () => {
  const tokenizer = testTokenizerLlama();
  const table = new TokenTable(tokenizer);
  const id = (token: string): number => tokenizer.tokenToId(token) ?? -1;
  const byteIds = (text: string): number[] => bytesOf(text).map((byte) => 3 + byte);

  test('cuts one leading space, at the start of the text only', () => {
    expect(stream(table, [1, id('▁a'), id('▁b')]).join('')).toBe('a b');
    expect(stream(table, [id('▁a'), id('▁b')], { atStart: false }).join('')).toBe(' a b');
    expect(stream(table, [id('▁'), id('▁a')]).join('')).toBe(' a');
  });

  test('collects bytes to characters', () => {
    expect(stream(table, [id('a'), ...byteIds('é👍'), id('b')])).toEqual(['a', '', 'é', '', '', '', '👍', 'b', '']);
  });

  test('one replacement for each byte of a broken run', () => {
    expect(stream(table, [...byteIds('👍').slice(0, 3), id('a')]).join('')).toBe('\ufffd\ufffd\ufffda');
    expect(stream(table, byteIds('👍').slice(0, 2)).join('')).toBe('\ufffd\ufffd');
  });

  test('whole sequences agree with the tokenizer', () => {
    for (const text of ['ab a  b', 'é', '👍 ab', 'a\nb']) {
      const ids = tokenizer.encode(text, { addSpecialTokens: true });
      expect(stream(table, ids).join('')).toBe(text);
      expect(stream(table, ids).join('')).toBe(tokenizer.decode(ids, { skipSpecialTokens: true }));
    }
  });
});

describe('generic', () => {
  const withDecoder = (decoder: unknown): TokenTable =>
    new TokenTable(new Tokenizer({ ...byteLevelFile(), decoder }, {}));

  test('a decoder of an unusual composition prints the same text', () => {
    const table = withDecoder({
      type: 'Sequence',
      decoders: [{ type: 'ByteLevel' }, { type: 'Strip', content: ' ', start: 0, stop: 0 }],
    });
    expect(table.kind.kind).toBe('generic');
    const ids = [97, ...bytesOf('👍'), 98, 263];
    const pieces = stream(table, ids);
    expect(pieces.join('')).toBe('a👍b world');
    expect(pieces.every((piece) => !piece.includes('\ufffd'))).toBe(true);
  });

  test('special tokens that follow each other are printed with a space or without', () => {
    // Without a decoder tokens are joined by spaces.
    const table = withDecoder(null);
    expect(table.kind.kind).toBe('generic');
    const ids = [97, testIds.imStart, testIds.imEnd, 98, testIds.imEnd];
    const shown = (spacesBetweenSpecialTokens: boolean): string => {
      const options = { skipSpecialTokens: false, atTextStart: true, spacesBetweenSpecialTokens };
      const detokenizer = createDetokenizer(table, options);
      return ids.map((id) => detokenizer.push(id)).join('') + detokenizer.flush();
    };
    expect(shown(true)).toBe('a <|im_start|> <|im_end|> b <|im_end|>');
    expect(shown(false)).toBe('a <|im_start|><|im_end|> b <|im_end|>');
  });

  test('replacement characters are printed in the end', () => {
    const table = withDecoder({
      type: 'Sequence',
      decoders: [{ type: 'ByteLevel' }, { type: 'Strip', content: ' ', start: 0, stop: 0 }],
    });
    expect(stream(table, [97, 0xe2]).join('')).toBe('a\ufffd');
    expect(stream(table, new Array<number>(40).fill(0xff)).join('')).toBe('\ufffd'.repeat(40));
  });
});
