/** What is not supported yet stops the start, what has no effect is told once, and no line shows a value that may be secret. */
import { describe, expect, test } from 'bun:test';
import type { Setting } from '../../../src/config/setting.ts';
import { settings } from '../../../src/config/settings.ts';
import { load, noticesOf, refusal } from './read-settings.ts';

const rows: readonly Setting<unknown>[] = Object.values(settings);
const withDefault = rows.filter((row) => row.default !== null);

/** A setting's default as a user would write it. */
function defaultAsText(row: Setting<unknown>): string {
  return Array.isArray(row.default) ? JSON.stringify(row.default) : String(row.default);
}

describe('not supported yet', () => {
  test.each([
    [{ QUANTIZATION: 'awq' }, 'QUANTIZATION=awq is not yet supported: expected int8 or int4'],
    [{ ENABLE_LORA: 'true' }, 'ENABLE_LORA=true is not yet supported: use false'],
    [{ TENSOR_PARALLEL_SIZE: '2' }, 'TENSOR_PARALLEL_SIZE=2 is not yet supported: use 1'],
    [{ SPECULATIVE_MODEL: 'm' }, 'SPECULATIVE_MODEL=m is not yet supported: leave it out or use none'],
    [{ TOOL_CALL_PARSER: 'hermes' }, 'TOOL_CALL_PARSER=hermes is not yet supported: leave it out or use none'],
    [{ ROPE_THETA: '1e6' }, 'ROPE_THETA=1e6 is not yet supported: leave it out'],
    [{ LORA_MODULES: '[{"name":"a"}]' }, 'LORA_MODULES=[{"name":"a"}] is not yet supported: leave it out or use none'],
    [
      { KV_CACHE_DTYPE: 'fp8_inc' },
      'KV_CACHE_DTYPE=fp8_inc is not yet supported: expected auto, float32, float16, bfloat16, int8, fp8, fp8_e4m3, fp8_e5m2, float or half',
    ],
  ])('%o stops the start', (env, message) => {
    expect(refusal([], env)).toBe(message);
  });

  test('all of them are listed at once', () => {
    expect(refusal(['-tp', '2'], { ENABLE_LORA: '1' }).split('\n')).toEqual([
      '-tp 2 is not yet supported: use 1',
      'ENABLE_LORA=1 is not yet supported: use false',
    ]);
  });

  test('values that change nothing pass in silence', () => {
    const env = {
      QUANTIZATION: 'None',
      LORA_MODULES: '[]',
      TENSOR_PARALLEL_SIZE: '1',
      ENABLE_AUTO_TOOL_CHOICE: 'false',
      LOAD_FORMAT: 'safetensors',
      NUM_SPECULATIVE_TOKENS: '0',
      MODEL_NAME: 'org/name',
      TOKENIZER: 'org/name',
      PORT: '80',
      PORT_HEALTH: '80',
      SPECULATIVE_METHOD: '',
    };
    expect(noticesOf({ env })).toEqual([]);
  });

  test('what changes no answer is told', () => {
    expect(noticesOf({ env: { STREAM_INTERVAL: '5' } })).toEqual([
      'STREAM_INTERVAL is not yet supported and changes nothing for now.',
    ]);
  });
});

describe('no effect', () => {
  test('is told with what it means here', () => {
    expect(noticesOf({ env: { ENFORCE_EAGER: '1' }, args: ['--disable-custom-all-reduce'] })).toEqual([
      '--disable-custom-all-reduce has no effect here. A server uses one GPU. There is nothing to sum up between GPUs.',
      'ENFORCE_EAGER has no effect here. There are no CUDA graphs here. Commands are always recorded step by step.',
    ]);
  });

  test('every default may be given, from everywhere, without a word', () => {
    const args = withDefault.map((row) => `--${row.name}=${defaultAsText(row)}`);
    const env = Object.fromEntries(withDefault.map((row) => [row.env[0], defaultAsText(row)]));
    expect(noticesOf({ args })).toEqual([]);
    expect(noticesOf({ env })).toEqual([]);
  });
});

describe('old names', () => {
  test.each([
    ['MIN_BATCH_SIZE', '1', 'MIN_BATCH_SIZE is an old name: use DEFAULT_MIN_BATCH_SIZE.'],
    ['BATCH_SIZE_GROWTH_FACTOR', '3', 'BATCH_SIZE_GROWTH_FACTOR is an old name: use DEFAULT_BATCH_SIZE_GROWTH_FACTOR.'],
    ['MAX_CONTEXT_LEN_TO_CAPTURE', '8192', 'MAX_CONTEXT_LEN_TO_CAPTURE is an old name: use MAX_SEQ_LEN_TO_CAPTURE.'],
    [
      'DISABLE_LOG_REQUESTS',
      '0',
      'DISABLE_LOG_REQUESTS is an old name: use ENABLE_LOG_REQUESTS, which means the opposite.',
    ],
    [
      'DISABLE_LOGGING_REQUEST',
      '0',
      'DISABLE_LOGGING_REQUEST is an old name: use ENABLE_LOG_REQUESTS, which means the opposite.',
    ],
  ])('%s', (name, value, notice) => {
    expect(noticesOf({ env: { [name]: value } })).toEqual([notice]);
  });

  test('of flags and keys of a file lead to the flag and the key', () => {
    expect(noticesOf({ args: ['--min-batch-size', '1'] })).toEqual([
      '--min-batch-size is an old name: use --default-min-batch-size.',
    ]);
    expect(noticesOf({ args: ['--config', 'c.yaml'], files: { 'c.yaml': 'min_batch_size: 1' } })).toEqual([
      'min_batch_size in c.yaml is an old name: use default-min-batch-size.',
    ]);
  });

  test('are told beside what the setting itself has to say', () => {
    const notices = noticesOf({ env: { VLLM_ATTENTION_BACKEND: 'FLASH_ATTN' } });
    expect(notices).toHaveLength(2);
    expect(notices[0]).toBe('VLLM_ATTENTION_BACKEND is an old name: use ATTENTION_BACKEND.');
    expect(notices[1]).toStartWith('VLLM_ATTENTION_BACKEND has no effect here. ');
  });
});

test('no notice shows a value', () => {
  const secret = 'sEcReT';
  const texts = rows.filter((row) => row.kind.read(secret) !== undefined);
  for (const row of texts.filter((one) => one.status !== 'planned' || one.whilePlanned === 'tell')) {
    // One of the pair is refused alone.
    const pair = { SSL_KEYFILE: 'key.pem', SSL_CERTFILE: 'cert.pem' };
    const loaded = load({ env: { ...pair, [row.env[0] ?? '']: secret }, files: { [secret]: '' } });
    expect(JSON.stringify(loaded.kind === 'config' && loaded.notices)).not.toContain(secret);
  }
});
