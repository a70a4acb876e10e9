/**
 * Expands a shader file into WGSL: includes, parameters, conditions and unrolled lines.
 *
 * Owns the directive language and nothing else; it does not read files (sources are passed in) and knows no GPU.
 * Every fault throws with file and line, because a silently wrong shader costs days. Next: `kernel.ts` compiles the result.
 *
 * Directives, each on a line of its own:
 *   #include "name.wgsl"        the text of that source, at most once
 *   #param NAME: u32|i32|f32    becomes `const NAME: type = value;`; usable in #if as well
 *   #param NAME: flag           usable in #if only
 *   #struct Name                the WGSL struct of that name, from the host's layout table
 *   #if EXPR / #else / #endif   JavaScript-like: names, numbers, ! == != < > <= >= && || ( )
 *   #unroll i COUNT / #end      the lines COUNT times, with `$i` replaced by 0, 1, ...
 */

export type ParamValue = number | boolean;

export interface PreprocessInput {
  /** Name of the source to expand, a key of `sources`. */
  readonly entry: string;
  readonly sources: Readonly<Record<string, string>>;
  readonly params: Readonly<Record<string, ParamValue>>;
  /** WGSL declarations by struct name. */
  readonly structs?: Readonly<Record<string, string>>;
}

const DIRECTIVE = /^\s*#(\w+)\s*(.*?)\s*(?:\/\/.*)?$/;

/** Returns WGSL text. Throws: on unknown directives and names, undeclared or unused parameters, unbalanced blocks. */
export function preprocess(input: PreprocessInput): string {
  return new Expansion(input).run();
}

interface Line {
  readonly text: string;
  readonly where: string;
}

class Expansion {
  private readonly included = new Set<string>();
  private readonly declared = new Map<string, ParamValue>();
  private readonly output: string[] = [];

  constructor(private readonly input: PreprocessInput) {}

  run(): string {
    this.expand(this.linesOf(this.input.entry, this.input.entry), {});
    for (const name of Object.keys(this.input.params)) {
      if (!this.declared.has(name))
        throw new Error(`${this.input.entry}: parameter ${name} is not declared by the shader`);
    }
    // WGSL wants `enable` and `diagnostic` ahead of every declaration, and includes may bring their own.
    const isGlobal = (line: string) => /^\s*(enable|diagnostic|requires)\b/.test(line);
    const globals = [...new Set(this.output.filter(isGlobal).map((line) => line.trim()))];
    const order = (line: string) => (line.startsWith('enable') ? 0 : 1);
    globals.sort((a, b) => order(a) - order(b));
    return [...globals, ...this.output.filter((line) => !isGlobal(line))].join('\n');
  }

  private linesOf(name: string, from: string): Line[] {
    const text = this.input.sources[name];
    if (text === undefined) throw new Error(`${from}: no shader source named ${name}`);
    this.included.add(name);
    return text.split('\n').map((line, i) => ({ text: line, where: `${name}:${i + 1}` }));
  }

  private expand(lines: readonly Line[], counters: Readonly<Record<string, number>>): void {
    for (let i = 0; i < lines.length; i++) {
      const line = lines[i];
      if (!line) continue;
      const match = DIRECTIVE.exec(line.text);
      if (!match) {
        this.output.push(substitute(line.text, counters));
        continue;
      }
      const [, word = '', rest = ''] = match;
      if (word === 'include') {
        const name = /^"([^"]+)"$/.exec(rest)?.[1];
        if (!name) throw new Error(`${line.where}: #include needs "name.wgsl"`);
        if (!this.included.has(name)) this.expand(this.linesOf(name, line.where), counters);
      } else if (word === 'param') {
        this.declare(rest, line.where);
      } else if (word === 'struct') {
        const text = this.input.structs?.[rest];
        if (!text) throw new Error(`${line.where}: no struct layout named ${rest}`);
        this.output.push(text);
      } else if (word === 'if') {
        const { then, otherwise, end } = splitIf(lines, i);
        const taken = evaluate(substitute(rest, counters), this.declared, line.where);
        this.expand(taken ? then : otherwise, counters);
        i = end;
      } else if (word === 'unroll') {
        const [, variable, count] = /^(\w+)\s+(.+)$/.exec(rest) ?? [];
        if (!variable || !count) throw new Error(`${line.where}: #unroll needs a name and a count`);
        const { body, end } = splitUnroll(lines, i);
        const times = Number(evaluate(substitute(count, counters), this.declared, line.where));
        for (let k = 0; k < times; k++) this.expand(body, { ...counters, [variable]: k });
        i = end;
      } else {
        throw new Error(`${line.where}: unknown or unmatched directive #${word}`);
      }
    }
  }

  private declare(rest: string, where: string): void {
    const [, name, type] = /^(\w+)\s*:\s*(u32|i32|f32|flag)$/.exec(rest) ?? [];
    if (!name || !type) throw new Error(`${where}: #param needs NAME: u32|i32|f32|flag`);
    const value = this.input.params[name];
    if (value === undefined) throw new Error(`${where}: parameter ${name} was not given`);
    if ((type === 'flag') !== (typeof value === 'boolean')) throw new Error(`${where}: parameter ${name} is a ${type}`);
    if (this.declared.has(name)) return;
    this.declared.set(name, value);
    if (type !== 'flag') this.output.push(`const ${name}: ${type} = ${literal(Number(value), type, where)};`);
  }
}

function literal(value: number, type: string, where: string): string {
  if (type === 'f32') return Number.isInteger(value) ? `${value}.0` : String(value);
  if (!Number.isInteger(value)) throw new Error(`${where}: ${value} is not an integer`);
  return type === 'u32' ? `${value}u` : String(value);
}

function substitute(text: string, counters: Readonly<Record<string, number>>): string {
  return text.includes('$') ? text.replace(/\$(\w)/g, (all, name: string) => String(counters[name] ?? all)) : text;
}

function wordOf(line: Line | undefined): string {
  return DIRECTIVE.exec(line?.text ?? '')?.[1] ?? '';
}

function splitIf(lines: readonly Line[], start: number) {
  let depth = 0;
  let elseAt = -1;
  for (let i = start; i < lines.length; i++) {
    const word = wordOf(lines[i]);
    if (word === 'if') depth++;
    if (word === 'else' && depth === 1) elseAt = i;
    if (word === 'endif' && --depth === 0) {
      const then = lines.slice(start + 1, elseAt < 0 ? i : elseAt);
      return { then, otherwise: elseAt < 0 ? [] : lines.slice(elseAt + 1, i), end: i };
    }
  }
  throw new Error(`${lines[start]?.where}: #if without #endif`);
}

function splitUnroll(lines: readonly Line[], start: number) {
  let depth = 0;
  for (let i = start; i < lines.length; i++) {
    const word = wordOf(lines[i]);
    if (word === 'unroll') depth++;
    if (word === 'end' && --depth === 0) return { body: lines.slice(start + 1, i), end: i };
  }
  throw new Error(`${lines[start]?.where}: #unroll without #end`);
}

/** Evaluates a condition or count: a tiny precedence climber, so that a typo is an error and not a zero. */
function evaluate(text: string, names: ReadonlyMap<string, ParamValue>, where: string): ParamValue {
  const tokens = text.match(/\w+|==|!=|<=|>=|&&|\|\||[-+*/%<>!()]/g) ?? [];
  if (tokens.join('') !== text.replace(/\s+/g, '')) throw new Error(`${where}: cannot read "${text}"`);
  const levels = [['||'], ['&&'], ['==', '!='], ['<', '>', '<=', '>='], ['+', '-'], ['*', '/', '%']];
  let at = 0;
  const primary = (): number => {
    const token = tokens[at++];
    if (token === undefined) throw new Error(`${where}: "${text}" ends too early`);
    if (token === '!') return primary() ? 0 : 1;
    if (token === '(') {
      const value = level(0);
      if (tokens[at++] !== ')') throw new Error(`${where}: missing ) in "${text}"`);
      return value;
    }
    if (/^\d+$/.test(token)) return Number(token);
    const value = names.get(token);
    if (value === undefined) throw new Error(`${where}: undeclared name ${token} in "${text}"`);
    return Number(value);
  };
  const level = (depth: number): number => {
    const operators = levels[depth];
    if (!operators) return primary();
    let left = level(depth + 1);
    for (let op = tokens[at]; op !== undefined && operators.includes(op); op = tokens[at]) {
      at++;
      left = apply(op, left, level(depth + 1));
    }
    return left;
  };
  const value = level(0);
  if (at !== tokens.length) throw new Error(`${where}: unexpected ${tokens[at]} in "${text}"`);
  return value;
}

function apply(op: string, a: number, b: number): number {
  switch (op) {
    case '||':
      return a || b ? 1 : 0;
    case '&&':
      return a && b ? 1 : 0;
    case '==':
      return a === b ? 1 : 0;
    case '!=':
      return a !== b ? 1 : 0;
    case '<':
      return a < b ? 1 : 0;
    case '>':
      return a > b ? 1 : 0;
    case '<=':
      return a <= b ? 1 : 0;
    case '>=':
      return a >= b ? 1 : 0;
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return Math.trunc(a / b);
    default:
      return a % b;
  }
}
