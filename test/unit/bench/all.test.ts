/** The run of all benchmarks: its parts and their time, its report, and programs that fail or hang. */
import { describe, expect, test } from 'bun:test';
import { allParts, chosenParts, minutesFor } from '../../../scripts/bench/all-parts.ts';
import { allReport, type PartOutcome } from '../../../scripts/bench/all-report.ts';
import { runChild } from '../../../scripts/bench/child-part.ts';

const parts = allParts({ engineArgs: ['--models', 'demo'], model: '/m', dtype: 'bfloat16' });

describe('allParts', () => {
  test('begins with what the adapter is, through both bindings, and then the engine', () => {
    expect(parts.slice(0, 3).map(({ name }) => name)).toEqual(['device-bun-webgpu', 'device-webgpu', 'engine']);
    expect(parts.slice(0, 2).map(({ env }) => env.GPU_BINDING)).toEqual(['bun-webgpu', 'webgpu']);
  });

  test('passes on the wishes and leaves each part time to end', () => {
    const byName = (name: string) => parts.find((part) => part.name === name);
    expect(byName('engine')?.args(10)).toEqual(['engine', '--models', 'demo', '--minutes', '8.50']);
    expect(byName('peers')?.args(3)).toEqual(expect.arrayContaining(['--peer-seconds', '45', '--model', '/m']));
    expect(byName('scenarios')?.env).toEqual({ MODEL_NAME: '/m' });
  });

  test('divides the time by weight, and gives what one leaves to the others', () => {
    const [a, b] = [{ weight: 1 }, { weight: 3 }];
    expect(minutesFor([a, b], 20)).toBe(5);
    expect(minutesFor([b], 19)).toBe(19);
    expect(minutesFor([a, b], -1)).toBeGreaterThan(0);
    expect(minutesFor([], 5)).toBe(0);
  });

  test('runs chosen ones in their own order, and refuses others', () => {
    expect(chosenParts(parts, ['peers', 'engine']).map(({ name }) => name)).toEqual(['engine', 'peers']);
    expect(() => chosenParts(parts, ['engines'])).toThrow('no part engines; there are device-bun-webgpu');
  });
});

describe('allReport', () => {
  const header = { date: 'today', minutes: 25, environment: { GPU_BINDING: 'auto' }, notes: ['a note'] };
  const outcome = (fields: Partial<PartOutcome>): PartOutcome => ({
    ...{ name: 'engine', command: 'bun run bench engine', state: 'done', seconds: 3, output: 'a table\n' },
    ...{ errors: 'a warning', json: 'engine.json' },
    ...fields,
  });

  test('has a row for every part, and what each printed', () => {
    const text = allReport(header, [outcome({}), outcome({ name: 'host', state: 'not begun', json: null })]);
    expect(text).toContain('| engine | done | 3 | engine.json |');
    expect(text).toContain('| host | not begun |');
    expect(text).toContain('```text\na table\n```');
    expect(text).not.toContain('## host');
    expect(text).not.toContain('a warning');
  });

  test('quotes the messages of a part that failed, and no fence breaks', () => {
    const text = allReport(header, [outcome({ state: 'failed', output: '', errors: 'Error: ```x' })]);
    expect(text).toContain('`bun run bench engine`: **failed**');
    expect(text).toContain('````text\nError: ```x\n````');
  });
});

describe('runChild', () => {
  const options = { env: { WORD: 'hello' }, limitMs: 60_000, onOutput: () => {} };

  test('keeps what is printed and tells how it ended', async () => {
    const end = await runChild('/bin/sh', ['-c', 'echo $WORD; echo fault >&2; exit 3'], options);
    expect(end).toEqual({ state: 'failed', output: 'hello\n', errors: 'fault\n' });
    expect((await runChild('/bin/sh', ['-c', 'true'], options)).state).toBe('done');
  });

  test('ends one that hangs, with all that it started', async () => {
    const script = 'sleep 600 & echo $!; wait';
    const { state, output } = await runChild('/bin/sh', ['-c', script], { ...options, limitMs: 300 });
    expect(state).toBe('out of time');
    expect(Number(output)).toBeGreaterThan(0);
  });

  test('takes a program that is not there as failed', async () => {
    expect((await runChild('/no/such/program', [], options)).state).toBe('failed');
  });
});
