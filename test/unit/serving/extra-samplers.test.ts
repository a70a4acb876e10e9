import { describe, expect, test } from 'bun:test';
import { breakerSequences } from '../../../src/serving/dry-breakers.ts';
import { ApiError } from '../../../src/serving/errors.ts';
import { toExtraSamplers } from '../../../src/serving/extra-samplers.ts';
import { toSharedParams } from '../../../src/serving/sampling.ts';
import { completionWire } from '../../../src/serving/schema/completions.ts';
import { parseWire } from '../../../src/serving/schema/wire.ts';
import { TokenTable } from '../../../src/text/token-table.ts';
import { NO_EXTRAS } from '../../helpers/sampling-extras.ts';
import { testModel } from '../../helpers/test-app.ts';

const model = testModel();
const { tokens, tokenizer } = model;
const parse = (body: object) => parseWire(completionWire, { prompt: 'hi', ...body });
const extrasOf = (body: object) =>
  toSharedParams(parse(body), { defaults: model.defaults, fallbackTemperature: 1, vocabSize: 300, tokenizer, tokens })
    .extras;

describe('wire -> engine', () => {
  test('nothing given, or nothing on, is null', () => {
    expect(extrasOf({})).toBeNull();
    expect(
      extrasOf({
        ...{ typical_p: 1, top_n_sigma: -1, temperature_last: false, dynatemp_range: 0, dynatemp_exponent: 2 },
        ...{ xtc_probability: 0, xtc_threshold: 0.2, dry_multiplier: 0, dry_base: 2, mirostat: 0, mirostat_tau: 3 },
        ...{ dry_sequence_breakers: ['x'], mirostat_eta: 0.2, repeat_last_n: -1, dry_penalty_last_n: 5 },
      }),
    ).toBeNull();
    expect(extrasOf({ dry_multiplier: 1, dry_penalty_last_n: 0 })).toBeNull();
  });

  test('each field arrives, the rest is neutral', () => {
    const cases: readonly (readonly [object, object])[] = [
      [{ typical_p: 0.5 }, { typicalP: 0.5 }],
      [{ top_n_sigma: 1.5 }, { topNSigma: 1.5 }],
      [{ temperature_last: true }, { temperatureLast: true }],
      [{ dynatemp_range: 0.5 }, { dynatempRange: 0.5, dynatempExponent: 1 }],
      [
        { dynatemp_range: 0.5, dynatemp_exponent: 2 },
        { dynatempRange: 0.5, dynatempExponent: 2 },
      ],
      [{ xtc_probability: 0.5 }, { xtcProbability: 0.5, xtcThreshold: 0.1 }],
      [
        { xtc_probability: 0.5, xtc_threshold: 0.3 },
        { xtcProbability: 0.5, xtcThreshold: 0.3 },
      ],
      [{ mirostat: 2 }, { mirostat: { tau: 5, eta: 0.1 } }],
      [{ mirostat: 2, mirostat_tau: 0, mirostat_eta: 1 }, { mirostat: { tau: 0, eta: 1 } }],
      [{ repeat_last_n: 0 }, { repeatLastN: 0 }],
      [{ repeat_last_n: 64 }, { repeatLastN: 64 }],
      [
        {
          dry_multiplier: 0.8,
          dry_base: 2,
          dry_allowed_length: 3,
          dry_penalty_last_n: 99,
          dry_sequence_breakers: ['\n'],
        },
        { dry: { multiplier: 0.8, base: 2, allowedLength: 3, lastN: 99, breakers: [[10]] } },
      ],
      [
        { dry_multiplier: 0.8, dry_sequence_breakers: [] },
        { dry: { multiplier: 0.8, base: 1.75, allowedLength: 2, lastN: -1, breakers: [] } },
      ],
    ];
    for (const [body, want] of cases) expect(extrasOf(body)).toEqual({ ...NO_EXTRAS, ...want });
    const breakers = extrasOf({ dry_multiplier: 1 })?.dry?.breakers ?? [];
    for (const text of ['\n', ':', '"', '*']) expect(breakers).toContainEqual([text.charCodeAt(0)]);
  });

  test('greedy requests keep the penalties and lose the rest', () => {
    expect(extrasOf({ temperature: 0, typical_p: 0.5, mirostat: 2, temperature_last: true })).toBeNull();
    const extras = toExtraSamplers({ dry_multiplier: 1, repeat_last_n: 5, xtc_probability: 1 }, true, tokens);
    expect(extras).toMatchObject({ dry: { multiplier: 1 }, repeatLastN: 5, xtcProbability: 0 });
  });
});

describe('bad values are refused by name', () => {
  const bad: readonly (readonly [string, readonly unknown[]])[] = [
    ['typical_p', [0, 1.01, '1', Number.NaN]],
    ['top_n_sigma', [-1.5, 101, '1']],
    ['temperature_last', [1, 'yes']],
    ['dynatemp_range', [-0.1, 101]],
    ['dynatemp_exponent', [0, -1, 101]],
    ['xtc_probability', [-0.1, 1.1]],
    ['xtc_threshold', [-0.1, 1.1]],
    ['dry_multiplier', [-1, 101]],
    ['dry_base', [0.99, 101]],
    ['dry_allowed_length', [0, 1.5]],
    ['dry_penalty_last_n', [-2, 0.5]],
    ['dry_sequence_breakers', ['x', 3, Array.from({ length: 65 }, () => 'x')]],
    ['mirostat', [-1, 1, 3, 0.5, true]],
    ['mirostat_tau', [-1, 101]],
    ['mirostat_eta', [-0.1, 1.1]],
    ['repeat_last_n', [-2, 0.5]],
  ];
  test.each(bad)('%s', (field, values) => {
    for (const value of values) expect(paramOf({ [field]: value })).toBe(field);
    expect(paramOf({ [field]: null })).toBe('accepted');
  });

  test('breakers one by one', () => {
    expect(paramOf({ dry_sequence_breakers: ['a', ''] })).toBe('dry_sequence_breakers[1]');
    expect(paramOf({ dry_sequence_breakers: ['x'.repeat(41)] })).toBe('dry_sequence_breakers[0]');
    expect(paramOf({ dry_sequence_breakers: ['\ud800'] })).toBe('dry_sequence_breakers[0]');
  });

  function paramOf(body: object): string | null {
    try {
      parse(body);
      return 'accepted';
    } catch (error) {
      if (error instanceof ApiError && error.status === 400) return error.param;
      throw error;
    }
  }
});

describe('sequence breakers', () => {
  const idOf = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });

  test('every token that contains the text, and every token that begins it followed by the rest', () => {
    const sequences = breakerSequences(['ll'], new TokenTable(tokenizer));
    const [l] = idOf('l');
    // "ll", "hell" and "hello" contain it; only "l" ends with its first letter alone.
    for (const text of ['ll', 'hell', 'hello']) expect(sequences).toContainEqual(idOf(text));
    expect(sequences).toContainEqual([l, l] as number[]);
    expect(sequences.length).toBe(4);
  });

  test('texts over several tokens are found from wherever a token begins them', () => {
    const sequences = breakerSequences(['hello world'], new TokenTable(tokenizer));
    expect(sequences).toContainEqual(idOf('hello world'));
    expect(sequences).toContainEqual([...idOf('h'), ...idOf('ello world')]);
  });

  test('are looked up once', () => {
    const table = new TokenTable(tokenizer);
    const [first] = breakerSequences([':'], table);
    expect(breakerSequences([':'], table)[0]).toBe(first as readonly number[]);
    for (let i = 0; i < 300; i++) breakerSequences([`${i}`], table);
    expect(breakerSequences([':'], table)[0]).toEqual(first as readonly number[]);
  });
});
