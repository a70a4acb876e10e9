/**
 * Parsing YAML with the parser that Bun brings along: the only file that names it.
 *
 * Knows nothing of settings; `config/load-config.ts` receives {@link parseYaml} as a parameter.
 */

/** The value of a YAML document; null for an empty one, a list where there are several. Throws: SyntaxError. */
export function parseYaml(text: string): unknown {
  return Bun.YAML.parse(text);
}
