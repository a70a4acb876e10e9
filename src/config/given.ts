/**
 * A value as the user gave it, before it is read.
 *
 * Flags, variables and YAML keys all become this, so that one place reads values and words the refusals.
 */

export interface Given {
  readonly text: string;
  /** The setting with its value as it was written: `PORT=http`. */
  readonly as: string;
  /** The same without the value, for notices: values may be secret. */
  readonly name: string;
  /** True where the name switches off what the setting switches on. */
  readonly isInverted: boolean;
  readonly isOldName: boolean;
}
