/**
 * Settings of the HTTP server: where it listens, who may ask, which origins, how it stops and how much it takes at once.
 *
 * Rows only; `../settings.ts` puts all sections together.
 */
import { boolean, choice, decimal, integer, list, text } from '../kinds.ts';
import { acts, noEffect, planned, section } from '../setting.ts';

export const server = section('Server', {
  config: {
    env: ['VLLM_CONFIG_FILE', 'CONFIG_FILE'],
    kind: text('FILE'),
    default: null,
    defaultText: 'none',
    description: 'YAML file whose keys are the names of flags. Flags and variables go before it.',
  },
  host: acts(text('ADDRESS'), '0.0.0.0', 'Address to listen on.'),
  port: acts(integer({ min: 0, max: 65535 }), 8000, 'Port to listen on; 0 takes a free one.'),
  uds: planned(text('FILE'), null, 'Unix socket to listen on instead of host and port.'),
  apiKeys: {
    name: 'api-key',
    env: ['API_KEY', 'VLLM_API_KEY'],
    kind: list('KEY,...'),
    default: [],
    defaultText: 'none: open',
    description: 'Keys of which clients must send one as bearer token.',
  },
  servedModelNames: {
    name: 'served-model-name',
    env: ['OPENAI_SERVED_MODEL_NAME_OVERRIDE', 'SERVED_MODEL_NAME'],
    kind: list('NAME,...'),
    default: [],
    defaultText: 'the model',
    description: 'Names under which the model is served; answers carry the first.',
  },
  maxRequestBodyBytes: acts(integer({ min: 1 }), 32 * 2 ** 20, 'Larger request bodies are refused.', { unit: 'bytes' }),
  rootPath: acts(
    text('PATH'),
    null,
    'Path in front of all routes when a proxy does not remove it; without it they answer too.',
  ),
  allowedOrigins: acts(list('ORIGIN,...'), ['*'], 'Origins of web pages that may call the server; * is any.'),
  allowedMethods: acts(list('METHOD,...'), ['*'], 'Methods that web pages may use; * is any.'),
  allowedHeaders: acts(list('HEADER,...'), ['*'], 'Headers that web pages may send; * is any.'),
  allowCredentials: acts(boolean(), false, 'Let web pages send cookies and the like.'),
  enableRequestIdHeaders: acts(
    boolean(),
    false,
    'Give every answer an X-Request-Id header: the one that came, else a new one. Generations always have it.',
  ),
  sseKeepAliveMs: acts(integer({ min: 0 }), 10_000, 'How often a silent stream sends a comment; 0 is never.', {
    unit: 'milliseconds',
  }),
  slowReaderTimeoutMs: acts(
    integer({ min: 0 }),
    30_000,
    'A reader of a stream that takes nothing for so long is given up; 0 is never.',
    { unit: 'milliseconds' },
  ),
  disableFastapiDocs: acts(boolean(), false, 'Leave out the OpenAPI document and its page.'),
  enableOfflineDocs: noEffect(boolean(), false, 'The page for the OpenAPI document never needs the internet here.'),
  enableTokenizerInfoEndpoint: acts(
    boolean(),
    false,
    'Serve /tokenizer_info: what clients that tokenise themselves must know.',
  ),
  enableServerLoadTracking: noEffect(boolean(), false, 'The number of running requests is always counted here.'),
  sslKeyfile: acts(text('FILE'), null, 'Private key for HTTPS.'),
  sslCertfile: acts(text('FILE'), null, 'Certificate for HTTPS.'),
  sslCaCerts: planned(text('FILE'), null, 'Certificates of authorities that sign the clients.'),
  sslCertReqs: planned(choice([0, 1, 2]), 0, 'Whether clients need a certificate: 0 no, 1 optional, 2 yes.'),
  sslCiphers: planned(text('CIPHERS'), null, 'Cipher suites for HTTPS.'),
  enableSslRefresh: planned(boolean(), false, 'Read key and certificate again when their files change.'),
  h11MaxIncompleteEventSize: noEffect(
    integer({ min: 1 }),
    4 * 2 ** 20,
    'The HTTP parser has fixed limits for headers; bodies have MAX_REQUEST_BODY_BYTES.',
    { unit: 'bytes' },
  ),
  h11MaxHeaderCount: noEffect(integer({ min: 1 }), 256, 'The HTTP parser has fixed limits for headers.', {
    unit: 'headers',
  }),
  apiServerCount: noEffect(
    integer({ min: 1 }),
    1,
    'One process answers HTTP; tokenization and the engine have their own.',
    {
      short: 'asc',
      unit: 'processes',
    },
  ),
  disableFrontendMultiprocessing: noEffect(boolean(), false, 'The engine is always a process of its own here.'),
});

export const load = section('Load and shutdown', {
  shutdownTimeout: acts(
    decimal({ min: 0 }),
    30,
    'How long running requests may go on after SIGTERM or Ctrl-C before they are aborted.',
    { unit: 'seconds' },
  ),
  drainDelay: acts(
    decimal({ min: 0 }),
    5,
    'How long new requests are still taken after SIGTERM, while readiness says no already. Ctrl-C does not wait.',
    { unit: 'seconds' },
  ),
  maxConcurrency: acts(
    integer({ min: 1 }),
    300,
    'Most jobs at once; further ones wait. Requests over HTTP have MAX_NUM_QUEUED_REQS.',
    {
      unit: 'requests',
    },
  ),
  maxNumQueuedReqs: acts(
    integer({ min: 1 }),
    null,
    'Most sequences in flight, waiting or running; further requests are answered with 503.',
    { unit: 'sequences', unsetWords: ['0', '-1'], defaultText: 'twice MAX_NUM_SEQS, at least 64' },
  ),
  maxNumQueuedTokens: acts(
    integer({ min: 1 }),
    null,
    'Most prompt tokens that wait to be computed; further requests are answered with 503.',
    { unit: 'tokens', unsetWords: ['0', '-1'], defaultText: 'twice the KV cache, at least 4 contexts' },
  ),
  portHealth: acts(integer({ min: 0, max: 65535 }), null, 'Port on which probes and metrics alone are answered.', {
    defaultText: 'PORT',
    sameAs: 'port',
  }),
  healthCheckPath: acts(
    text('PATH'),
    '/ping',
    'Path for the health checks of a load balancer; it answers as /ping does and needs no key.',
  ),
  requestTimeout: acts(
    decimal({ min: 0, isMinOpen: true }),
    3600,
    'Longest time that one generation may take; then it is ended with 408.',
    {
      unit: 'seconds',
    },
  ),
  vllmPort: noEffect(integer({ min: 0, max: 65535 }), 8000, 'There is no second server behind this one; see PORT.'),
  vllmStartupTimeout: noEffect(
    decimal({ min: 0 }),
    1200,
    'There is no second server to wait for; loading takes as long as it takes.',
    { unit: 'seconds' },
  ),
  vllmBaseUrl: noEffect(text('URL'), null, 'There is no second server to send requests to.'),
});
