/**
 * A step of the image's build: fetches the model that the build's arguments name, and leaves the record of it.
 *
 * Uses the server's own downloader, so that the image holds the very files the server would fetch. Without MODEL_NAME it does nothing.
 * Next: `baked-model.ts` (the arguments and the record), `check-baked.ts` (a later step).
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { HubError } from '../../../src/engine/weights/hub/errors.ts';
import { resolveModelFolder } from '../../../src/engine/weights/hub/resolve.ts';
import { type BakeOrder, bakeOrder, recordOf, TOKEN_FILE } from './baked-model.ts';

/** A line of progress per so much of the whole: build logs cannot be redrawn. */
const PROGRESS_STEP = 0.05;

async function bake(order: BakeOrder): Promise<void> {
  const hub = { endpoint: order.endpoint, token: readToken(), cacheDir: order.cacheDir, offline: false };
  const wanted = [{ name: order.model, revision: order.revision }];
  if (order.tokenizer !== null) wanted.push(order.tokenizer);
  for (const { name, revision } of wanted) {
    console.log(`Fetching ${name}, revision ${revision}.`);
    let shown = 0;
    const folder = await resolveModelFolder(name, revision, hub, {
      onProgress: ({ bytesDone, bytesTotal }) => {
        if (bytesDone / bytesTotal < shown + PROGRESS_STEP) return;
        shown = bytesDone / bytesTotal;
        console.log(`  ${Math.floor(shown * 100)} % of ${(bytesTotal / 1e9).toFixed(2)} GB`);
      },
      onNotice: (notice) => console.log(notice),
    });
    console.log(`  in ${folder}`);
  }
  const { file, text } = recordOf(order);
  writeFileSync(file, text);
}

/** The secret as BuildKit mounts it; null when the build was given none. */
function readToken(): string | null {
  try {
    return readFileSync(TOKEN_FILE, 'utf8').trim() || null;
  } catch {
    return null;
  }
}

const order = bakeOrder(process.env);
try {
  if (order === null) console.log('No MODEL_NAME: the image gets the bundled demo model alone.');
  else await bake(order);
} catch (error) {
  if (!(error instanceof HubError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
