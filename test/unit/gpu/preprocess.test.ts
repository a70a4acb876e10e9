import { describe, expect, test } from 'bun:test';
import { preprocess } from '../../../src/engine/gpu/preprocess.ts';

const run = (main: string, params: Record<string, number | boolean> = {}, more: Record<string, string> = {}) =>
  preprocess({
    entry: 'main.wgsl',
    sources: { 'main.wgsl': main, ...more },
    params,
    structs: { Params: 'struct Params {}' },
  });

describe('preprocess', () => {
  test('parameters become constants of their type', () => {
    expect(run('#param A: u32\n#param B: f32\n#param C: i32', { A: 4, B: 2, C: -1 })).toBe(
      'const A: u32 = 4u;\nconst B: f32 = 2.0;\nconst C: i32 = -1;',
    );
  });

  test('conditions nest, and only the taken side is expanded', () => {
    const source =
      '#param F: flag\n#param N: u32\n#if F && N >= 2\na\n#if N == 3\nb\n#else\nc\n#endif\n#else\nd\n#endif';
    expect(run(source, { F: true, N: 3 })).toBe('const N: u32 = 3u;\na\nb');
    expect(run(source, { F: true, N: 2 })).toBe('const N: u32 = 2u;\na\nc');
    expect(run(source, { F: false, N: 3 })).toBe('const N: u32 = 3u;\nd');
  });

  test('unrolled lines repeat with their counter, also nested and with computed counts', () => {
    expect(run('#param N: u32\n#unroll i N * 2 / 2\nx$i = $iu;\n#end', { N: 2 })).toBe(
      'const N: u32 = 2u;\nx0 = 0u;\nx1 = 1u;',
    );
    expect(run('#unroll i 2\n#unroll j 2\n$i$j\n#end\n#end')).toBe('00\n01\n10\n11');
  });

  test('includes come once, and enables move to the top', () => {
    const included = { 'a.wgsl': 'enable f16;\nfn a() {}' };
    expect(run('#include "a.wgsl"\n#include "a.wgsl"\nfn main() {}', {}, included)).toBe(
      'enable f16;\nfn a() {}\nfn main() {}',
    );
  });

  test('structs come from the layout table', () => {
    expect(run('#struct Params')).toBe('struct Params {}');
  });

  const faults: [string, string, Record<string, number | boolean>, RegExp][] = [
    ['a name that is not declared', '#if TYPO\n#endif', {}, /main\.wgsl:1: undeclared name TYPO/],
    ['a parameter that nobody uses', 'x', { A: 1 }, /A is not declared/],
    ['a parameter that is not given', '#param A: u32', {}, /main\.wgsl:1: parameter A was not given/],
    ['a flag given as a number', '#param A: flag', { A: 1 }, /is a flag/],
    ['a fraction for an integer', '#param A: u32', { A: 1.5 }, /not an integer/],
    ['an unknown directive', '#define A', {}, /unknown or unmatched directive #define/],
    ['a condition without end', '#if 1', {}, /#if without #endif/],
    ['a stray else', '#else', {}, /unmatched directive #else/],
    ['an unrolling without end', '#unroll i 2', {}, /#unroll without #end/],
    ['a missing include', '#include "b.wgsl"', {}, /no shader source named b\.wgsl/],
    ['a missing struct', '#struct Other', {}, /no struct layout named Other/],
    ['an unreadable condition', '#if 1 ~ 2\n#endif', {}, /cannot read/],
    ['a condition that ends early', '#if 1 +\n#endif', {}, /ends too early/],
    ['a condition with a rest', '#if (1) 2\n#endif', {}, /unexpected 2/],
  ];
  for (const [what, source, params, message] of faults) {
    test(`${what} throws with file and line`, () => {
      expect(() => run(source, params)).toThrow(message);
    });
  }
});
