/**
 * A queue server that plays a script: what it answers to each request is written down before, what it was asked is written down after.
 *
 * The same server is put before RunPod's own worker (`scripts/runpod/record.ts`) and before ours.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Channel = 'take' | 'stop' | 'stream' | 'result' | 'ping';

/** An answer, or a connection that breaks before the request counts as received. */
export interface Step {
  readonly status?: number;
  readonly json?: unknown;
  /** Raw text instead of JSON. */
  readonly text?: string;
  readonly type?: string;
  readonly cut?: boolean;
  /** Held back until this many results were taken. */
  readonly afterResults?: number;
  /** Held back until this many parts were taken. */
  readonly afterParts?: number;
}

export interface QueueScript {
  /** One per request for jobs; later ones are held open. */
  readonly takes?: readonly Step[];
  readonly stops?: readonly Step[];
  /** One per post, in order; later ones are taken. */
  readonly parts?: readonly Step[];
  readonly results?: readonly Step[];
  readonly pings?: readonly Step[];
}

export interface Asked {
  readonly channel: Channel;
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Parsed where it is JSON. */
  readonly body: unknown;
  readonly answer: number | 'cut' | 'held';
}

export class ScriptedQueue {
  readonly asked: Asked[] = [];
  private readonly held: ServerResponse[] = [];
  private readonly counts: Record<Channel, number> = { take: 0, stop: 0, stream: 0, result: 0, ping: 0 };
  private watchers: (() => void)[] = [];
  private isClosing = false;

  private constructor(
    private readonly script: QueueScript,
    private readonly server: Server,
    /** Answers that depend on the request; null leaves it to the script. */
    private readonly react: ((asked: Omit<Asked, 'answer'>) => Step | null | Promise<Step | null>) | null,
  ) {}

  static async start(
    script: QueueScript,
    react: ((asked: Omit<Asked, 'answer'>) => Step | null | Promise<Step | null>) | null = null,
  ): Promise<ScriptedQueue> {
    const server = createServer();
    const queue = new ScriptedQueue(script, server, react);
    server.on('request', (request, response) => void queue.handle(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return queue;
  }

  /** What the platform would put into a worker's environment. */
  environment(): Record<string, string> {
    const base = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/v2/endpoint-1`;
    return {
      RUNPOD_ENDPOINT_ID: 'endpoint-1',
      RUNPOD_POD_ID: 'worker-1',
      RUNPOD_AI_API_KEY: 'queue-key',
      RUNPOD_WEBHOOK_GET_JOB: `${base}/job-take/$ID?gpu=none`,
      RUNPOD_WEBHOOK_POST_OUTPUT: `${base}/job-done/$RUNPOD_POD_ID/$ID?gpu=none`,
      RUNPOD_WEBHOOK_POST_STREAM: `${base}/job-stream/$RUNPOD_POD_ID/$ID?gpu=none`,
      RUNPOD_WEBHOOK_PING: `${base}/ping/$RUNPOD_POD_ID?gpu=none`,
      RUNPOD_PING_INTERVAL: '1000',
    };
  }

  /** Requests of a channel that were answered with success. */
  accepted(channel: Channel): Asked[] {
    return this.asked.filter(({ channel: of, answer }) => of === channel && typeof answer === 'number' && answer < 300);
  }

  /** Resolves when `condition` holds; it is looked at after every request. */
  async until(condition: (queue: ScriptedQueue) => boolean): Promise<void> {
    while (!condition(this)) await new Promise<void>((resolve) => this.watchers.push(resolve));
  }

  /** Requests that are held open with nothing left in the script. */
  get numHeld(): number {
    return this.held.length;
  }

  /** Answers everything that is held with "nothing", now and later. */
  release(): void {
    this.isClosing = true;
    for (const response of this.held.splice(0)) response.writeHead(204).end();
  }

  async close(): Promise<void> {
    this.release();
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const channel = channelOf(request.url ?? '');
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const asked = {
      channel,
      method: request.method ?? '',
      url: request.url ?? '',
      headers: Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)])),
      body: parsed(Buffer.concat(chunks).toString('utf8')),
    };
    const number = this.counts[channel]++;
    const step = (await this.react?.(asked)) ?? this.steps(channel)[number] ?? null;
    if (step === null && (channel === 'take' || channel === 'stop')) {
      this.note({ ...asked, answer: 'held' });
      if (this.isClosing) response.writeHead(204).end();
      else this.held.push(response);
      return;
    }
    if (step?.afterResults) await this.until((queue) => queue.accepted('result').length >= (step.afterResults ?? 0));
    if (step?.afterParts) await this.until((queue) => queue.accepted('stream').length >= (step.afterParts ?? 0));
    this.answer(response, asked, step ?? { status: 200, json: {} });
  }

  private answer(response: ServerResponse, asked: Omit<Asked, 'answer'>, step: Step): void {
    if (step.cut) {
      this.note({ ...asked, answer: 'cut' });
      response.socket?.destroy();
      return;
    }
    const status = step.status ?? 200;
    this.note({ ...asked, answer: status });
    if (status === 204) response.writeHead(204).end();
    else {
      response.writeHead(status, { 'content-type': step.type ?? 'application/json' });
      response.end(step.text ?? JSON.stringify(step.json ?? {}));
    }
  }

  private note(asked: Asked): void {
    this.asked.push(asked);
    for (const resolve of this.watchers.splice(0)) resolve();
  }

  private steps(channel: Channel): readonly Step[] {
    const { takes, stops, parts, results, pings } = this.script;
    return { take: takes, stop: stops, stream: parts, result: results, ping: pings }[channel] ?? [];
  }
}

function channelOf(url: string): Channel {
  if (url.includes('/job-take')) return 'take';
  if (url.includes('/job-stop')) return 'stop';
  if (url.includes('/job-stream')) return 'stream';
  return url.includes('/job-done') ? 'result' : 'ping';
}

function parsed(text: string): unknown {
  try {
    return text === '' ? null : JSON.parse(text);
  } catch {
    return text;
  }
}
