/**
 * One job from the command line instead of a queue: run it, show what comes out, end.
 *
 * `--test_input '{"input": {...}}'` has the job in the next argument; `--test_input` alone reads `test_input.json` in the current folder.
 * Source: the local mode of RunPod's Python worker.
 */
import { readFile } from 'node:fs/promises';
import { failureText, type JobHandler } from '../job.ts';

const flag = '--test_input';
const defaultFile = 'test_input.json';
const defaultId = 'local_test';

/** The job's JSON text, or null when none is asked for. Throws: Error when the file cannot be read. */
export async function findTestInput(argv: readonly string[]): Promise<string | null> {
  const index = argv.findIndex((arg) => arg === flag || arg.startsWith(`${flag}=`));
  const arg = argv[index];
  if (arg === undefined) return null;
  const given = arg === flag ? argv[index + 1] : arg.slice(flag.length + 1);
  return given === undefined || given.startsWith('--') ? readFile(defaultFile, 'utf8') : given;
}

/** The arguments that are left for the settings. */
export function argsWithoutTestInput(args: readonly string[]): string[] {
  return args.filter((arg, i) => {
    const isValue = args[i - 1] === flag && !arg.startsWith('--');
    return arg !== flag && !arg.startsWith(`${flag}=`) && !isValue;
  });
}

/** Runs the job and writes each output and the end as JSON lines. Gives the exit status. */
export async function runLocalTest(
  testInput: string,
  handler: JobHandler,
  write: (line: string) => void,
): Promise<0 | 1> {
  try {
    const { id, input } = parseTest(testInput);
    const outputs: unknown[] = [];
    for await (const output of handler({ id, input }, new AbortController().signal)) outputs.push(output);
    write(JSON.stringify({ id, status: 'COMPLETED', output: outputs }));
    return 0;
  } catch (error) {
    const text =
      error instanceof SyntaxError ? `The test input is not valid JSON: ${error.message}` : failureText(error);
    write(JSON.stringify({ status: 'FAILED', error: text }));
    return 1;
  }
}

function parseTest(text: string): { readonly id: string; readonly input: unknown } {
  const test: unknown = JSON.parse(text);
  if (typeof test !== 'object' || test === null || !('input' in test)) {
    throw new SyntaxError('it must be an object with an `input`');
  }
  const id = 'id' in test && typeof test.id === 'string' ? test.id : defaultId;
  return { id, input: test.input };
}
