/**
 * Encodes long texts on another thread, so that they do not hold up the streams of other requests.
 *
 * Short texts are encoded at once: a hop between threads costs more. The worker is started by the first long text and loads its own copy
 * of the tokenizer; if it dies, what waits fails and the next long text starts another. Next: `tokenizer-worker.ts`.
 */
import { Worker } from 'node:worker_threads';
import type { EncodeOptions, Tokenizer } from './tokenizer.ts';
import type { EncodeReply, EncodeTask } from './tokenizer-worker.ts';

/** Encodes text, at once or later. */
export interface TextEncoderPool {
  encode(text: string, options: EncodeOptions): Promise<ArrayLike<number> & Iterable<number>>;
  /** Ends the worker; what waits is rejected. */
  close(): Promise<void>;
}

interface Waiting {
  resolve(ids: Uint32Array): void;
  reject(error: Error): void;
}

/** A tokenizer with one worker behind it. */
export class TokenizerPool implements TextEncoderPool {
  private worker: Worker | null = null;
  private nextTaskId = 0;
  private readonly waiting = new Map<number, Waiting>();

  constructor(
    private readonly tokenizer: Tokenizer,
    /** The checkpoint that the worker loads its tokenizer from. */
    private readonly folder: string,
    /** Longest text that is encoded on the calling thread. Units: UTF-16 code units. */
    private readonly inlineLimit = 8192,
  ) {}

  async encode(text: string, options: EncodeOptions): Promise<number[] | Uint32Array> {
    if (text.length <= this.inlineLimit) return this.tokenizer.encode(text, options);
    const worker = this.startedWorker();
    const task: EncodeTask = { taskId: this.nextTaskId++, text, addSpecialTokens: options.addSpecialTokens };
    return new Promise((resolve, reject) => {
      this.waiting.set(task.taskId, { resolve, reject });
      worker.postMessage(task);
    });
  }

  async close(): Promise<void> {
    const worker = this.worker;
    this.fail(worker, new Error('The tokenizer is closed.'));
    await worker?.terminate();
  }

  private startedWorker(): Worker {
    if (this.worker !== null) return this.worker;
    const worker = new Worker(new URL('./tokenizer-worker.ts', import.meta.url), {
      workerData: { folder: this.folder },
    });
    // An idle worker must not keep the process alive.
    worker.unref();
    worker.on('message', (reply: EncodeReply) => this.settle(reply));
    worker.on('error', (error) => this.fail(worker, error instanceof Error ? error : new Error(String(error))));
    worker.on('exit', () => this.fail(worker, new Error('The tokenizer thread ended.')));
    this.worker = worker;
    return worker;
  }

  private settle(reply: EncodeReply): void {
    const waiting = this.waiting.get(reply.taskId);
    this.waiting.delete(reply.taskId);
    if (reply.ids !== null) waiting?.resolve(reply.ids);
    else waiting?.reject(new Error(reply.error));
  }

  private fail(worker: Worker | null, error: Error): void {
    if (this.worker !== worker) return;
    this.worker = null;
    const lost = [...this.waiting.values()];
    this.waiting.clear();
    for (const waiting of lost) waiting.reject(error);
  }
}
