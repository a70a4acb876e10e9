/**
 * A job's input -> what to do: a native generation, or a call to one of the server's own routes.
 *
 * Owns the order in which the forms are tried. Checks shapes alone: values are checked where they are used.
 * Source: the input forms of RunPod's vLLM worker, old and new. Next: `native.ts`, `route-call.ts`.
 */
import { badRequest } from '../serving/errors.ts';
import type { BatchGrowth, JobSettings } from './job-settings.ts';

export interface NativeCall {
  readonly kind: 'native';
  /** Text that is completed as it stands, or a conversation for the chat template. */
  readonly prompt: { readonly text: string } | { readonly messages: readonly unknown[] };
  readonly samplingParams: Readonly<Record<string, unknown>>;
  readonly isStream: boolean;
  readonly batchGrowth: BatchGrowth;
}

export interface RouteCall {
  readonly kind: 'route';
  readonly method: string;
  /** Path and query on this server. */
  readonly route: string;
  /** Null = no body. */
  readonly body: Readonly<Record<string, unknown>> | null;
}

type Fields = Readonly<Record<string, unknown>>;

/** Throws: ApiError 400. */
export function parseJobInput(input: unknown, settings: JobSettings): NativeCall | RouteCall {
  const fields = asFields(input, 'input');
  // An empty body asks for nothing: `openai_input: {}` beside a route is how clients list models.
  const openaiInput = given(fields.openai_input) ? asFields(fields.openai_input, 'openai_input') : null;
  if (openaiInput !== null && Object.keys(openaiInput).length > 0) {
    return call('POST', fields.openai_route || '/v1/chat/completions', 'openai_route', openaiInput);
  }
  if (fields.openai_route) return call('GET', fields.openai_route, 'openai_route', null);
  if (fields.route) {
    const body = given(fields.body) ? asFields(fields.body, 'body') : null;
    const method = fields.method ? asText(fields.method, 'method').toUpperCase() : body === null ? 'GET' : 'POST';
    return call(method, fields.route, 'route', method === 'GET' ? null : body);
  }
  if (given(fields.messages) || given(fields.prompt)) {
    return settings.nativeOutput === 'openai' ? openaiCall(fields) : nativeCall(fields, settings.batchGrowth);
  }
  throw badRequest(
    'Job input must contain one of: openai_input (+openai_route), route (+body), or prompt/messages.',
    'input',
  );
}

/** Text in `messages` stands for a prompt; a prompt becomes a conversation only when the template is asked for. */
function nativeCall(fields: Fields, defaults: BatchGrowth): NativeCall {
  const source = given(fields.messages) ? fields.messages : fields.prompt;
  if (typeof source !== 'string' && !Array.isArray(source)) {
    throw badRequest('Input must be a string or a list of messages.', given(fields.messages) ? 'messages' : 'prompt');
  }
  const isTemplated = asFlag(fields.apply_chat_template, 'apply_chat_template');
  let prompt: NativeCall['prompt'];
  if (typeof source !== 'string') prompt = { messages: source };
  else prompt = isTemplated ? { messages: [{ role: 'user', content: source }] } : { text: source };
  return {
    kind: 'native',
    prompt,
    samplingParams: samplingParams(fields),
    isStream: asFlag(fields.stream, 'stream'),
    batchGrowth: {
      max: asSize(fields.max_batch_size, 'max_batch_size') ?? defaults.max,
      min: asSize(fields.min_batch_size, 'min_batch_size') ?? defaults.min,
      growthFactor: asSize(fields.batch_size_growth_factor, 'batch_size_growth_factor') ?? defaults.growthFactor,
    },
  };
}

/** The newer worker's reading: sampling parameters are fields of an OpenAI request. */
function openaiCall(fields: Fields): RouteCall {
  const shared = { ...samplingParams(fields), stream: asFlag(fields.stream, 'stream') };
  if (given(fields.messages)) {
    return call('POST', '/v1/chat/completions', 'route', { ...shared, messages: fields.messages });
  }
  return call('POST', '/v1/completions', 'route', { ...shared, prompt: fields.prompt });
}

function call(method: string, route: unknown, field: string, body: Fields | null): RouteCall {
  const text = asText(route, field);
  const path = text.startsWith('/') ? text : `/${text}`;
  // Clients that build the route from the platform's URL leave its prefix in.
  return { kind: 'route', method, route: path.replace(/^\/openai(?=\/)/, ''), body };
}

function samplingParams(fields: Fields): Fields {
  return given(fields.sampling_params) ? asFields(fields.sampling_params, 'sampling_params') : {};
}

const given = (value: unknown): boolean => value !== undefined && value !== null;

function asFields(value: unknown, field: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw badRequest(`\`${field}\` must be a JSON object.`, field);
}

function asText(value: unknown, field: string): string {
  if (typeof value === 'string') return value;
  throw badRequest(`\`${field}\` must be text.`, field);
}

function asFlag(value: unknown, field: string): boolean {
  if (!given(value)) return false;
  if (typeof value === 'boolean') return value;
  throw badRequest(`\`${field}\` must be true or false.`, field);
}

/** Null where nothing is given; 0 counts as nothing. */
function asSize(value: unknown, field: string): number | null {
  if (!given(value) || value === 0) return null;
  if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value;
  throw badRequest(`\`${field}\` must be a number greater than 0.`, field);
}
