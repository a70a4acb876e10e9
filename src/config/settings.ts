/**
 * The one table of all settings: flags, environment variables, YAML keys, kinds, defaults, status and descriptions.
 *
 * Parsing, `--help`, `docs/configuration.md` and the README's table all come from here; a new setting is a new row in the file of its
 * section under `settings/`. A row's key gives its flag, variable and YAML key unless the row names them. Which field of the
 * configuration a value becomes: `build-config.ts`.
 */
import type { Setting } from './setting.ts';
import { answers, tools } from './settings/answers.ts';
import { parallel, python } from './settings/elsewhere.ts';
import { engine } from './settings/engine.ts';
import { jobs, lora, media, speculative } from './settings/extensions.ts';
import { logging } from './settings/logging.ts';
import { hub, model } from './settings/model.ts';
import { load, server } from './settings/server.ts';

/** All settings by key, in the order of the documentation. */
export const settings = {
  ...server,
  ...load,
  ...logging,
  ...model,
  ...hub,
  ...answers,
  ...tools,
  ...engine,
  ...parallel,
  ...lora,
  ...speculative,
  ...jobs,
  ...media,
  ...python,
};

export type SettingKey = keyof typeof settings;

/** What each setting was read as, or its default. */
export type SettingValues = {
  readonly [Key in SettingKey]: (typeof settings)[Key] extends Setting<infer Value> ? Value : never;
};

/** The table as pairs. */
export const allSettings = Object.entries(settings) as readonly (readonly [SettingKey, Setting<unknown>])[];
