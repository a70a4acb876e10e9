/**
 * The server's log: lines for people, or one JSON object a line.
 *
 * Owns levels and the form of a line; where lines go is a parameter. Never given keys or tokens. Next: `request-log.ts`, which says what
 * is told of a request; `main.ts` makes the one log.
 */

/** From what matters most to what matters least. */
export const logLevels = ['critical', 'error', 'warning', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof logLevels)[number];

/** Figures of a line, for programs; names in snake_case. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

export interface LogOptions {
  readonly format: 'text' | 'json';
  /** The least important level that is written. */
  readonly level: LogLevel;
  /** Takes a line without its line break. */
  write(line: string): void;
  now(): Date;
}

/** What is normal, and what ends the server, need no mark. */
const unmarked: ReadonlySet<LogLevel> = new Set(['info', 'critical']);

export class Log {
  constructor(private readonly options: LogOptions) {}

  isEnabled(level: LogLevel): boolean {
    return logLevels.indexOf(level) <= logLevels.indexOf(this.options.level);
  }

  /** `fields` are written in JSON alone: people read `text`, which says the same; programs read `message` and the fields. */
  write(level: LogLevel, message: string, fields: LogFields = {}, text: string = message): void {
    if (!this.isEnabled(level)) return;
    const { format, write, now } = this.options;
    if (format === 'json') write(JSON.stringify({ time: now().toISOString(), level, message, ...fields }));
    else write(unmarked.has(level) ? text : `${level}: ${text}`);
  }

  info(message: string, fields?: LogFields, text?: string): void {
    this.write('info', message, fields, text);
  }

  debug(message: string, fields?: LogFields, text?: string): void {
    this.write('debug', message, fields, text);
  }

  warning(message: string, fields?: LogFields, text?: string): void {
    this.write('warning', message, fields, text);
  }

  /** With the stack where there is one. */
  error(error: unknown): void {
    this.write('error', error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
}
