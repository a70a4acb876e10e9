/**
 * Turns bytes that arrive in pieces into whole characters.
 *
 * Owns the one rule that streaming depends on: bytes of an unfinished character are held back, never printed. Knows nothing
 * of tokens. Next: `detokenizer.ts`, which feeds it.
 */

/**
 * How broken bytes are printed. `subpart`: one U+FFFD for each maximal broken part, as `TextDecoder` and ByteLevel decoders do.
 * `byte`: one U+FFFD for each broken byte, as ByteFallback decoders do.
 */
export type BrokenBytes = 'subpart' | 'byte';

/** The text of all complete characters, and the bytes (at most three) of one that is not complete yet. */
export interface DecodedPrefix {
  readonly text: string;
  readonly rest: readonly number[];
}

/** Decodes as much of `bytes` as forms whole characters. Source: Unicode 15, table 3-7 and section 3.9 (maximal subparts). */
export function decodePrefix(bytes: ArrayLike<number>, broken: BrokenBytes): DecodedPrefix {
  let text = '';
  let at = 0;
  while (at < bytes.length) {
    const lead = bytes[at] ?? 0;
    const needed = sequenceLength(lead);
    let codePoint = needed === 1 ? lead : lead & (0xff >> (needed + 1));
    let taken = needed === 0 ? 0 : 1;
    while (taken > 0 && taken < needed && at + taken < bytes.length) {
      const next = bytes[at + taken] ?? 0;
      if (!mayFollow(lead, taken, next)) break;
      codePoint = (codePoint << 6) | (next & 0x3f);
      taken += 1;
    }
    if (needed > 0 && taken === needed) {
      text += String.fromCodePoint(codePoint);
      at += needed;
    } else if (needed > 0 && at + taken === bytes.length) {
      return { text, rest: Array.from({ length: taken }, (_, i) => bytes[at + i] ?? 0) };
    } else {
      const width = Math.max(taken, 1);
      text += broken === 'byte' ? '\ufffd'.repeat(width) : '\ufffd';
      at += width;
    }
  }
  return { text, rest: [] };
}

/** What a character that never completed is printed as. */
export function brokenText(rest: readonly number[], broken: BrokenBytes): string {
  if (rest.length === 0) return '';
  return broken === 'byte' ? '\ufffd'.repeat(rest.length) : '\ufffd';
}

/** Bytes of the character that `lead` begins; 0 when it cannot begin one. */
function sequenceLength(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead < 0xe0) return 2;
  if (lead >= 0xe0 && lead < 0xf0) return 3;
  if (lead >= 0xf0 && lead < 0xf5) return 4;
  return 0;
}

/** The second byte of some leads is restricted further: no overlong forms, no surrogates, nothing above U+10FFFF. */
function mayFollow(lead: number, position: number, byte: number): boolean {
  if (position > 1) return byte >= 0x80 && byte <= 0xbf;
  const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  return byte >= low && byte <= high;
}
