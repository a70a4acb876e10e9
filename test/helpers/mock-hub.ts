/**
 * A Hugging Face Hub on loopback that misbehaves on request: an API and file host, and a second host that stores LFS files.
 *
 * Owns one repository (`org/model`) and the faults that a test orders. Answers as the Hub does: tree in pages, small files
 * behind a relative redirect, LFS files behind a signed address on the other host, errors with `X-Error-Code`.
 * Next: `raw-http.ts` (the wire), `test/unit/weights/hub-*.test.ts` (the users).
 */

import { createHash } from 'node:crypto';
import { type RawAnswer, type RawRequest, type RawServer, startRawServer } from './raw-http.ts';

export const MOCK_ID = 'org/model';
export const MOCK_COMMIT = '1'.repeat(40);

/** A misdeed. Those of a body strike where the bytes are sent; `status` and `refuse` also work on API paths. */
export type Fault =
  | { readonly kind: 'status'; readonly status: number; readonly headers?: Record<string, string> }
  | { readonly kind: 'refuse' } // closes the connection without an answer
  | { readonly kind: 'cut' } // half of what Content-Length promised; breaks when the test calls `breakConnections`
  | { readonly kind: 'chunked-cut' } // half, as a complete chunked body
  | { readonly kind: 'short' } // half, with a Content-Length that agrees
  | { readonly kind: 'silent' } // half, then nothing, connection open
  | { readonly kind: 'corrupt' } // one bit wrong
  | { readonly kind: 'ignore-range' }
  | { readonly kind: 'wrong-range' }; // 206 from another place than asked

export interface LoggedRequest extends RawRequest {
  readonly host: 'hub' | 'storage';
}

interface MockFile {
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly oid: string;
  readonly sha256: string | null;
}

export class MockHub {
  readonly requests: LoggedRequest[] = [];
  /** Who may read: everybody, or only who sends the token. */
  access: 'open' | 'gated' | 'private' = 'open';
  readonly goodToken = 'secret-token';
  commit = MOCK_COMMIT;
  readonly revisions = new Set(['main']);
  pageSize = 3;
  readonly #files = new Map<string, MockFile>();
  readonly #faults: { part: string; fault: Fault; times: number }[] = [];
  #hub: RawServer | undefined;
  #storage: RawServer | undefined;

  static async start(files: Readonly<Record<string, Uint8Array | string>>): Promise<MockHub> {
    const hub = new MockHub();
    for (const [path, content] of Object.entries(files)) hub.putFile(path, content);
    hub.#hub = await startRawServer((request) => hub.#answer('hub', request));
    hub.#storage = await startRawServer((request) => hub.#answer('storage', request));
    return hub;
  }

  get endpoint(): string {
    return this.#hub?.origin ?? '';
  }

  async close(): Promise<void> {
    await this.#hub?.close();
    await this.#storage?.close();
  }

  /** Files that end in .safetensors are LFS files. */
  putFile(path: string, content: Uint8Array | string): void {
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
    const isLfs = path.endsWith('.safetensors');
    const oid = createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
    const sha256 = isLfs ? createHash('sha256').update(bytes).digest('hex') : null;
    this.#files.set(path, { path, bytes, oid, sha256 });
  }

  removeFile(path: string): void {
    this.#files.delete(path);
  }

  /** The name of a file's blob in the cache. */
  blobOf(path: string): string {
    const file = this.#files.get(path);
    return file?.sha256 ?? file?.oid ?? '';
  }

  /** The next `times` requests whose decoded path contains `part`, and that would send a body, go wrong. */
  fail(part: string, fault: Fault, times = 1): void {
    this.#faults.push({ part, fault, times });
  }

  breakConnections(): void {
    this.#hub?.breakConnections();
    this.#storage?.breakConnections();
  }

  /** Requests for the bytes of a file that were answered by the host that has them. */
  transfersOf(path: string): LoggedRequest[] {
    const part = this.#files.get(path)?.sha256 ?? `/api/resolve-cache/`;
    return this.requests.filter((r) => r.target.includes(part) && decodeURIComponent(r.target).includes(path));
  }

  #answer(host: 'hub' | 'storage', request: RawRequest): RawAnswer | null {
    this.requests.push({ ...request, host });
    const url = new URL(request.target, 'http://mock');
    const path = decodeURIComponent(url.pathname);
    if (host === 'storage') {
      const file = [...this.#files.values()].find((f) => path.endsWith(`/${f.sha256}/${f.path}`));
      return file === undefined ? { status: 404 } : this.#body(file, request, path);
    }
    const refusal = this.#refusal(request.headers.authorization);
    if (refusal !== null) return refusal;
    const [, api, revision = '', rest = ''] =
      path.match(
        new RegExp(
          `^/(api/models/${MOCK_ID}/revision|api/models/${MOCK_ID}/tree|${MOCK_ID}/resolve|api/resolve-cache)/(refs/pr/\\d+|[^/]+)/?(.*)$`,
        ),
      ) ?? [];
    if (api === undefined) return errorAnswer(404, 'RepoNotFound', 'Repository not found');
    if (revision !== this.commit && !this.revisions.has(revision)) {
      return errorAnswer(404, 'RevisionNotFound', `Invalid rev id: ${revision}`);
    }
    if (api.endsWith('/revision')) return this.#faulty(path, () => json({ sha: this.commit, siblings: [] }));
    if (api.endsWith('/tree')) return this.#faulty(path, () => this.#tree(url));
    const file = this.#files.get(rest);
    if (file === undefined) return errorAnswer(404, 'EntryNotFound', 'Entry not found');
    if (api.endsWith('/resolve-cache')) return this.#body(file, request, path);
    return this.#redirect(file);
  }

  #refusal(authorization: string | undefined): RawAnswer | null {
    if (authorization !== undefined && !/^Bearer (secret|other)-token$/.test(authorization)) {
      return errorAnswer(401, null, 'Invalid credentials in Authorization header');
    }
    if (this.access === 'open' || authorization === `Bearer ${this.goodToken}`) return null;
    const hasToken = authorization !== undefined;
    if (this.access === 'gated') return errorAnswer(hasToken ? 403 : 401, 'GatedRepo', 'Access is restricted.');
    return hasToken
      ? errorAnswer(404, 'RepoNotFound', 'Repository not found')
      : errorAnswer(401, null, 'Invalid username or password.');
  }

  #tree(url: URL): RawAnswer {
    const folders = [...this.#files.keys()].filter((path) => path.includes('/'));
    const all = [
      ...folders.map((path) => ({ type: 'directory', oid: 'd'.repeat(40), size: 0, path: path.split('/')[0] })),
      ...[...this.#files.values()].map(({ path, bytes, oid, sha256 }) => ({
        type: 'file',
        path,
        oid,
        size: bytes.length,
        ...(sha256 === null ? {} : { lfs: { oid: sha256, size: bytes.length, pointerSize: 134 } }),
      })),
    ];
    const cursor = Number(url.searchParams.get('cursor') ?? 0);
    const end = cursor + this.pageSize;
    const next = `${this.endpoint}${url.pathname}?recursive=true&cursor=${end}`;
    return json(all.slice(cursor, end), end < all.length ? { Link: `<${next}>; rel="next"` } : {});
  }

  #redirect(file: MockFile): RawAnswer {
    const path = file.path.split('/').map(encodeURIComponent).join('/');
    const location =
      file.sha256 === null
        ? `/api/resolve-cache/${this.commit}/${path}`
        : `${this.#storage?.origin}/repos/${file.sha256}/${path}?signature=abc`;
    return {
      status: file.sha256 === null ? 307 : 302,
      headers: { Location: location, 'X-Repo-Commit': this.commit, 'X-Linked-Size': String(file.bytes.length) },
      body: 'Found. Redirecting.',
    };
  }

  #body({ bytes }: MockFile, { headers }: RawRequest, path: string): RawAnswer | null {
    return this.#faulty(path, (fault) => {
      const asked = fault?.kind === 'ignore-range' ? undefined : headers.range?.match(/^bytes=(\d+)-$/)?.[1];
      const start = Number(asked ?? 0);
      if (asked !== undefined && start >= bytes.length) return { status: 416 };
      const shift = fault?.kind === 'wrong-range' ? 1 : 0;
      let body = bytes.slice(start);
      const length = body.length;
      const half = body.subarray(0, Math.ceil(length / 2));
      const answer = {
        status: asked === undefined ? 200 : 206,
        headers:
          asked === undefined ? {} : { 'Content-Range': `bytes ${start + shift}-${bytes.length - 1}/${bytes.length}` },
      };
      if (fault?.kind === 'corrupt') body = body.with(length >> 1, (body[length >> 1] ?? 0) ^ 1);
      if (fault?.kind === 'cut') return { ...answer, body: half, length, end: 'break' };
      if (fault?.kind === 'chunked-cut') return { ...answer, body: half, length: 'chunked' };
      if (fault?.kind === 'short') return { ...answer, body: half };
      if (fault?.kind === 'silent') return { ...answer, body: half, length, end: 'silent' };
      return { ...answer, body };
    });
  }

  #faulty(path: string, answer: (fault: Fault | null) => RawAnswer): RawAnswer | null {
    const ordered = this.#faults.find((entry) => entry.times > 0 && path.includes(entry.part));
    if (ordered === undefined) return answer(null);
    ordered.times--;
    const { fault } = ordered;
    if (fault.kind === 'refuse') return null;
    if (fault.kind === 'status') return { ...errorAnswer(fault.status, null, 'ordered'), headers: fault.headers ?? {} };
    return answer(fault);
  }
}

function json(value: unknown, headers: Record<string, string> = {}): RawAnswer {
  return { status: 200, headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(value) };
}

function errorAnswer(status: number, code: string | null, message: string): RawAnswer {
  const headers = { 'X-Error-Message': message, ...(code === null ? {} : { 'X-Error-Code': code }) };
  return { status, headers, body: JSON.stringify({ error: message }) };
}
