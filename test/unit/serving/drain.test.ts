/** The order in which a server goes down, on a clock that jumps to the next wake-up. */
import { expect, test } from 'bun:test';
import { onStopSignal, type StopSignal } from '../../../src/runtime/stop-signals.ts';
import { Drain } from '../../../src/serving/drain.ts';

/** A clock whose time passes only while everybody waits. */
class Clock {
  nowMs = 0;
  private readonly waiting: { readonly atMs: number; readonly wake: () => void }[] = [];

  pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      this.waiting.push({ atMs: this.nowMs + ms, wake: resolve });
    });

  /** Lets everything happen that is due until `isOver`. */
  async run(isOver: () => boolean): Promise<void> {
    for (let round = 0; round < 10_000; round++) {
      for (let turn = 0; turn < 20; turn++) await Promise.resolve();
      if (isOver()) return;
      this.waiting.sort((left, right) => left.atMs - right.atMs);
      const next = this.waiting.shift();
      if (next === undefined) throw new Error('everybody waits for nothing');
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.wake();
    }
  }
}

interface Setup {
  /** When the work and the connections end by themselves; infinity = never. */
  readonly workEndsMs?: number;
  readonly connectionsEndMs?: number;
  /** Whether giving up ends the work. */
  readonly delayMs?: number;
  readonly hurryAtMs?: number;
}

async function goDown(setup: Setup): Promise<{ log: string[]; endMs: number }> {
  const clock = new Clock();
  const log: string[] = [];
  let isCancelled = false;
  const closed = Promise.withResolvers<void>();
  const drain: Drain = new Drain({
    pause: clock.pause,
    stopListening: () => {
      log.push(`${clock.nowMs} stops listening, ${drain.isDraining} ${drain.isClosing}`);
      const wait = (setup.connectionsEndMs ?? 0) - clock.nowMs;
      if (Number.isFinite(wait)) void clock.pause(Math.max(0, wait)).then(closed.resolve);
      return closed.promise;
    },
    isBusy: () => !isCancelled && clock.nowMs < (setup.workEndsMs ?? 0),
    cancelAll: () => {
      log.push(`${clock.nowMs} gives up`);
      isCancelled = true;
      closed.resolve();
    },
    say: () => {},
  });
  expect([drain.isDraining, drain.isClosing]).toEqual([false, false]);
  if (setup.hurryAtMs !== undefined) void clock.pause(setup.hurryAtMs).then(() => drain.hurry());
  let isOver = false;
  void drain.run({ delayMs: setup.delayMs ?? 5000, timeoutMs: 30_000 }).then(() => {
    isOver = true;
  });
  expect([drain.isDraining, drain.isClosing]).toEqual([true, (setup.delayMs ?? 5000) === 0]);
  await clock.run(() => isOver);
  return { log, endMs: clock.nowMs };
}

test('an idle server listens through the delay and is gone after it', async () => {
  expect(await goDown({})).toEqual({ log: ['5000 stops listening, true true'], endMs: 5000 });
});

test('without a delay it stops listening at once', async () => {
  expect(await goDown({ delayMs: 0 })).toEqual({ log: ['0 stops listening, true true'], endMs: 0 });
});

test('what runs may finish, with a connection or without', async () => {
  expect((await goDown({ workEndsMs: 12_000 })).endMs).toBe(12_000);
  expect((await goDown({ connectionsEndMs: 9000 })).endMs).toBe(9000);
});

test('what does not finish in time is given up', async () => {
  const { log, endMs } = await goDown({ workEndsMs: Number.POSITIVE_INFINITY });
  expect(log[0]).toBe('35000 gives up');
  expect(log[1]).toMatch(/stops listening/);
  expect(endMs).toBeGreaterThanOrEqual(35_000);
  expect(endMs).toBeLessThanOrEqual(37_000);
});

test('who insists waits for nothing more', async () => {
  const early = await goDown({ workEndsMs: Number.POSITIVE_INFINITY, hurryAtMs: 1000 });
  expect(early.log).toEqual(['1000 gives up', '1050 stops listening, true true']);
  const late = await goDown({ workEndsMs: Number.POSITIVE_INFINITY, hurryAtMs: 8000 });
  expect(late.log[0]).toBe('8000 gives up');
});

test('the echo of a signal is not a second one', () => {
  let nowMs = 0;
  const listeners = new Map<StopSignal, () => void>();
  const heard: string[] = [];
  onStopSignal(
    { on: (signal, listener) => listeners.set(signal, listener) },
    { first: (signal) => heard.push(signal), again: () => heard.push('again') },
    () => nowMs,
  );
  const send = (signal: StopSignal, atMs: number) => {
    nowMs = atMs;
    listeners.get(signal)?.();
  };
  send('SIGINT', 100);
  send('SIGINT', 101);
  send('SIGTERM', 900);
  expect(heard).toEqual(['SIGINT']);
  send('SIGINT', 5000);
  expect(heard).toEqual(['SIGINT', 'again']);
});
