/**
 * Finds stop strings in text that arrives in pieces, and holds back what may become one.
 *
 * The result does not depend on how the text was cut into pieces: the stop string that is complete first wins, and of two that
 * are complete at the same character the longer one. Knows only text. Next: `serving/choice-decoder.ts`.
 */

/** What may be shown after a piece; `stop` is the string that ended the text. */
export interface StopResult {
  readonly text: string;
  readonly stop: string | null;
}

/** One stream's matcher. */
export class StopMatcher {
  private held = '';

  /** Limits: no stop string may be empty. */
  constructor(
    private readonly stops: readonly string[],
    /** Whether the stop string itself is part of the shown text. */
    private readonly includeStop: boolean,
  ) {}

  /** Takes a piece of text. After a stop was found the matcher must not be used again. */
  push(piece: string): StopResult {
    if (this.stops.length === 0) return { text: piece, stop: null };
    if (piece === '') return { text: '', stop: null };
    const text = this.held + piece;
    const match = this.firstMatch(text);
    if (match !== null) {
      this.held = '';
      return { text: text.slice(0, this.includeStop ? match.end : match.end - match.stop.length), stop: match.stop };
    }
    const shown = text.length - this.heldLength(text);
    this.held = text.slice(shown);
    return { text: text.slice(0, shown), stop: null };
  }

  /** The text that was held back for a stop string that never came. */
  flush(): string {
    const text = this.held;
    this.held = '';
    return text;
  }

  private firstMatch(text: string): { readonly stop: string; readonly end: number } | null {
    let best: { stop: string; end: number } | null = null;
    for (const stop of this.stops) {
      const start = text.indexOf(stop);
      if (start < 0) continue;
      const end = start + stop.length;
      if (best === null || end < best.end || (end === best.end && stop.length > best.stop.length)) best = { stop, end };
    }
    return best;
  }

  /** Length of the longest end of `text` with which some stop string begins. */
  private heldLength(text: string): number {
    let held = 0;
    for (const stop of this.stops) {
      const first = stop.charCodeAt(0);
      for (let length = Math.min(stop.length - 1, text.length); length > held; length--) {
        const start = text.length - length;
        if (text.charCodeAt(start) !== first || !stop.startsWith(text.slice(start))) continue;
        held = length;
      }
    }
    return held;
  }
}
