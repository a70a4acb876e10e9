/**
 * The routes as the OpenAPI document lists them: one row each. A test keeps the rows equal to the routes of the server.
 *
 * Next: `document.ts`, which makes the document of them.
 */
import type * as v from 'valibot';
import { chatCompletionWire } from '../../serving/schema/chat-completions.ts';
import { completionWire } from '../../serving/schema/completions.ts';
import { countTokensWire, messagesWire } from '../../serving/schema/messages-api.ts';
import { responsesWire } from '../../serving/schema/responses.ts';
import { detokenizeWire, tokenizeWire } from '../../serving/schema/tokenize.ts';
import { jobBodyWire } from '../native/job-body.ts';

export interface Operation {
  readonly method: 'get' | 'post' | 'delete';
  /** Parts in braces are parameters. */
  readonly path: string;
  readonly tag: string;
  readonly summary: string;
  readonly body?: v.GenericSchema;
  /** Parameters of the query with what they mean. */
  readonly query?: Readonly<Record<string, string>>;
  /** What a good answer is; `stream` may be one, when the body asks for it. */
  readonly answer: 'json' | 'stream' | 'text' | 'empty';
  /** Needs no key even where keys are set. */
  readonly isOpen?: boolean;
}

const wait = { wait: 'How long to wait for the end of the job, in milliseconds.' };

const openai: readonly Operation[] = [
  row('post', '/v1/chat/completions', 'Answer a conversation.', 'stream', { body: chatCompletionWire.schema }),
  row('post', '/v1/completions', 'Continue a text.', 'stream', { body: completionWire.schema }),
  row('post', '/v1/responses', 'Create a response.', 'stream', { body: responsesWire.schema }),
  row('get', '/v1/responses/{id}', 'A stored response.', 'json'),
  row('delete', '/v1/responses/{id}', 'Forget a stored response.', 'json'),
  row('post', '/v1/responses/{id}/cancel', 'End a response that runs in the background.', 'json'),
  row('get', '/v1/responses/{id}/input_items', 'What a stored response answers.', 'json', {
    query: {
      limit: 'Most items, 1 to 100.',
      order: 'asc or desc.',
      after: 'The id of the item before the first.',
    },
  }),
  row('get', '/v1/models', 'The names under which the model is served.', 'json'),
  row('get', '/v1/models/{name}', 'One of these names.', 'json'),
  row(
    'post',
    '/v1/chat/completions/render',
    'The engine request that a conversation means, without running it.',
    'json',
    {
      body: chatCompletionWire.schema,
    },
  ),
  row('post', '/v1/completions/render', 'The engine requests that a text means, without running them.', 'json', {
    body: completionWire.schema,
  }),
].map((one) => ({ ...one, tag: 'OpenAI' }));

const anthropic: readonly Operation[] = [
  row('post', '/v1/messages', 'Answer a conversation.', 'stream', { body: messagesWire.schema }),
  row('post', '/v1/messages/count_tokens', 'Count the tokens of a conversation.', 'json', {
    body: countTokensWire.schema,
  }),
].map((one) => ({ ...one, tag: 'Anthropic' }));

const tokens: readonly Operation[] = [
  row('post', '/tokenize', 'Token ids of a text or a conversation.', 'json', { body: tokenizeWire.schema }),
  row('post', '/detokenize', 'The text of token ids.', 'json', { body: detokenizeWire.schema }),
  row('get', '/tokenizer_info', 'What clients that tokenise themselves must know.', 'json'),
].map((one) => ({ ...one, tag: 'Tokens' }));

const operation: readonly Operation[] = [
  row('get', '/live', 'Whether the process is worth keeping.', 'json', { isOpen: true }),
  row('get', '/health', 'Whether requests should be sent here.', 'json', { isOpen: true }),
  row('get', '/ready', 'The same as /health.', 'json', { isOpen: true }),
  row('get', '/ping', '200 ready, 204 loading, 503 neither.', 'empty', { isOpen: true }),
  row('post', '/ping', 'The same as GET.', 'empty', { isOpen: true }),
  row('get', '/load', 'Number of sequences in progress.', 'json'),
  row('get', '/version', 'The version of the server.', 'json', { isOpen: true }),
  row('get', '/metrics', 'Figures in the text format of Prometheus.', 'text', { isOpen: true }),
  row('get', '/metrics/routing', 'The figures that a router needs, alone.', 'text', { isOpen: true }),
  row('get', '/openapi.json', 'This document.', 'json'),
  row('get', '/docs', 'A page that shows this document.', 'text'),
].map((one) => ({ ...one, tag: 'Operation' }));

/** Each also below `/v2/{endpoint}`. */
const jobs: readonly Operation[] = [
  row('post', '/run', 'Queue a job.', 'json', { body: jobBodyWire.schema }),
  row('post', '/runsync', 'Queue a job and wait for its end.', 'json', { body: jobBodyWire.schema, query: wait }),
  ...(['get', 'post'] as const).flatMap((method) => [
    row(method, '/status/{id}', 'The state of a job, and its output once it has ended.', 'json', {
      query: { ttl: 'Forget the result after so long, in milliseconds.' },
    }),
    row(method, '/status-sync/{id}', 'The same after waiting for the end.', 'json', { query: wait }),
    row(method, '/stream/{id}', 'The outputs since the last call.', 'json'),
  ]),
  row('post', '/cancel/{id}', 'End a job.', 'json'),
  row('post', '/retry/{id}', 'Queue a job again that has failed.', 'json'),
  row('post', '/purge-queue', 'Drop the jobs that wait.', 'json'),
].map((one) => ({ ...one, tag: 'Jobs' }));

const endpointPrefix = '/v2/{endpoint}';

/** All rows. `hasJobs`: whether the server keeps jobs. */
export function operations(hasJobs: boolean): readonly Operation[] {
  const jobRows = [
    ...jobs,
    ...jobs.map((one) => ({ ...one, path: `${endpointPrefix}${one.path}` })),
    { ...row('get', `${endpointPrefix}/health`, 'Counts of jobs and workers.', 'json'), tag: 'Jobs' },
  ];
  return [...openai, ...anthropic, ...tokens, ...operation, ...(hasJobs ? jobRows : [])];
}

function row(
  method: Operation['method'],
  path: string,
  summary: string,
  answer: Operation['answer'],
  extra: Partial<Operation> = {},
): Operation {
  return { method, path, tag: '', summary, answer, ...extra };
}
