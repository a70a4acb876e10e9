/**
 * Unix-domain stream sockets between two processes of one user.
 *
 * Owns where socket files lie and when they go away. Knows nothing of what is sent. Built on `node:net`, so that the same
 * file runs under Bun, Node and Deno.
 * Next: `engine/host/frame-socket.ts` (frames on such a socket).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** `sun_path` holds 104 bytes on macOS and 108 on Linux, with the closing zero. */
const MAX_PATH_BYTES = 103;

/** A listener for exactly one peer. */
export interface SinglePeerListener {
  readonly path: string;
  /** Resolves with the peer's socket; rejects when the listener fails or is closed first. */
  readonly connection: Promise<Socket>;
  /** Stops listening and removes the folder; an accepted connection stays open. May be called twice. */
  close(): void;
}

/**
 * Listens in a fresh private folder (mode 0700) for one connection.
 *
 * The listener and its folder are gone as soon as the peer is there: nothing stays on disk while both sides live, and a
 * path is never used twice, so a late connection of an old process cannot be taken for the new one.
 */
export async function listenForOnePeer(): Promise<SinglePeerListener> {
  const folder = makePrivateFolder();
  const path = join(folder, 'engine.sock');
  const server = createServer();
  let isClosed = false;
  const close = () => {
    if (isClosed) return;
    isClosed = true;
    server.close();
    rmSync(folder, { recursive: true, force: true });
  };
  const connection = new Promise<Socket>((resolve, reject) => {
    server.once('connection', (socket: Socket) => {
      resolve(socket);
      close();
    });
    server.once('error', reject);
    server.once('close', () => reject(new Error('the listener was closed before a peer connected')));
  });
  connection.catch(() => {}); // a caller that gives up early never looks at it
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      close();
      reject(error);
    });
    server.listen(path, resolve);
  });
  return { path, connection, close };
}

/** Connects to a listener of {@link listenForOnePeer}. */
export function connectToPeer(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

/** mkdtemp makes the folder with mode 0700. A long TMPDIR would not fit into a socket address: then /tmp is taken. */
function makePrivateFolder(): string {
  const base = Buffer.byteLength(join(tmpdir(), 'wgslm-XXXXXX', 'engine.sock')) <= MAX_PATH_BYTES ? tmpdir() : '/tmp';
  return mkdtempSync(join(base, 'wgslm-'));
}
