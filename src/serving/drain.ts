/**
 * How the server goes down: first readiness says no, then nothing new is taken, then what runs may finish, at last it is given up.
 *
 * Owns the order and the times. What the steps do, and the clock, come in as parameters. Next: `main.ts`, which has the real ones.
 */

export interface DrainParts {
  /** Resolves after so long. */
  pause(ms: number): Promise<void>;
  /** Takes no more connections; resolves when those that are open have ended. */
  stopListening(): Promise<void>;
  /** Whether something runs that has no connection of its own. */
  isBusy(): boolean;
  /** Gives up what still runs; each client is told why. */
  cancelAll(): void;
  say(message: string): void;
}

export interface DrainTimes {
  /** From the announcement to the end of listening. */
  readonly delayMs: number;
  /** From the end of listening until what still runs is given up. */
  readonly timeoutMs: number;
}

/** How often it is asked whether the last work has ended. */
const pollMs = 50;
/** How long answers that are made may take to be read. */
const writeGraceMs = 2000;

export class Drain {
  private phase: 'serving' | 'leaving' | 'closing' = 'serving';
  private isHurried = false;
  private readonly hurried = Promise.withResolvers<void>();

  constructor(private readonly parts: DrainParts) {}

  /** Readiness says no. */
  get isDraining(): boolean {
    return this.phase !== 'serving';
  }

  /** Nothing new is taken. */
  get isClosing(): boolean {
    return this.phase === 'closing';
  }

  /** Ends all waiting: what still runs is given up now. */
  hurry(): void {
    this.isHurried = true;
    this.hurried.resolve();
  }

  /** Resolves when nothing runs any more, or nobody waits for it any longer. To be called once. */
  async run({ delayMs, timeoutMs }: DrainTimes): Promise<void> {
    const { parts } = this;
    this.phase = 'leaving';
    if (delayMs > 0) {
      parts.say(`Stopping in ${delayMs / 1000} s: readiness says no, requests are still taken.`);
      await this.pause(delayMs);
    }
    this.phase = 'closing';
    parts.say('Stopping: running requests finish, new ones are refused.');
    let isQuiet = false;
    // The port stays open until the last request has ended, so that new ones get an answer that says why.
    const quiet = this.untilIdle()
      .then(() => parts.stopListening())
      .then(() => {
        isQuiet = true;
      });
    await Promise.race([quiet, this.pause(timeoutMs)]);
    if (isQuiet) return;
    parts.say('Time is up: what still runs is aborted.');
    parts.cancelAll();
    await Promise.race([quiet, parts.pause(writeGraceMs)]);
  }

  private async untilIdle(): Promise<void> {
    while (this.parts.isBusy()) await this.parts.pause(pollMs);
  }

  private async pause(ms: number): Promise<void> {
    if (!this.isHurried) await Promise.race([this.parts.pause(ms), this.hurried.promise]);
  }
}
