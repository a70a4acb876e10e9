/**
 * Prompts that ask for what belongs between two texts, for tokenizers that have tokens for it.
 *
 * Owns the table of dialects; a dialect is used when the vocabulary has all of its tokens. Next: `serving/prompt.ts`.
 */
import type { Tokenizer } from './tokenizer.ts';

/** Token spellings of one dialect, and which text comes first. */
interface Dialect {
  readonly prefix: string;
  readonly suffix: string;
  /** Null: the prompt ends with the text that comes last. */
  readonly middle: string | null;
  readonly order: 'prefix-first' | 'suffix-first';
}

/** Most specific first. */
const dialects: readonly Dialect[] = [
  // Qwen2.5-Coder, CodeGemma.
  { prefix: '<|fim_prefix|>', suffix: '<|fim_suffix|>', middle: '<|fim_middle|>', order: 'prefix-first' },
  // StarCoder, StarCoder 2, Stable Code, Granite.
  { prefix: '<fim_prefix>', suffix: '<fim_suffix>', middle: '<fim_middle>', order: 'prefix-first' },
  { prefix: '<fim-prefix>', suffix: '<fim-suffix>', middle: '<fim-middle>', order: 'prefix-first' },
  // DeepSeek-Coder: the hole stands where the middle is missing.
  {
    prefix: '<\uff5cfim\u2581begin\uff5c>',
    suffix: '<\uff5cfim\u2581hole\uff5c>',
    middle: '<\uff5cfim\u2581end\uff5c>',
    order: 'prefix-first',
  },
  // CodeLlama.
  { prefix: '\u2581<PRE>', suffix: '\u2581<SUF>', middle: '\u2581<MID>', order: 'prefix-first' },
  { prefix: '<PRE>', suffix: '<SUF>', middle: '<MID>', order: 'prefix-first' },
  // GLM-4.
  { prefix: '<|code_prefix|>', suffix: '<|code_suffix|>', middle: '<|code_middle|>', order: 'prefix-first' },
  // Seed-Coder.
  { prefix: '<[fim-prefix]>', suffix: '<[fim-suffix]>', middle: '<[fim-middle]>', order: 'suffix-first' },
  // Codestral: the answer follows the prefix.
  { prefix: '[PREFIX]', suffix: '[SUFFIX]', middle: null, order: 'suffix-first' },
];

/** The parts of a prompt, each a token or a text to encode. */
export type InfillPart = { readonly token: number } | { readonly text: 'prefix' | 'suffix' };

/** The order in which a tokenizer's model wants the parts; null where it has no tokens for it. */
export function infillParts(tokenizer: Tokenizer): readonly InfillPart[] | null {
  for (const { prefix, suffix, middle, order } of dialects) {
    const [prefixId, suffixId] = [tokenizer.tokenToId(prefix), tokenizer.tokenToId(suffix)];
    const middleId = middle === null ? null : tokenizer.tokenToId(middle);
    if (prefixId === undefined || suffixId === undefined || middleId === undefined) continue;
    const before: InfillPart[] = [{ token: prefixId }, { text: 'prefix' }];
    const after: InfillPart[] = [{ token: suffixId }, { text: 'suffix' }];
    const both = order === 'prefix-first' ? [...before, ...after] : [...after, ...before];
    return middleId === null ? both : [...both, { token: middleId }];
  }
  return null;
}
