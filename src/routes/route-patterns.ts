/**
 * Finds the pattern that a path belongs to, so that figures are kept by route and not by path.
 */

/** What unknown paths are counted as. */
export const noRoute = 'none';

export class RoutePatterns {
  private readonly plain: ReadonlySet<string>;
  private readonly templates: readonly { readonly pattern: string; readonly expression: RegExp }[];

  /** `patterns`: paths whose parts may be `:name`, and whose last one may be `*`. */
  constructor(patterns: readonly string[]) {
    const isTemplate = (pattern: string): boolean => /[:*]/.test(pattern);
    this.plain = new Set(patterns.filter((pattern) => !isTemplate(pattern)));
    this.templates = [...new Set(patterns.filter(isTemplate))].map((pattern) => ({
      pattern,
      expression: new RegExp(`^${pattern.replace(/:[^/]+/g, '[^/]+').replace(/\*$/, '.+')}$`),
    }));
  }

  /** The pattern of a path, or `none`. */
  of(path: string): string {
    if (this.plain.has(path)) return path;
    return this.templates.find(({ expression }) => expression.test(path))?.pattern ?? noRoute;
  }
}
