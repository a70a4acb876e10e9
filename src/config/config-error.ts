/**
 * The error for a setting that cannot be used.
 *
 * Its message names the setting, the value and what is allowed; `main.ts` prints it alone and exits with 2.
 */

/** A wrong value, an unknown flag or a missing one. The message is complete and meant for the user. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}
