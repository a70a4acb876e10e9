/**
 * Classifies the `decoder` of a tokenizer.json by how it can be run on one token at a time.
 *
 * Three kinds cover what there is: ByteLevel, pieces (LLaMA style) and everything else. Knows no vocabulary.
 * Next: `token-table.ts` (bytes of each token), `detokenizer.ts` (the streams).
 */

/** How tokens become text. */
export type DecoderKind =
  /** Each token is a string of byte symbols. */
  | { readonly kind: 'byte-level' }
  /** Tokens are text in which a symbol stands for a space; `<0xXX>` may stand for a byte; leading spaces are cut from the whole. */
  | {
      readonly kind: 'pieces';
      readonly spaceSymbol: string;
      readonly byteFallback: boolean;
      /** Spaces cut from the very beginning of the text. */
      readonly leadingSpaces: number;
    }
  /** Only whole sequences can be decoded. */
  | { readonly kind: 'generic' };

interface DecoderConfig {
  readonly type?: unknown;
  readonly [key: string]: unknown;
}

/** The kind of a tokenizer.json's `decoder` entry; anything unusual is `generic`, which is slower but always right. */
export function decoderKind(decoder: unknown): DecoderKind {
  const steps = flatten(decoder);
  if (steps.length === 0) return { kind: 'generic' };
  const named = steps.filter((step) => step.type !== 'Fuse');
  if (named.length === 1 && named[0]?.type === 'ByteLevel') return { kind: 'byte-level' };

  let spaceSymbol = '';
  let byteFallback = false;
  let leadingSpaces = 0;
  for (const step of named) {
    if (step.type === 'Replace' && spaceSymbol === '' && step.content === ' ') {
      const symbol = (step.pattern as { String?: unknown } | null)?.String;
      if (typeof symbol !== 'string' || symbol === '') return { kind: 'generic' };
      spaceSymbol = symbol;
    } else if (step.type === 'Metaspace' && spaceSymbol === '') {
      spaceSymbol = typeof step.replacement === 'string' ? step.replacement : '\u2581';
      if (step.prepend_scheme !== 'never' && step.add_prefix_space !== false) leadingSpaces = 1;
    } else if (step.type === 'ByteFallback') {
      byteFallback = true;
    } else if (step.type === 'Strip' && (step.content ?? ' ') === ' ' && (step.stop ?? 0) === 0) {
      leadingSpaces = typeof step.start === 'number' ? step.start : 0;
    } else {
      return { kind: 'generic' };
    }
  }
  if (spaceSymbol === '') return { kind: 'generic' };
  return { kind: 'pieces', spaceSymbol, byteFallback, leadingSpaces };
}

function flatten(decoder: unknown): DecoderConfig[] {
  if (typeof decoder !== 'object' || decoder === null) return [];
  const config = decoder as DecoderConfig;
  if (config.type !== 'Sequence') return [config];
  return Array.isArray(config.decoders) ? config.decoders.flatMap(flatten) : [];
}
