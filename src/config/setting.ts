/**
 * What a setting is: one row of the table.
 *
 * Owns the shape of a row and what follows from its key. A row's status tells the truth about the present: a setting that nobody reads
 * must not claim to act. Next: `kinds.ts`, the values; `settings.ts`, the table; `status.ts`, what the status leads to.
 */
import type { Kind } from './kinds.ts';

export type Section =
  | 'Server'
  | 'Load and shutdown'
  | 'Logging'
  | 'Model'
  | 'Hub'
  | 'Requests and answers'
  | 'Tools and structured outputs'
  | 'Engine'
  | 'Several GPUs'
  | 'LoRA'
  | 'Speculative decoding'
  | 'Native jobs'
  | 'Images, audio and video'
  | 'CUDA, PyTorch and Ray';

/**
 * `acts`: does what its description says.
 * `no-effect`: accepted, because what it controls elsewhere does not exist here; the description says why.
 * `planned`: does not act yet; see {@link Setting.whilePlanned}.
 */
export type Status = 'acts' | 'no-effect' | 'planned';

/** A name that is still read, with a notice. */
export interface OldName {
  /** As a flag without dashes; its variable follows from it. */
  readonly name: string;
  /** True where it switches off what the setting switches on. */
  readonly isInverted: boolean;
}

/** One row of the table, complete. */
export interface Setting<T> {
  /** Without dashes: the flag is `--name`, the YAML key `name`. */
  readonly name: string;
  readonly flagAliases: readonly string[];
  /** One dash and this, as in `-tp`. */
  readonly short: string | null;
  /** Environment variables; the first that is set and not empty counts. */
  readonly env: readonly string[];
  /** Read where no present name is given. */
  readonly oldNames: readonly OldName[];
  readonly section: Section;
  readonly kind: Kind<T>;
  readonly default: T;
  /** How the documentation shows the default where its value alone does not tell. */
  readonly defaultText: string | null;
  readonly unit: string | null;
  /** Texts in small letters that mean "not set", beside the empty one. */
  readonly unsetWords: readonly string[];
  /** Values in small letters that are known but not supported yet, where others are. */
  readonly plannedWords: readonly string[];
  readonly status: Status;
  /** What a planned setting does with a value that is not its default: stop the start, or say that it changes nothing yet. */
  readonly whilePlanned: 'refuse' | 'tell';
  /** The key of another setting: having its value changes nothing. */
  readonly sameAs: string | null;
  readonly description: string;
}

/** What a row states; the rest follows from its key and its section. */
type Row<T> = Pick<Setting<T>, 'kind' | 'default' | 'description'> & Partial<Omit<Setting<T>, 'section'>>;

/** A row's default is one of its kind's values, or null where "not set" is a value of its own. */
type CheckedRows<Rows> = {
  [Key in keyof Rows]: Rows[Key] extends { kind: Kind<infer T> } ? { readonly default: T | null } : never;
};

type SettingOf<R> = R extends { kind: Kind<infer T>; default: infer D }
  ? Setting<D extends null ? T | null : T>
  : never;

/** What a row may add to the short forms below. */
type Extra = Partial<Omit<Setting<unknown>, 'section' | 'kind' | 'default' | 'description' | 'status'>>;

interface ShortRow<T, D> extends Extra {
  readonly kind: Kind<T>;
  readonly default: D;
  readonly description: string;
  readonly status: Status;
}

/** A row that does what its description says. */
export function acts<T, const D extends T | null>(
  kind: Kind<T>,
  fallback: D,
  description: string,
  extra: Extra = {},
): ShortRow<T, D> {
  return { kind, default: fallback, description, status: 'acts', ...nullDefault(fallback), ...extra };
}

/** A row that is accepted and has no effect; the description says what that means here. */
export function noEffect<T, const D extends T | null>(
  kind: Kind<T>,
  fallback: D,
  description: string,
  extra: Extra = {},
): ShortRow<T, D> {
  return { kind, default: fallback, description, status: 'no-effect', ...nullDefault(fallback), ...extra };
}

/** A row that does not act yet and stops the start when it is set to something else than its default. */
export function planned<T, const D extends T | null>(
  kind: Kind<T>,
  fallback: D,
  description: string,
  extra: Extra = {},
): ShortRow<T, D> {
  return { kind, default: fallback, description, status: 'planned', ...nullDefault(fallback), ...extra };
}

/** A row that does not act yet and whose absence changes no result: the start goes on with a notice. */
export function plannedQuietly<T, const D extends T | null>(
  kind: Kind<T>,
  fallback: D,
  description: string,
  extra: Extra = {},
): ShortRow<T, D> {
  return planned(kind, fallback, description, { whilePlanned: 'tell', ...extra });
}

function nullDefault(fallback: unknown): { defaultText?: string } {
  return fallback === null ? { defaultText: 'not set' } : {};
}

/** Completes the rows of a section: `maxModelLen` is `--max-model-len` and `MAX_MODEL_LEN` unless its row says otherwise. */
export function section<Rows extends Record<string, Row<unknown>>>(
  name: Section,
  rows: Rows & CheckedRows<Rows>,
): { readonly [Key in keyof Rows]: SettingOf<Rows[Key]> } {
  const complete = Object.entries<Row<unknown>>(rows).map(([key, row]) => [key, completeRow(name, key, row)]);
  // `fromEntries` forgets which key has which type.
  return Object.fromEntries(complete) as { [Key in keyof Rows]: SettingOf<Rows[Key]> };
}

/** The environment variable of a flag. */
export function variableOf(name: string): string {
  return name.replaceAll('-', '_').toUpperCase();
}

function completeRow(section: Section, key: string, row: Row<unknown>): Setting<unknown> {
  const name = row.name ?? key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return { ...EMPTY, env: [variableOf(name)], ...row, section, name };
}

const EMPTY = {
  flagAliases: [],
  short: null,
  oldNames: [],
  defaultText: null,
  unit: null,
  unsetWords: [],
  plannedWords: [],
  status: 'acts',
  whilePlanned: 'refuse',
  sameAs: null,
} as const;
