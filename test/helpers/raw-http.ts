/**
 * A loopback HTTP server that can break the protocol on purpose.
 *
 * Owns sockets and the wire form of answers; ordinary servers would repair what the mock hub wants broken. One request per
 * connection. Next: `mock-hub.ts`, which decides what to answer.
 */

import { type AddressInfo, createServer, type Socket } from 'node:net';

export interface RawRequest {
  readonly method: string;
  /** As sent, still percent-encoded, with the query. */
  readonly target: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface RawAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
  /** What Content-Length says; default: the body's true length. 'chunked' sends one chunk and the end mark. */
  readonly length?: number | 'chunked';
  /**
   * What follows the body. 'silent': nothing, the connection stays open. 'break': the same until `breakConnections`; a
   * client may throw away what it has not read when a connection breaks, so the test says when.
   */
  readonly end?: 'close' | 'silent' | 'break';
}

export interface RawServer {
  readonly origin: string;
  /** Breaks the connections whose answer ended with 'break'. */
  breakConnections(): void;
  close(): Promise<void>;
}

/** Listens on a free port. `answer` returning null closes the connection without a word. */
export async function startRawServer(answer: (request: RawRequest) => RawAnswer | null): Promise<RawServer> {
  const sockets = new Set<Socket>();
  const breakable = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    // The client breaks connections too: nothing to do about it.
    socket.on('error', () => socket.destroy());
    let head = '';
    socket.on('data', (data) => {
      if (head.includes('\r\n\r\n')) return;
      head += data.toString('latin1');
      if (!head.includes('\r\n\r\n')) return;
      const answered = answer(parseHead(head));
      if (answered?.end === 'break') breakable.add(socket);
      respond(socket, answered);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    breakConnections() {
      for (const socket of breakable) socket.destroy();
      breakable.clear();
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function parseHead(head: string): RawRequest {
  const [first = '', ...lines] = (head.split('\r\n\r\n')[0] ?? '').split('\r\n');
  const [method = '', target = ''] = first.split(' ');
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return { method, target, headers };
}

function respond(socket: Socket, answer: RawAnswer | null): void {
  if (answer === null) {
    socket.destroy();
    return;
  }
  const body =
    typeof answer.body === 'string' ? new TextEncoder().encode(answer.body) : (answer.body ?? new Uint8Array());
  const isChunked = answer.length === 'chunked';
  const length = isChunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${answer.length ?? body.length}`;
  const lines = Object.entries(answer.headers ?? {}).map(([name, value]) => `${name}: ${value}`);
  const head = [`HTTP/1.1 ${answer.status} X`, ...lines, length, 'Connection: close'].join('\r\n');
  socket.write(`${head}\r\n\r\n`);
  if (isChunked) socket.write(`${body.length.toString(16)}\r\n`);
  socket.write(body);
  if (isChunked) socket.write('\r\n0\r\n\r\n');
  if (answer.end === undefined || answer.end === 'close') socket.end();
}
