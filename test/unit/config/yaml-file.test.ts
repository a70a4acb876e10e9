/** Settings from a YAML file: which keys count, what YAML's types become, and what is refused. */
import { describe, expect, test } from 'bun:test';
import { refusalOf, valuesOfYaml } from './read-settings.ts';

describe('keys', () => {
  test('are names of flags, with dashes or underscores, and their aliases', () => {
    expect(valuesOfYaml('max-model-len: 10').maxModelLen).toBe(10);
    expect(valuesOfYaml('max_model_len: 10').maxModelLen).toBe(10);
    expect(valuesOfYaml('model-name: org/name').model).toBe('org/name');
    expect(valuesOfYaml('no-enable-chunked-prefill: true').enableChunkedPrefill).toBe(false);
    expect(valuesOfYaml('disable-log-requests: true').enableLogRequests).toBe(false);
  });

  test('that are unknown name the nearest', () => {
    expect(refusalOf(() => valuesOfYaml('prot: 1'))).toBe('unknown setting prot in c.yaml: did you mean port?');
    expect(refusalOf(() => valuesOfYaml('max_num_seq: 1'))).toBe(
      'unknown setting max_num_seq in c.yaml: did you mean max-num-seqs?',
    );
    expect(refusalOf(() => valuesOfYaml('completely-different: 1'))).toBe(
      'unknown setting completely-different in c.yaml: see --help',
    );
  });

  test('count once', () => {
    expect(refusalOf(() => valuesOfYaml('max-model-len: 1\nmax_model_len: 2'))).toBe(
      'max_model_len in c.yaml: max-model-len is given twice',
    );
  });

  test('cannot name another file', () => {
    expect(refusalOf(() => valuesOfYaml('config: d.yaml'))).toBe(
      'config in c.yaml is not allowed: one file cannot name another',
    );
  });
});

describe('values', () => {
  test('a file as it is written for other servers', () => {
    const values = valuesOfYaml('host: "127.0.0.1"\nport: 6379\nuvicorn-log-level: "info"\n');
    expect(values).toMatchObject({ host: '127.0.0.1', port: 6379, uvicornLogLevel: 'info' });
  });

  test('scalars', () => {
    expect(valuesOfYaml('gpu-memory-utilization: 0.5').gpuMemoryUtilization).toBe(0.5);
    expect(valuesOfYaml('enable-chunked-prefill: false').enableChunkedPrefill).toBe(false);
    expect(valuesOfYaml('enable-chunked-prefill: off').enableChunkedPrefill).toBe(false);
    expect(valuesOfYaml('max-model-len: 4K').maxModelLen).toBe(4096);
    expect(valuesOfYaml('max-model-len: ~').maxModelLen).toBeNull();
  });

  test('lists and mappings', () => {
    expect(valuesOfYaml('served-model-name: [a, "b,c"]').servedModelNames).toEqual(['a', 'b,c']);
    expect(valuesOfYaml('served-model-name: a').servedModelNames).toEqual(['a']);
    expect(valuesOfYaml('allowed-origins: []').allowedOrigins).toEqual([]);
    expect(valuesOfYaml('override-generation-config:\n  temperature: 0.5').overrideGenerationConfig).toEqual({
      temperature: 0.5,
    });
    expect(refusalOf(() => valuesOfYaml('port: [1]'))).toBe(
      'port in c.yaml: a list is not allowed: expected an integer from 0 to 65535',
    );
    expect(refusalOf(() => valuesOfYaml('host: {a: 1}'))).toBe(
      'host in c.yaml: a mapping is not allowed: expected text',
    );
  });

  test('an empty file sets nothing, other shapes are refused', () => {
    expect(valuesOfYaml('# nothing').port).toBe(8000);
    const shape = 'c.yaml is not allowed: expected a mapping from settings to values';
    expect(refusalOf(() => valuesOfYaml('- port'))).toBe(shape);
    expect(refusalOf(() => valuesOfYaml('port'))).toBe(shape);
  });
});
