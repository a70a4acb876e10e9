// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Dockerfiles write variables like this.
/** Reading Dockerfiles: instructions, continued lines, mounts, variables; and refusing what is not known. */
import { describe, expect, test } from 'bun:test';
import { DockerfileError, parseDockerfile, type Step } from '../../../scripts/container/dockerfile.ts';
import { ignoreFilter } from '../../../scripts/container/ignore-file.ts';
import { expand, splitWords } from '../../../scripts/container/variables.ts';

function stepOf(line: string): Step {
  const step = parseDockerfile(`FROM base\n${line}\n`).stages[0]?.steps[0];
  if (step === undefined) throw new Error('no step');
  return step;
}

describe('stages', () => {
  test('have an image, a name and their own steps; ARG before FROM is apart', () => {
    const file = parseDockerfile(
      '# comment\nARG V=1.2\nFROM oven/bun:${V}-slim AS bun\n\nfrom debian:13-slim\nWORKDIR /app\n',
    );
    expect(file.globalArgs).toEqual([{ line: 2, kind: 'arg', name: 'V', fallback: '1.2' }]);
    expect(file.stages.map(({ image, name }) => [image, name])).toEqual([
      ['oven/bun:${V}-slim', 'bun'],
      ['debian:13-slim', null],
    ]);
    expect(file.stages[0]?.steps).toEqual([]);
    expect(file.stages[1]?.steps).toEqual([{ line: 6, kind: 'workdir', path: '/app' }]);
  });

  test('a continued line keeps its first number; comments and empty lines inside do not end it', () => {
    const file = parseDockerfile('FROM a\nRUN one \\\n  # why\n\n  && two\nUSER 1\n');
    expect(file.stages[0]?.steps).toEqual([
      { line: 2, kind: 'run', command: { form: 'shell', line: 'one && two' }, mounts: [] },
      { line: 6, kind: 'user', user: '1' },
    ]);
  });
});

describe('instructions', () => {
  test('RUN with mounts, in both forms', () => {
    const mounts = '--mount=type=secret,id=T --mount=type=cache,target=/c,sharing=locked';
    expect(stepOf(`RUN ${mounts} a --mount=b | c`)).toEqual({
      line: 2,
      kind: 'run',
      command: { form: 'shell', line: 'a --mount=b | c' },
      mounts: [
        { type: 'secret', id: 'T', target: '/run/secrets/T' },
        { type: 'cache', id: '/c', target: '/c' },
      ],
    });
    expect(stepOf('RUN ["a", "b c"]')).toMatchObject({ command: { form: 'exec', words: ['a', 'b c'] } });
  });

  test('COPY from the context and from a stage', () => {
    expect(stepOf('COPY a b c/')).toEqual({ line: 2, kind: 'copy', from: null, sources: ['a', 'b'], target: 'c/' });
    expect(stepOf('COPY --from=bun /x /y')).toMatchObject({ from: 'bun', sources: ['/x'], target: '/y' });
  });

  test('ENV with several pairs and quotes', () => {
    expect(stepOf('ENV A=1 B="two words" C=${D:-x}')).toMatchObject({
      pairs: [
        ['A', '1'],
        ['B', 'two words'],
        ['C', '${D:-x}'],
      ],
    });
  });

  test('HEALTHCHECK without its times, ENTRYPOINT, CMD', () => {
    expect(stepOf('HEALTHCHECK --interval=1s --retries=3 CMD ["a"]')).toMatchObject({
      kind: 'healthcheck',
      command: { form: 'exec', words: ['a'] },
    });
    expect(stepOf('ENTRYPOINT ["a"]')).toMatchObject({ kind: 'entrypoint' });
    expect(stepOf('CMD a b')).toMatchObject({ kind: 'cmd', command: { form: 'shell', line: 'a b' } });
  });

  test.each([
    ['ADD a b', 'ADD is not known here'],
    ['RUN --network=none a', '--network=none is not known here'],
    ['RUN --mount=type=bind,target=/x a', 'mount type=bind,target=/x is not known here'],
    ['RUN --mount=type=secret,id=a,env=B c', 'mount option env is not known here'],
    ['RUN cat <<EOF', 'here-documents'],
    ['COPY --chown=1 a b', 'COPY --chown=1 is not known here'],
    ['COPY a', 'COPY needs'],
    ['ENV A', 'A is not of the form'],
    ['CMD ["a", 1]', 'no list of strings'],
    ['CMD [a]', 'no JSON list'],
    ['RUN a \\', 'goes on but ends'],
  ])('refuses %s', (line, message) => {
    expect(() => stepOf(line)).toThrow(DockerfileError);
    expect(() => stepOf(line)).toThrow(message);
  });

  test('a file needs a FROM, and steps come after it', () => {
    expect(() => parseDockerfile('# nothing\n')).toThrow('there is no FROM');
    expect(() => parseDockerfile('RUN a\nFROM b\n')).toThrow('Dockerfile:1: RUN comes before FROM');
  });
});

describe('variables', () => {
  const variables = new Map([
    ['A', 'one'],
    ['EMPTY', ''],
  ]);
  test.each([
    ['$A-${A}', 'one-one'],
    ['$B${B}', ''],
    ['${EMPTY:-x}${B:-$A}', 'xone'],
    ['${A:+y}${EMPTY:+y}', 'y'],
    ['\\$A', '$A'],
  ])('%s', (text, expected) => {
    expect(expand(text, variables)).toBe(expected);
  });

  test('words are split at spaces outside quotes', () => {
    expect(splitWords(`a "b c"d 'e $f' g\\ h "i \\" j"`)).toEqual(['a', 'b cd', 'e $f', 'g h', 'i " j']);
  });
});

describe('.dockerignore', () => {
  const isSeen = ignoreFilter('*\n# comment\n!src\n!scripts/image/\nsrc/**/*.md\n');
  test.each([
    ['src/main.ts', true],
    ['src/a/b.ts', true],
    ['src/notes.md', false],
    ['src/a/b/notes.md', false],
    ['srcs/main.ts', false],
    ['scripts/image/start.ts', true],
    ['scripts/other.ts', false],
    ['README.md', false],
    ['.git/config', false],
  ])('%s: %p', (path, expected) => {
    expect(isSeen(path)).toBe(expected);
  });
});
