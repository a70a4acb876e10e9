/**
 * The server's frozen configuration, from arguments, environment and files to the result.
 *
 * Owns the order of the steps. The machine (home folder, files, a YAML parser) comes in as a parameter, so that tests need none.
 * Next: `parse.ts`, `status.ts` and `build-config.ts`, the steps; `describe.ts`, the help text.
 */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { buildConfig, expandHome, type Machine } from './build-config.ts';
import { ConfigError } from './config-error.ts';
import { helpText } from './describe.ts';
import { parseSettings } from './parse.ts';
import type { ServerConfig } from './server-config.ts';
import { notices, refusePlanned } from './status.ts';

/** Throws: Error when the text is no YAML. */
export type ParseYaml = (text: string) => unknown;

/** What a configuration is read from. */
export interface Surroundings extends Machine {
  readonly args: readonly string[];
  readonly parseYaml: ParseYaml;
}

export type Loaded =
  | { readonly kind: 'help'; readonly text: string }
  | { readonly kind: 'version' }
  | {
      readonly kind: 'config';
      readonly config: ServerConfig;
      /** Lines for the log at the start; none holds a value. */
      readonly notices: readonly string[];
    };

/** The surroundings of this process. Without a parser a configuration file is refused. */
export function processSurroundings(parseYaml: ParseYaml = withoutParser): Surroundings {
  return { args: process.argv.slice(2), env: process.env, homeFolder: homedir(), readText: tryReadText, parseYaml };
}

/**
 * The configuration, or the text that was asked for instead.
 * Throws: ConfigError when a setting cannot be used.
 */
export function loadConfig(surroundings: Surroundings): Loaded {
  const parsed = parseSettings(surroundings.args, surroundings.env, (path) => readYaml(path, surroundings));
  if (parsed.kind === 'help') return { kind: 'help', text: helpText() };
  if (parsed.kind === 'version') return parsed;
  refusePlanned(parsed);
  return {
    kind: 'config',
    config: deepFreeze(buildConfig(parsed.values, surroundings)),
    notices: notices(parsed),
  };
}

function readYaml(path: string, surroundings: Surroundings): unknown {
  const text = surroundings.readText(expandHome(path, surroundings));
  if (text === null) throw new ConfigError(`config ${path} is not allowed: there is no such file`);
  try {
    return surroundings.parseYaml(text);
  } catch (error) {
    throw new ConfigError(`config ${path} is not allowed: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function withoutParser(): never {
  throw new Error('YAML cannot be read here');
}

function tryReadText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw new ConfigError(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function deepFreeze<T extends object>(value: T): T {
  for (const inner of Object.values(value)) if (typeof inner === 'object' && inner !== null) deepFreeze(inner);
  return Object.freeze(value);
}
