/**
 * An engine that hands out one token at a time, so that each becomes an update of its own.
 *
 * Native answers list texts token by token, however many tokens arrive together. Next: `native.ts`.
 */
import type { Engine, GenerateRequest, TokenEvent, TokenStream } from '../engine/types.ts';

/** What a generation uses of an engine. */
type Generating = Pick<Engine, 'generate' | 'abort'>;

/** `engine`, but every pull of a stream gives exactly one event. */
export function tokenByToken(engine: Engine): Engine {
  const steps: Generating = {
    generate: (request: GenerateRequest): TokenStream => singleEvents(engine.generate(request)),
    abort: (requestId: string) => engine.abort(requestId),
  };
  return Object.assign(Object.create(engine) as Engine, steps);
}

async function* singleEvents(stream: TokenStream): AsyncGenerator<readonly TokenEvent[], undefined, undefined> {
  for await (const events of stream) for (const event of events) yield [event];
  return undefined;
}
