/**
 * Progress on stderr: one line that is redrawn on a terminal, seldom new lines elsewhere.
 */

/** Width of the bar. Units: characters. */
const BAR = 30;
/** Where lines cannot be redrawn, a step is shown each time this much more is done. */
const LINE_STEP = 0.25;

/** Where progress goes: a terminal, or anything that takes text. */
export interface ProgressOutput {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export class ProgressLine {
  private shownText = '';
  private shownFraction = -1;
  private isOpen = false;

  constructor(private readonly out: ProgressOutput) {}

  /** Shows how far something is; `fraction` null = unknown. */
  show(text: string, fraction: number | null): void {
    const done = fraction === null || !Number.isFinite(fraction) ? null : Math.min(1, Math.max(0, fraction));
    const isNew = text !== this.shownText;
    const step = this.out.isTTY ? 0.01 : LINE_STEP;
    if (!isNew && (done === null || done < this.shownFraction + step)) return;
    this.shownText = text;
    this.shownFraction = done ?? -1;
    const percent = done === null ? '' : ` ${Math.round(done * 100)} %`;
    if (!this.out.isTTY) {
      this.out.write(`${text}${percent}\n`);
      return;
    }
    const filled = Math.round((done ?? 0) * BAR);
    const bar = done === null ? '' : ` [${'#'.repeat(filled)}${'.'.repeat(BAR - filled)}]`;
    this.out.write(`\r\u001b[2K${text}${bar}${percent}`);
    this.isOpen = true;
  }

  /** Ends the line, so that other output starts on a new one. */
  end(): void {
    if (this.isOpen) this.out.write('\r\u001b[2K');
    this.isOpen = false;
    this.shownText = '';
  }
}
