/**
 * Bytes and text of single tokens, computed on first use and kept.
 *
 * Log probabilities are reported per token with the token's bytes, and the streaming detokenizer works on the same table. Shared by all
 * requests of a tokenizer. Next: `detokenizer.ts`.
 */
import { type DecoderKind, decoderKind } from './decoder-kind.ts';
import type { Tokenizer } from './tokenizer.ts';
import { decodePrefix } from './utf8.ts';

const utf8 = new TextEncoder();
const byteToken = /^<0x([0-9A-Fa-f]{2})>$/;

/** Each byte-level symbol's byte. Source: GPT-2's `bytes_to_unicode`: printable Latin-1 stands for itself, the rest for U+0100 upwards. */
export const byteOfSymbol: ReadonlyMap<string, number> = buildByteSymbols();

/** Per-token facts of one tokenizer. */
export class TokenTable {
  readonly kind: DecoderKind;
  private readonly bytesById: (Uint8Array | undefined)[] = [];
  private readonly textById: (string | null | undefined)[] = [];

  constructor(readonly tokenizer: Tokenizer) {
    this.kind = decoderKind(tokenizer.decoderConfig);
  }

  /** The bytes that a token stands for in the middle of a text; empty for an unknown id. Do not change the result. */
  bytes(id: number): Uint8Array {
    const known = this.bytesById[id];
    if (known !== undefined) return known;
    const bytes = this.computeBytes(id);
    // Ids come from outside: one beyond the vocabulary must not make the table sparse and huge.
    if (id >= 0 && id < this.tokenizer.vocabSize) this.bytesById[id] = bytes;
    return bytes;
  }

  /** A token's text when its bytes are whole characters, else null. */
  wholeText(id: number): string | null {
    const known = this.textById[id];
    if (known !== undefined) return known;
    const { text, rest } = decodePrefix(this.bytes(id), 'subpart');
    const whole = rest.length === 0 && !text.includes('\ufffd') ? text : null;
    if (id >= 0 && id < this.tokenizer.vocabSize) this.textById[id] = whole;
    return whole;
  }

  /** A token's text for display; part of a character shows as U+FFFD. */
  displayText(id: number): string {
    const whole = this.wholeText(id);
    if (whole !== null) return whole;
    const { text, rest } = decodePrefix(this.bytes(id), 'subpart');
    return rest.length === 0 ? text : `${text}\ufffd`;
  }

  /** The byte of a `<0xXX>` token under ByteFallback, else null. */
  fallbackByte(id: number): number | null {
    if (this.kind.kind !== 'pieces' || !this.kind.byteFallback) return null;
    const match = byteToken.exec(this.tokenizer.idToToken(id) ?? '');
    return match === null ? null : Number.parseInt(match[1] ?? '', 16);
  }

  private computeBytes(id: number): Uint8Array {
    const token = this.tokenizer.idToToken(id);
    if (token === undefined) return new Uint8Array(0);
    switch (this.kind.kind) {
      case 'byte-level':
        return symbolBytes(token) ?? utf8.encode(token);
      case 'pieces': {
        const byte = this.fallbackByte(id);
        if (byte !== null) return Uint8Array.of(byte);
        return utf8.encode(token.replaceAll(this.kind.spaceSymbol, ' '));
      }
      case 'generic':
        return utf8.encode(this.tokenizer.decode([id], { skipSpecialTokens: false }));
    }
  }
}

/** Null when a character is no byte symbol: such a token (an added one) stands for its own text. */
function symbolBytes(token: string): Uint8Array | null {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = byteOfSymbol.get(token.charAt(i));
    if (byte === undefined) return null;
    bytes[i] = byte;
  }
  return bytes;
}

function buildByteSymbols(): Map<string, number> {
  const symbols = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    symbols.set(String.fromCharCode(printable ? byte : next++), byte);
  }
  return symbols;
}
