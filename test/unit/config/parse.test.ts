/** Flags, environment and defaults: which one counts, what is refused, and in which words. */
import { describe, expect, test } from 'bun:test';
import { parseSettings } from '../../../src/config/parse.ts';
import { refusal, valuesOf, valuesOfYaml } from './read-settings.ts';

describe('precedence', () => {
  test('a flag goes before a variable, a variable before the file, the file before the default', () => {
    expect(valuesOf([]).port).toBe(8000);
    expect(valuesOfYaml('port: 8999').port).toBe(8999);
    expect(valuesOfYaml('port: 8999', { env: { PORT: '9000' } }).port).toBe(9000);
    expect(valuesOfYaml('port: 8999', { env: { PORT: '9000' }, args: ['--port', '9001'] }).port).toBe(9001);
    expect(valuesOfYaml('port: 8999', { env: { PORT: ' ' } }).port).toBe(8999);
  });

  test('flags in a variable stand between the command line and the variables', () => {
    const env = { VLLM_EXTRA_ARGS: "--port 9002 --chat-template '{{ a b }}'", PORT: '9000' };
    expect(valuesOf([], env)).toMatchObject({ port: 9002, chatTemplate: '{{ a b }}' });
    expect(valuesOf(['--port', '9001'], env).port).toBe(9001);
    expect(refusal([], { VLLM_EXTRA_ARGS: '--prot 1' })).toBe('unknown flag --prot: did you mean --port?');
  });

  test('the present name of a variable goes before its old one', () => {
    expect(valuesOf([], { ENABLE_LOG_REQUESTS: '1', DISABLE_LOG_REQUESTS: '1' }).enableLogRequests).toBe(true);
    expect(valuesOf([], { DISABLE_LOG_REQUESTS: '1' }).enableLogRequests).toBe(false);
  });

  test('the first alias that is set counts, empty ones do not', () => {
    expect(valuesOf([], { MODEL: 'b' }).model).toBe('b');
    expect(valuesOf([], { MODEL_NAME: 'a', MODEL: 'b' }).model).toBe('a');
    expect(valuesOf([], { MODEL_NAME: ' ', MODEL: 'b' }).model).toBe('b');
    expect(valuesOf([], { MAX_NUM_SEQS: '' }).maxNumSeqs).toBe(256);
  });

  test('every alias of the environment is read', () => {
    expect(valuesOf([], { VLLM_API_KEY: 'k' }).apiKeys).toEqual(['k']);
    expect(valuesOf([], { OPENAI_SERVED_MODEL_NAME_OVERRIDE: 'm' }).servedModelNames).toEqual(['m']);
    expect(valuesOf([], { SERVED_MODEL_NAME: 'm, n' }).servedModelNames).toEqual(['m', 'n']);
    expect(valuesOf([], { TRANSFORMERS_OFFLINE: '1' }).hfHubOffline).toBe(true);
    expect(valuesOf([], { HUGGINGFACE_HUB_CACHE: '/c' }).hfHubCache).toBe('/c');
    expect(valuesOf([], { WGSLM_GPU_ROBUSTNESS: 'on' }).gpuRobustness).toBe(true);
  });
});

describe('flags', () => {
  test('a value follows or is joined by an equals sign', () => {
    expect(valuesOf(['--max-model-len=2048']).maxModelLen).toBe(2048);
    expect(valuesOf(['--max_model_len', '2048']).maxModelLen).toBe(2048);
    expect(valuesOf(['--chat-template={{ a = b }}']).chatTemplate).toBe('{{ a = b }}');
  });

  test('switches stand alone, negated, or with a value', () => {
    expect(valuesOf(['--hf-hub-offline']).hfHubOffline).toBe(true);
    expect(valuesOf(['--no-enable-chunked-prefill']).enableChunkedPrefill).toBe(false);
    expect(valuesOf(['--enable-chunked-prefill', 'false']).enableChunkedPrefill).toBe(false);
    expect(valuesOf(['--enable-chunked-prefill=off']).enableChunkedPrefill).toBe(false);
    const both = valuesOf(['--hf-hub-offline', 'org/name']);
    expect([both.hfHubOffline, both.model]).toEqual([true, 'org/name']);
  });

  test('a list may be repeated, of anything else the last one counts', () => {
    expect(valuesOf(['--api-key', 'a', '--api-key', 'b,c']).apiKeys).toEqual(['a', 'b', 'c']);
    expect(valuesOf(['--port', '1', '--port', '2']).port).toBe(2);
  });

  test('once the model is named a list takes all words up to the next flag', () => {
    const names = valuesOf(['org/name', '--served-model-name', 'a', 'b', '--port', '1']);
    expect([names.model, names.servedModelNames, names.port]).toEqual(['org/name', ['a', 'b'], 1]);
    const first = valuesOf(['--api-key', 'k', 'org/name']);
    expect([first.model, first.apiKeys]).toEqual(['org/name', ['k']]);
  });

  test('a list may be JSON', () => {
    expect(valuesOf([], { ALLOWED_ORIGINS: '["http://a", "http://b,c"]' }).allowedOrigins).toEqual([
      'http://a',
      'http://b,c',
    ]);
    expect(valuesOf(['--api-key', '["a,b"]', '--api-key', 'c']).apiKeys).toEqual(['a,b', 'c']);
  });

  test('short forms', () => {
    expect(valuesOf(['-tp', '2', '-q=int4'])).toMatchObject({ tensorParallelSize: 2, quantization: 'int4' });
  });

  test('the model needs no flag', () => {
    expect(valuesOf(['org/name']).model).toBe('org/name');
    expect(valuesOf(['--model-name', 'org/name']).model).toBe('org/name');
    expect(refusal(['a', 'b'])).toBe('unexpected argument b: the model is given already');
    expect(refusal(['--served-model-name', 'a', 'b', '--model', 'c'])).toBe(
      'unexpected argument b: the model is given by --model too',
    );
  });

  test('help and version come first', () => {
    const kindOf = (args: readonly string[]) => parseSettings(args, { PORT: 'wrong' }, () => null).kind;
    expect(kindOf(['--help'])).toBe('help');
    expect(kindOf(['--help=port'])).toBe('help');
    expect(kindOf(['-h'])).toBe('help');
    expect(kindOf(['--version'])).toBe('version');
  });

  test('an unknown one suggests the nearest', () => {
    expect(refusal(['--prot', '1'])).toBe('unknown flag --prot: did you mean --port?');
    expect(refusal(['--max-num-seq=1'])).toBe('unknown flag --max-num-seq: did you mean --max-num-seqs?');
    expect(refusal(['--completely-different'])).toBe('unknown flag --completely-different: see --help');
    expect(refusal(['-p', '1'])).toStartWith('unknown flag -p: ');
  });

  test('a missing value is named', () => {
    expect(refusal(['--port'])).toBe('--port needs a value: an integer from 0 to 65535');
    expect(refusal(['--no-hf-hub-offline=true'])).toBe('--no-hf-hub-offline takes no value');
  });
});

describe('values', () => {
  test.each([
    ['true', true],
    ['1', true],
    ['Yes', true],
    ['ON', true],
    ['false', false],
    ['0', false],
    ['no', false],
    ['Off', false],
  ])('boolean %s', (text, value) => {
    expect(valuesOf([], { ENABLE_CHUNKED_PREFILL: text }).enableChunkedPrefill).toBe(value);
  });

  test.each([
    ['4096', 4096],
    ['4k', 4000],
    ['4K', 4096],
    ['1.5K', 1536],
    ['1m', 1_000_000],
  ])('integer %s', (text, value) => {
    expect(valuesOf([], { MAX_MODEL_LEN: text }).maxModelLen).toBe(value);
  });

  test('spellings of data types', () => {
    expect(valuesOf([], { DTYPE: 'half' }).dtype).toBe('float16');
    expect(valuesOf([], { DTYPE: 'float' }).dtype).toBe('float32');
    expect(valuesOf([], { KV_CACHE_DTYPE: 'FLOAT16' }).kvCacheDtype).toBe('float16');
  });

  test('words that mean "not set"', () => {
    expect(valuesOf([], { MAX_NUM_BATCHED_TOKENS: '0' }).maxNumBatchedTokens).toBeNull();
    expect(valuesOf([], { MAX_MODEL_LEN: 'auto' }).maxModelLen).toBeNull();
    expect(valuesOf(['--max-model-len', '-1']).maxModelLen).toBeNull();
    expect(valuesOf([], { MAX_MODEL_LEN: 'None', HF_TOKEN: 'none' })).toMatchObject({
      maxModelLen: null,
      hfToken: null,
    });
  });

  test('a template keeps its white space, other text does not', () => {
    expect(valuesOf([], { CUSTOM_CHAT_TEMPLATE: ' {{ x }}\n' }).chatTemplate).toBe(' {{ x }}\n');
    expect(valuesOf([], { MODEL_NAME: ' org/name ' }).model).toBe('org/name');
  });

  test('a refused flag is named as it was written', () => {
    expect(refusal(['--block-size=12'])).toBe('--block-size 12 is not allowed: expected 8, 16 or 32');
  });
});
