/**
 * Sequence breakers of DRY: texts -> the token sequences that write them.
 *
 * A text is written by every token that contains it, and by every token that ends with its beginning, followed by the tokens of the
 * rest. That takes a walk over the vocabulary, whose results are kept: most requests name the same few texts.
 * Source: llama.cpp's reading of breakers. Next: `sampling/dry-breakers.ts` (finds them in a sequence).
 */
import type { TokenTable } from '../text/token-table.ts';

/** Rests that are longer are cut: a breaker need not be found to its last letter. */
const maxRestTokens = 20;

/** Texts that are kept for a tokenizer; the oldest goes first. */
const maxKept = 256;

const keptByTable = new WeakMap<TokenTable, Map<string, readonly (readonly number[])[]>>();

/** All sequences of all texts. None is empty; one may come twice. */
export function breakerSequences(texts: readonly string[], tokens: TokenTable): readonly (readonly number[])[] {
  const kept = keptByTable.get(tokens) ?? new Map<string, readonly (readonly number[])[]>();
  keptByTable.set(tokens, kept);
  const all: (readonly number[])[] = [];
  for (const text of texts) {
    let sequences = kept.get(text);
    if (!sequences) {
      sequences = sequencesOf(text, tokens);
      kept.set(text, sequences);
      const oldest = kept.keys().next().value;
      if (kept.size > maxKept && oldest !== undefined) kept.delete(oldest);
    }
    for (const sequence of sequences) all.push(sequence);
  }
  return all;
}

function sequencesOf(text: string, tokens: TokenTable): number[][] {
  const { tokenizer } = tokens;
  const sequences: number[][] = [];
  for (let id = 0; id < tokenizer.vocabSize; id++) {
    const word = tokens.displayText(id);
    if (word.includes(text)) {
      sequences.push([id]);
      continue;
    }
    for (let length = Math.min(word.length, text.length - 1); length > 0; length--) {
      if (!word.endsWith(text.slice(0, length))) continue;
      const rest = tokenizer.encode(text.slice(length), { addSpecialTokens: false }).slice(0, maxRestTokens);
      sequences.push([id, ...rest]);
    }
  }
  return sequences;
}
