/**
 * Log lines of jobs: JSON on the platform, so that its console can sort them by request; plain text elsewhere.
 *
 * Source: the log format of RunPod's Python worker.
 */

export type LogLevel = 'DEBUG' | 'INFO' | 'WARN' | 'ERROR';
type Log = (message: string, jobId?: string) => void;

export interface JobLog {
  readonly debug: Log;
  readonly info: Log;
  readonly warn: Log;
  readonly error: Log;
}

const ranks: Readonly<Record<LogLevel, number>> = { DEBUG: 0, INFO: 1, WARN: 2, ERROR: 3 };
const maxMessageLength = 4096;

export interface JobLogOptions {
  /** `RUNPOD_ENDPOINT_ID` is set. */
  readonly isJson: boolean;
  /** The least important level that is written. */
  readonly level: LogLevel;
  write(line: string): void;
}

export function createJobLog(options: JobLogOptions): JobLog {
  const at =
    (level: LogLevel): Log =>
    (message, jobId) => {
      if (ranks[level] < ranks[options.level]) return;
      const text = shortened(message);
      if (options.isJson) {
        options.write(JSON.stringify({ requestId: jobId ?? null, message: text, level }));
      } else {
        options.write(`${level.padEnd(7)}| ${jobId === undefined ? '' : `${jobId} | `}${text}`);
      }
    };
  return { debug: at('DEBUG'), info: at('INFO'), warn: at('WARN'), error: at('ERROR') };
}

/** What `RUNPOD_LOG_LEVEL` or `RUNPOD_DEBUG_LEVEL` asks for, by name or by number; INFO for anything else. */
export function jobLogLevel(env: Readonly<Record<string, string | undefined>>): LogLevel {
  const given = (env.RUNPOD_LOG_LEVEL ?? env.RUNPOD_DEBUG_LEVEL ?? '').toUpperCase();
  const byNumber: readonly LogLevel[] = ['DEBUG', 'DEBUG', 'DEBUG', 'INFO', 'WARN', 'ERROR'];
  if (given in ranks) return given as LogLevel;
  return (/^\d$/.test(given) ? byNumber[Number(given)] : undefined) ?? 'INFO';
}

/** Long messages lose their middle: beginning and end say most. */
function shortened(message: string): string {
  if (message.length <= maxMessageLength) return message;
  const half = maxMessageLength / 2;
  const numLost = message.length - maxMessageLength;
  return `${message.slice(0, half)}\n... ${numLost} characters left out ...\n${message.slice(-half)}`;
}
