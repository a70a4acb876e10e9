/**
 * Turns a growing sequence of ids into text, piece by piece, without ever printing half a character.
 *
 * One stream per choice; state is a few bytes. The joined pieces plus the flush equal the decoding of the whole sequence, with one
 * documented exception: ByteFallback decoders turn a whole run of bytes into U+FFFD when any of it is broken, which cannot be known in
 * advance; here the valid characters of such a run are printed. Next: `stop-strings.ts`, `serving/choice-decoder.ts`.
 */
import type { TokenTable } from './token-table.ts';
import { brokenText, decodePrefix } from './utf8.ts';

/** A stream of text made from ids. */
export interface Detokenizer {
  /** The text that this id completes; may be empty. */
  push(tokenId: number): string;
  /** What is still held back; the stream is over. */
  flush(): string;
}

export interface DetokenizerOptions {
  readonly skipSpecialTokens: boolean;
  /** True when nothing visible comes before the first id: decoders that cut a leading space do so only there. */
  readonly atTextStart: boolean;
  /** False: special tokens that follow each other are printed without the space that some decoders put between tokens. Default: true. */
  readonly spacesBetweenSpecialTokens?: boolean;
}

export function createDetokenizer(table: TokenTable, options: DetokenizerOptions): Detokenizer {
  const skipped: ReadonlySet<number> = options.skipSpecialTokens ? table.tokenizer.specialIds : new Set();
  switch (table.kind.kind) {
    case 'byte-level':
      return new ByteLevelDetokenizer(table, skipped);
    case 'pieces':
      return new PiecesDetokenizer(table, skipped, options.atTextStart ? table.kind.leadingSpaces : 0);
    case 'generic':
      return new GenericDetokenizer(table, skipped, options.spacesBetweenSpecialTokens ?? true);
  }
}

class ByteLevelDetokenizer implements Detokenizer {
  private held: readonly number[] = [];

  constructor(
    private readonly table: TokenTable,
    private readonly skipped: ReadonlySet<number>,
  ) {}

  push(tokenId: number): string {
    if (this.skipped.has(tokenId)) return '';
    if (this.held.length === 0) {
      const whole = this.table.wholeText(tokenId);
      if (whole !== null) return whole;
    }
    const { text, rest } = decodePrefix([...this.held, ...this.table.bytes(tokenId)], 'subpart');
    this.held = rest;
    return text;
  }

  flush(): string {
    const text = brokenText(this.held, 'subpart');
    this.held = [];
    return text;
  }
}

class PiecesDetokenizer implements Detokenizer {
  private held: readonly number[] = [];

  constructor(
    private readonly table: TokenTable,
    private readonly skipped: ReadonlySet<number>,
    private spacesToCut: number,
  ) {}

  push(tokenId: number): string {
    if (this.skipped.has(tokenId)) return '';
    const byte = this.table.fallbackByte(tokenId);
    if (byte === null) return this.cut(this.endRun() + this.table.displayText(tokenId));
    const { text, rest } = decodePrefix([...this.held, byte], 'byte');
    this.held = rest;
    return this.cut(text);
  }

  flush(): string {
    return this.cut(this.endRun());
  }

  /** A run of bytes ends where a token of another sort follows: what is incomplete stays so. */
  private endRun(): string {
    const text = brokenText(this.held, 'byte');
    this.held = [];
    return text;
  }

  private cut(text: string): string {
    if (this.spacesToCut === 0 || text === '') return text;
    let start = 0;
    while (start < this.spacesToCut && text.charAt(start) === ' ') start += 1;
    this.spacesToCut = 0;
    return text.slice(start);
  }
}

/** Ids that a generic stream holds back at most before it prints what it has: U+FFFD may be a token's real text. */
const maxHeldTokens = 16;

/** Decodes a short window twice, with and without the new ids, and prints the difference. */
class GenericDetokenizer implements Detokenizer {
  private window: number[] = [];
  /** Ids of the window whose text is out. */
  private numPrinted = 0;
  private isAfterSpecial = false;

  constructor(
    private readonly table: TokenTable,
    private readonly skipped: ReadonlySet<number>,
    private readonly spacesBetweenSpecialTokens: boolean,
  ) {}

  push(tokenId: number): string {
    if (this.skipped.has(tokenId)) return '';
    const { tokenizer } = this.table;
    const isSpecial = tokenizer.specialIds.has(tokenId);
    const isBare = isSpecial && this.isAfterSpecial && !this.spacesBetweenSpecialTokens;
    this.isAfterSpecial = isSpecial;
    if (isBare) {
      const held = this.flush();
      // The window goes on with this token as context, so that what follows is spaced as ever.
      this.window = [tokenId];
      this.numPrinted = 1;
      return held + (tokenizer.idToToken(tokenId) ?? '');
    }
    this.window.push(tokenId);
    const text = this.decode(this.window);
    const isIncomplete = text.endsWith('\ufffd') && this.window.length - this.numPrinted < maxHeldTokens;
    return isIncomplete ? '' : this.print(text);
  }

  flush(): string {
    return this.window.length === this.numPrinted ? '' : this.print(this.decode(this.window));
  }

  private print(text: string): string {
    const before = this.decode(this.window.slice(0, this.numPrinted));
    this.window = this.window.slice(this.numPrinted);
    this.numPrinted = this.window.length;
    return text.slice(before.length);
  }

  private decode(ids: readonly number[]): string {
    return this.table.tokenizer.decode(ids, { skipSpecialTokens: false });
  }
}
