/** A wrong value of any kind, from anywhere, is refused with the setting, the value and what is allowed. */
import { describe, expect, test } from 'bun:test';
import type { Setting } from '../../../src/config/setting.ts';
import { settings } from '../../../src/config/settings.ts';
import { refusal, refusalOf, valuesOfYaml } from './read-settings.ts';

describe('each kind words what is allowed', () => {
  test.each([
    [{ PORT: 'http' }, 'PORT=http is not allowed: expected an integer from 0 to 65535'],
    [{ PORT: '70000' }, 'PORT=70000 is not allowed: expected an integer from 0 to 65535'],
    [{ MAX_NUM_SEQS: '1.5' }, 'MAX_NUM_SEQS=1.5 is not allowed: expected an integer of at least 1'],
    [{ GPU_MEMORY_UTILIZATION: '0' }, 'GPU_MEMORY_UTILIZATION=0 is not allowed: expected a number above 0, up to 1'],
    [{ SWAP_SPACE: 'much' }, 'SWAP_SPACE=much is not allowed: expected a number of at least 0'],
    [{ BLOCK_SIZE: '12' }, 'BLOCK_SIZE=12 is not allowed: expected 8, 16 or 32'],
    [{ DTYPE: 'int8' }, 'DTYPE=int8 is not allowed: expected auto, float32, float16, bfloat16, float or half'],
    [{ HF_ENDPOINT: 'mirror' }, 'HF_ENDPOINT=mirror is not allowed: expected an http or https address'],
    [{ ROPE_SCALING: '{' }, 'ROPE_SCALING={ is not allowed: expected a JSON object'],
    [{ ROPE_SCALING: '[1]' }, 'ROPE_SCALING=[1] is not allowed: expected a JSON object'],
    [
      { HF_HUB_OFFLINE: 'maybe' },
      'HF_HUB_OFFLINE=maybe is not allowed: expected true, 1, yes, on, false, 0, no or off',
    ],
    [
      { DISABLE_LOG_REQUESTS: 'maybe' },
      'DISABLE_LOG_REQUESTS=maybe is not allowed: expected true, 1, yes, on, false, 0, no or off',
    ],
  ])('%o', (env, message) => {
    expect(refusal([], env)).toBe(message);
  });
});

/** Not one of any kind but text. */
const WRONG = '\u0000 wrong';
const rows: readonly Setting<unknown>[] = Object.values(settings);
const particular = rows.filter((row) => row.kind.read(WRONG) === undefined);

test('most settings take not just any text', () => {
  expect(particular.length).toBeGreaterThan(100);
});

describe.each(particular.map((row) => ({ name: row.name, row })))('$name', ({ name, row }) => {
  const allowed = `not allowed: expected ${row.kind.expects}`;

  test('refuses a wrong value from each of its variables', () => {
    for (const variable of row.env)
      expect(refusal([], { [variable]: WRONG })).toBe(`${variable}=${WRONG} is ${allowed}`);
  });

  test('refuses a wrong value from its flag and from a file', () => {
    expect(refusal([`--${name}=${WRONG}`])).toBe(`--${name} ${WRONG} is ${allowed}`);
    const yaml = `${name}: "\\0 wrong"`;
    expect(refusalOf(() => valuesOfYaml(yaml))).toBe(`${name}: ${WRONG} in c.yaml is ${allowed}`);
  });
});
