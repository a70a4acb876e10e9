/**
 * Small tokenizers made in code, so that tests need no files of others.
 *
 * Byte-level: ids 0-255 are the bytes, then a few merges, then special tokens. LLaMA style: the same idea with byte fallback.
 */
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { byteOfSymbol } from '../../src/text/token-table.ts';
import { Tokenizer } from '../../src/text/tokenizer.ts';

const symbols: readonly string[] = [...byteOfSymbol]
  .sort(([, left], [, right]) => left - right)
  .map(([symbol]) => symbol);

/** Pairs of vocabulary spellings; `Ġ` is a space. */
const merges: readonly (readonly [string, string])[] = [
  ['h', 'e'],
  ['l', 'l'],
  ['he', 'll'],
  ['hell', 'o'],
  ['Ġ', 'w'],
  ['o', 'r'],
  ['Ġw', 'or'],
  ['Ġwor', 'ld'],
  ['l', 'd'],
];

const specialTokens = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'] as const;

export const chatMlTemplate =
  "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** A tokenizer.json with ids 0-255 = bytes. */
export function byteLevelFile(): Record<string, unknown> {
  const vocab: Record<string, number> = {};
  for (const [id, symbol] of symbols.entries()) vocab[symbol] = id;
  let next = 256;
  for (const [left, right] of merges) vocab[left + right] = next++;
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content) => ({
      id: next++,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges: merges.map(([left, right]) => `${left} ${right}`),
    },
  };
}

export const byteLevelConfig = {
  bos_token: '<|endoftext|>',
  eos_token: { content: '<|im_end|>' },
  clean_up_tokenization_spaces: false,
  chat_template: chatMlTemplate,
};

/** A tokenizer.json in the style of LLaMA: `▁` for spaces, `<0xXX>` for bytes, a begin token from the post-processor. */
export function byteFallbackFile(): Record<string, unknown> {
  const vocab: Record<string, number> = { '<unk>': 0, '<s>': 1, '</s>': 2 };
  for (let byte = 0; byte < 256; byte++) vocab[`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`] = 3 + byte;
  for (const piece of ['▁', 'a', 'b', 'c', 'd', '▁a', '▁b', 'ab', '▁ab']) vocab[piece] = Object.keys(vocab).length;
  const special = (id: number, content: string) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  });
  return {
    version: '1.0',
    added_tokens: [special(0, '<unk>'), special(1, '<s>'), special(2, '</s>')],
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
      special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      unk_token: '<unk>',
      fuse_unk: true,
      byte_fallback: true,
      vocab,
      merges: ['▁ a', 'a b', '▁ b', '▁ ab'],
    },
  };
}

export const testTokenizer = (): Tokenizer => new Tokenizer(byteLevelFile(), byteLevelConfig);

export const testTokenizerLlama = (): Tokenizer => new Tokenizer(byteFallbackFile(), {});

/** Ids of the special tokens of {@link testTokenizer}. */
export const testIds = { endOfText: 265, imStart: 266, imEnd: 267, vocabSize: 268 } as const;

/** A temporary checkpoint folder with the byte-level tokenizer; `extra` adds or replaces files. */
export async function writeTestModel(extra: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'wgslm-text-'));
  const files: Record<string, unknown> = {
    'tokenizer.json': byteLevelFile(),
    'tokenizer_config.json': byteLevelConfig,
    ...extra,
  };
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
  }
  return folder;
}
