/** Small pure parts of the downloader. */

import { describe, expect, test } from 'bun:test';
import type { RepoFile } from '../../../src/engine/weights/hub/api.ts';
import { isHubId, repoCache } from '../../../src/engine/weights/hub/cache-layout.ts';
import { chooseFiles } from '../../../src/engine/weights/hub/choose-files.ts';
import { errorFromDisk, HubError } from '../../../src/engine/weights/hub/errors.ts';
import { retryAfterMs } from '../../../src/engine/weights/hub/request.ts';

describe('retryAfterMs', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  const cases: [string | null, number | null][] = [
    [null, null],
    ['3', 3000],
    [' 0.5 ', 500],
    ['0', null],
    ['soon', null],
    ['Thu, 01 Jan 2026 00:00:20 GMT', 20_000],
    ['Wed, 31 Dec 2025 23:59:59 GMT', null],
    ['86400', 300_000],
  ];
  for (const [header, expected] of cases) {
    test(String(header), () => expect(retryAfterMs(header, now)).toBe(expected));
  }
});

describe('chooseFiles', () => {
  const files = (...paths: string[]): RepoFile[] => paths.map((path) => ({ path, sizeBytes: 1, blob: 'a'.repeat(40) }));
  const small = (...paths: string[]) =>
    chooseFiles('org/m', files('config.json', 'model.safetensors', ...paths)).small.map((file) => file.path);

  test('configuration, tokenizer and templates', () => {
    const wanted = [
      'generation_config.json',
      'tokenizer.json',
      'tokenizer.model',
      'tokenizer_config.json',
      'sentencepiece.bpe.model',
      'vocab.json',
      'merges.txt',
      'special_tokens_map.json',
      'added_tokens.json',
      'chat_template.jinja',
      'additional_chat_templates/tool_use.jinja',
    ];
    expect(small(...wanted)).toEqual(['config.json', ...wanted]);
  });

  test('nothing else', () => {
    const others = [
      'README.md',
      '.gitattributes',
      'onnx/config.json',
      'onnx/tokenizer.json',
      'model.onnx',
      'pytorch_model.bin',
    ];
    expect(small(...others)).toEqual(['config.json']);
  });

  test('weights without the usual name', () => {
    const choice = chooseFiles(
      'org/m',
      files('config.json', 'b.safetensors', 'a.safetensors', 'consolidated.safetensors'),
    );
    expect(choice.weights).toEqual({ kind: 'files', files: ['a.safetensors', 'b.safetensors'] });
  });

  test('no weights at all', () => {
    expect(() => chooseFiles('org/m', files('config.json'))).toThrow('no weights at all');
    expect(() => chooseFiles('org/m', files('config.json', 'x/model.safetensors'))).toThrow(
      'safetensors in a subfolder',
    );
  });
});

test('hub ids and their folders', () => {
  expect(isHubId('gpt2')).toBe(true);
  expect(isHubId('Org-1/name_v0.1')).toBe(true);
  expect(repoCache('/c', 'org/name').folder).toBe('/c/models--org--name');
  expect(repoCache('/c', 'gpt2').locksFolder).toBe('/c/.locks/models--gpt2');
});

describe('errorFromDisk', () => {
  const withCode = (code: string) => Object.assign(new Error(code), { code });
  for (const code of ['ENOSPC', 'EDQUOT', 'EACCES', 'EROFS']) {
    test(code, () => {
      const error = errorFromDisk(withCode(code), '/cache/x');
      expect(error).toBeInstanceOf(HubError);
      expect(error).toHaveProperty('code', 'disk');
      expect(String(error)).toContain('/cache/x');
    });
  }

  test('others pass', () => {
    const error = withCode('EIO');
    expect(errorFromDisk(error, '/cache/x')).toBe(error);
  });
});
