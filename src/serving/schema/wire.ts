/**
 * Checks a parsed JSON body against a wire schema and tells the client what is wrong in one sentence with the field's path.
 *
 * Messages are made here from what was expected, because the library's own echo the client's values and print unions as code.
 */
import * as v from 'valibot';
import { type ApiError, badRequest } from '../errors.ts';
import type { UnsupportedField } from './unsupported.ts';

/** One endpoint's body: what is understood, and what is known but refused. Anything else is ignored. */
export interface WireSchema<T> {
  readonly schema: v.GenericSchema<unknown, T>;
  readonly unsupported: readonly UnsupportedField[];
}

/** The typed body. Throws: ApiError 400 that names the field. */
export function parseWire<T>(wire: WireSchema<T>, body: unknown): T {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw badRequest('The request body must be a JSON object.');
  }
  const fields = body as Readonly<Record<string, unknown>>;
  for (const row of wire.unsupported) {
    const value = fields[row.field];
    if (value === undefined || value === null || row.isNeutral(value, fields)) continue;
    throw badRequest(`\`${row.field}\` is not supported yet with the given value.`, row.field);
  }
  const result = v.safeParse(wire.schema, body, { abortEarly: true });
  if (result.success) return result.output;
  throw issueError(result.issues[0]);
}

function issueError(issue: v.BaseIssue<unknown>): ApiError {
  const deepest = deepestIssue(issue, []);
  const param = bracketPath(deepest.path);
  const field = param === '' ? 'The request body' : `\`${param}\``;
  return badRequest(`${field} ${describe(deepest.issue)}.`, param === '' ? null : param);
}

type Path = readonly unknown[];

/** A union reports one issue with one list per alternative; the alternative that got furthest says most. */
function deepestIssue(issue: v.BaseIssue<unknown>, before: Path): { issue: v.BaseIssue<unknown>; path: Path } {
  const path = [...before, ...(issue.path ?? []).map((item) => item.key)];
  let best = { issue, path: path as Path };
  for (const nested of issue.issues ?? []) {
    const candidate = deepestIssue(nested, path);
    const isCloser = candidate.path.length > best.path.length;
    const isValue = candidate.issue.kind === 'validation' && best.issue.kind !== 'validation';
    if (isCloser || (isValue && candidate.path.length === best.path.length)) best = candidate;
  }
  return best;
}

function describe(issue: v.BaseIssue<unknown>): string {
  if (issue.kind === 'validation') return issue.message;
  if (issue.input === undefined) return 'is required';
  return `must be ${issue.expected ?? 'another value'}, not ${typeName(issue.input)}`;
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'an array' : typeof value;
}

/** `messages[0].role` */
function bracketPath(path: Path): string {
  let text = '';
  for (const key of path) {
    if (typeof key === 'number') text += `[${key}]`;
    else text += text === '' ? String(key) : `.${String(key)}`;
  }
  return text;
}
