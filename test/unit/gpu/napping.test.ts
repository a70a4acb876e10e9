import { expect, test } from 'bun:test';
import { napping } from '../../../src/engine/gpu/napping.ts';

/** A promise and what settles it after so many turns of the event loop. */
function afterTurns(turns: number, settle: (resolve: () => void, reject: (error: Error) => void) => void) {
  return new Promise<void>((resolve, reject) => {
    const turn = (left: number) => {
      if (left === 0) settle(resolve, reject);
      else setImmediate(() => turn(left - 1));
    };
    turn(turns);
  });
}

test('a wait ends with its promise, and the event loop turns meanwhile', async () => {
  await napping(Promise.resolve(), 1000);
  await napping(
    afterTurns(20, (resolve) => resolve()),
    10_000,
  );
});

test('a fault comes through', async () => {
  const fault = afterTurns(3, (_, reject) => reject(new Error('the device was lost')));
  await expect(napping(fault, 10_000)).rejects.toThrow('the device was lost');
});

test('what never ends is an error, and a later fault of it harms nobody', async () => {
  const late = Promise.withResolvers<void>();
  await expect(napping(late.promise, 2)).rejects.toThrow('did not finish within 2 ms');
  late.reject(new Error('too late'));
  await new Promise((resolve) => setImmediate(resolve));
});
