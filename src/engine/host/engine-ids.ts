/**
 * The names under which a local engine knows the requests that its host knows by handle.
 *
 * Owns the mapping both ways. An engine's id carries the handle, so that an id that a caller uses again right after an
 * abort stays distinct from the first one, whose last events may still come.
 * Next: `server.ts` and `in-process.ts` (the two hosts).
 */
export class EngineIds {
  readonly #handles = new Map<string, number>();
  readonly #engineIds = new Map<number, string>();

  /** The engine's id for a request. */
  add(handle: number, requestId: string): string {
    const engineId = `${requestId}#${handle}`;
    this.#handles.set(engineId, handle);
    this.#engineIds.set(handle, engineId);
    return engineId;
  }

  /** null when the request has ended or was aborted: what comes about it is to be dropped. */
  handleOf(engineId: string): number | null {
    return this.#handles.get(engineId) ?? null;
  }

  /** The id that was forgotten; null when there was none. */
  remove(handle: number): string | null {
    const engineId = this.#engineIds.get(handle);
    if (engineId === undefined) return null;
    this.#engineIds.delete(handle);
    this.#handles.delete(engineId);
    return engineId;
  }
}
