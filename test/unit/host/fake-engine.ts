/**
 * An engine without a model, for the host's tests: token i of a request is (first prompt id + i) mod 1000.
 *
 * The first prompt id chooses misbehaviour (see {@link Special}); `extra` of the init chooses how loading goes.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import type { CreateLocalEngine, LocalEngine, StepOutput } from '../../../src/engine/host/local-engine-contract.ts';
import { EngineError, type EngineInfo, type EngineStats, type GenerateRequest } from '../../../src/engine/types.ts';

export const Special = {
  /** Gives three tokens, then rests until it is aborted. */
  stall: 5001,
  /** Blocks the thread for ever in the step after its first token. */
  hang: 5002,
  /** Kills its own process in a step. */
  crash: 5003,
  /** The step throws `device-lost`. */
  deviceLost: 5004,
  /** Refused by `submit`. */
  refused: 5005,
  /** Fails alone, in its first step. */
  failsAlone: 5006,
  /** Carries logprobs and ends with a stop token. */
  logprobs: 5007,
} as const;

export const fakeInfo: EngineInfo = {
  architecture: 'FakeForCausalLM',
  vocabSize: 1000,
  maxModelLen: 4096,
  maxNumSeqs: 256,
  eosTokenIds: [2],
  blockSize: 16,
  numBlocks: 64,
  adapter: 'none',
  binding: 'none',
  dtype: 'float32',
  weightBytes: 0,
  kvCacheBytes: 0,
};

interface FakeSequence {
  readonly request: GenerateRequest;
  readonly first: number;
  numTokens: number;
}

export class FakeEngine implements LocalEngine {
  readonly info = fakeInfo;
  readonly #sequences = new Map<string, FakeSequence>();
  #numSteps = 0;
  #isInStep = false;
  isClosed = false;

  /** `onAbort` sees the ids that were aborted. */
  constructor(readonly onAbort: (requestId: string) => void = () => {}) {}

  get hasWork(): boolean {
    return [...this.#sequences.values()].some((sequence) => !isResting(sequence));
  }

  submit(request: GenerateRequest): void {
    this.#assertBetweenSteps();
    const first = request.promptTokenIds[0] ?? 0;
    if (first === Special.refused) throw new EngineError('overloaded', 'the queue is full');
    this.#sequences.set(request.id, { request, first, numTokens: 0 });
  }

  abort(requestId: string): void {
    this.#assertBetweenSteps();
    this.onAbort(requestId);
    this.#sequences.delete(requestId);
  }

  async step(): Promise<StepOutput> {
    this.#isInStep = true;
    try {
      await Promise.resolve();
      return this.#makeTokens();
    } finally {
      this.#isInStep = false;
    }
  }

  #makeTokens(): StepOutput {
    this.#numSteps++;
    const events: StepOutput['events'][number][] = [];
    const failed: StepOutput['failed'][number][] = [];
    for (const [requestId, sequence] of this.#sequences) {
      if (isResting(sequence)) continue;
      if (sequence.first === Special.failsAlone) {
        this.#sequences.delete(requestId);
        failed.push({ requestId, error: new EngineError('gpu-error', 'this one failed') });
        continue;
      }
      misbehave(sequence);
      const isLast = sequence.numTokens + 1 === sequence.request.params.maxTokens;
      const isLogprobs = sequence.first === Special.logprobs;
      events.push({
        requestId,
        event: {
          tokenId: (sequence.first + sequence.numTokens) % 1000,
          logprobs: isLogprobs ? { logprob: -0.5, top: [{ tokenId: 7, logprob: -0.5 }] } : null,
          finishReason: isLast ? (isLogprobs ? 'stop' : 'length') : null,
          stopTokenId: isLast && isLogprobs ? 14 : null,
        },
      });
      sequence.numTokens++;
      if (isLast) this.#sequences.delete(requestId);
    }
    return { events, failed };
  }

  stats(): EngineStats {
    const numRunning = this.#sequences.size;
    return {
      numRunning,
      numWaiting: 0,
      numBlocks: fakeInfo.numBlocks,
      numFreeBlocks: fakeInfo.numBlocks - numRunning,
      numPreemptions: 0,
      numSteps: this.#numSteps,
      promptTokens: 0,
      generationTokens: 0,
      prefixQueryTokens: 0,
      prefixHitTokens: 0,
      hostStepMs: 0.25,
    };
  }

  async close(): Promise<void> {
    this.#assertBetweenSteps();
    this.isClosed = true;
  }

  #assertBetweenSteps(): void {
    if (this.#isInStep) throw new Error('called in the middle of a step');
  }
}

function isResting(sequence: FakeSequence): boolean {
  return sequence.first === Special.stall && sequence.numTokens === 3;
}

function misbehave(sequence: FakeSequence): void {
  if (sequence.numTokens === 0) return;
  if (sequence.first === Special.hang) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  if (sequence.first === Special.crash) process.kill(process.pid, 'SIGKILL');
  if (sequence.first === Special.deviceLost) throw new EngineError('device-lost', 'the device was lost');
}

/** `extra.journal`: a file to which each attempt appends a byte. `extra.load`: `throw`, or what the first `extra.times` attempts do. */
export const createLocalEngine: CreateLocalEngine = async (init, onProgress) => {
  const { journal, load, times } = init.extra;
  let numEarlier = 0;
  if (typeof journal === 'string') {
    numEarlier = existsSync(journal) ? readFileSync(journal).length : 0;
    appendFileSync(journal, '.');
  }
  onProgress({ fraction: 0.5, text: 'half of nothing' });
  const isAffected = typeof times !== 'number' || numEarlier < times;
  if (load === 'throw') throw new EngineError('load-failed', 'tensor x is missing in y.safetensors');
  if (load === 'crash' && isAffected) {
    console.error('about to die');
    process.exit(3);
  }
  if (load === 'hang' && isAffected) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  onProgress({ fraction: 1, text: 'done' });
  return new FakeEngine();
};
