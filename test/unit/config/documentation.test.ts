/** The documents hold the table of settings as it is in the source. */
import { expect, test } from 'bun:test';
import { documents } from '../../../scripts/docs/configuration.ts';

test.each(documents())('$path is up to date (run `bun run fix`)', ({ current, wanted }) => {
  expect(current).toBe(wanted);
});
