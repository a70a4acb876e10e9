/**
 * The thread behind `tokenizer-pool.ts`: loads a tokenizer once and answers encode tasks in order.
 *
 * Runs only as a worker; importing its types has no effect at run time.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Tokenizer } from './tokenizer.ts';

/** One text to encode. */
export interface EncodeTask {
  readonly taskId: number;
  readonly text: string;
  readonly addSpecialTokens: boolean;
}

/** The ids of a task, or why there are none. */
export type EncodeReply =
  | { readonly taskId: number; readonly ids: Uint32Array<ArrayBuffer>; readonly error: null }
  | { readonly taskId: number; readonly ids: null; readonly error: string };

const port = parentPort;
if (port !== null) {
  const loading = Tokenizer.load((workerData as { folder: string }).folder);
  // Each task reports it; without a task there is nobody to tell.
  loading.catch(() => {});
  port.on('message', async (task: EncodeTask) => {
    try {
      const tokenizer = await loading;
      const ids = Uint32Array.from(tokenizer.encode(task.text, { addSpecialTokens: task.addSpecialTokens }));
      const reply: EncodeReply = { taskId: task.taskId, ids, error: null };
      port.postMessage(reply, [ids.buffer]);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      port.postMessage({ taskId: task.taskId, ids: null, error: message } satisfies EncodeReply);
    }
  });
}
