/** Every shader has its op, its reference and its test, under the same stem. */
import { describe, expect, test } from 'bun:test';
import { basename } from 'node:path';
import { filesUnder } from './source-tree.ts';

const shaders = filesUnder('src/shaders', /\.wgsl$/).filter((path) => !path.includes('/include/'));
const stems = (folder: string, ending: string) =>
  new Set(
    filesUnder(folder, /\.ts$/)
      .filter((path) => path.endsWith(ending))
      .map((path) => basename(path, ending)),
  );

const ops = stems('src/engine/ops', '.ts');
const references = stems('test/reference', '.ts');
const tests = stems('test/kernels', '.test.ts');

/** `matmul-tiled` may belong to `matmul-tiled` or to `matmul`: the longest op there is. */
function opOf(shader: string): string | undefined {
  const words = basename(shader, '.wgsl').split('-');
  const candidates = words.map((_, dropped) => words.slice(0, words.length - dropped).join('-'));
  return candidates.find((candidate) => ops.has(candidate));
}

describe('each shader', () => {
  test.each(shaders)('%s has an op, a reference and a test', (shader) => {
    const op = opOf(shader) ?? '(none)';
    expect({ op: ops.has(op), reference: references.has(op), test: tests.has(op) }).toEqual({
      op: true,
      reference: true,
      test: true,
    });
  });
});
