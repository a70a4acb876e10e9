/**
 * What crosses the border of the engine: requests in, token events out, and the `Engine` itself.
 *
 * Owns the vocabulary shared by routes, jobs, the engine's process and the tests. Imports nothing, knows no wire format
 * and no GPU. Everything here is plain data, so that it can travel between processes.
 * Next: `engine/index.ts` (how to make an engine), `serving/to-engine.ts` (wire -> GenerateRequest).
 */

/** Why a sequence ended. `abort`: the caller or the server gave it up; `error`: see the thrown {@link EngineError}. */
export type FinishReason = 'stop' | 'length' | 'abort';

/** How to choose tokens. Neutral values switch a processor off; there are no optional fields so that every layer sees the same object. */
export interface SamplingParams {
  /** 0 means greedy: the other truncation fields are then ignored. */
  readonly temperature: number;
  /** Keep the k most probable tokens; 0 = off. */
  readonly topK: number;
  /** Keep the smallest set of tokens whose probability reaches topP; 1 = off. */
  readonly topP: number;
  /** Drop tokens less probable than minP times the most probable one; 0 = off. */
  readonly minP: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  /** 1 = off; counts prompt and output. */
  readonly repetitionPenalty: number;
  /** Unsigned 64-bit seed as two u32 words [low, high]; the engine draws one when null. */
  readonly seed: readonly [number, number] | null;
  /** [token id, bias] pairs, each id at most once. */
  readonly logitBias: readonly (readonly [number, number])[];
  /** Token sequences that must not be completed (bad words). A sequence of one bans that token. */
  readonly bannedSequences: readonly (readonly number[])[];
  /** The only tokens allowed; null = all. */
  readonly allowedTokenIds: readonly number[] | null;
  readonly maxTokens: number;
  /** End-of-sequence and stop tokens are masked until this many tokens are out. */
  readonly minTokens: number;
  /** End when one of these is sampled (besides the model's end-of-sequence ids). */
  readonly stopTokenIds: readonly number[];
  readonly ignoreEos: boolean;
  /** null: none; 0: the sampled token's; n: also the n most probable (from the raw logits). */
  readonly numLogprobs: number | null;
  /** The same for each token of the prompt but the first. Such a prompt is computed even where the cache has it. */
  readonly numPromptLogprobs: number | null;
  /** The samplers that vLLM does not have; null = none is on. */
  readonly extras: ExtraSamplers | null;
}

/** Greedy, every processor off, one token: what tests, warm-up and benchmarks start from. */
export const NEUTRAL_SAMPLING: SamplingParams = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
  seed: null,
  logitBias: [],
  bannedSequences: [],
  allowedTokenIds: null,
  maxTokens: 1,
  minTokens: 0,
  stopTokenIds: [],
  ignoreEos: false,
  numLogprobs: null,
  numPromptLogprobs: null,
  extras: null,
};

/** llama.cpp's further samplers. What each does, and in which order, stands in `docs/sampling.md`. */
export interface ExtraSamplers {
  /** Keep the tokens of the most typical information content until their probability reaches this; 1 = off. */
  readonly typicalP: number;
  /** Keep logits within this many standard deviations of the highest; 0 = off. */
  readonly topNSigma: number;
  /** Truncate by probabilities at temperature 1 and apply the temperature to what is left. */
  readonly temperatureLast: boolean;
  /** The temperature moves this far up and down with the entropy; 0 = off. */
  readonly dynatempRange: number;
  readonly dynatempExponent: number;
  /** How often the most probable choices are excluded; 0 = off. */
  readonly xtcProbability: number;
  readonly xtcThreshold: number;
  /** null = off. */
  readonly dry: DryPenalty | null;
  /** Replaces all truncation; null = off. */
  readonly mirostat: { readonly tau: number; readonly eta: number } | null;
  /** Penalties look at this many of the newest tokens; -1 = all. */
  readonly repeatLastN: number;
}

/** A penalty on tokens that would go on with a repetition. */
export interface DryPenalty {
  readonly multiplier: number;
  readonly base: number;
  /** The shortest repetition that is penalised. */
  readonly allowedLength: number;
  /** Newest tokens that are searched; -1 = all. */
  readonly lastN: number;
  /** Repetitions do not reach back over one of these token sequences. None is empty. */
  readonly breakers: readonly (readonly number[])[];
}

/** One sequence to generate. `n` choices are `n` requests. */
export interface GenerateRequest {
  /** Unique among the requests in progress. */
  readonly id: string;
  readonly promptTokenIds: readonly number[] | Uint32Array;
  readonly params: SamplingParams;
  /** Lower runs first under the priority policy; 0 otherwise. */
  readonly priority: number;
  /** Requests share cached prefixes only with the same salt; absent = the common one. */
  readonly cacheSalt?: string;
}

/** The longest list of most probable tokens. */
export const maxTopLogprobs = 20;

/** Natural logarithms of raw probabilities, before penalties and temperature. */
export interface TokenLogprobs {
  readonly logprob: number;
  /** Most probable first; ties by lower id. Holds at most `numLogprobs` entries. */
  readonly top: readonly { readonly tokenId: number; readonly logprob: number }[];
}

/** A prompt token's log probability given the tokens before it. */
export interface PromptLogprobs extends TokenLogprobs {
  /** 1 = the most probable token; ties by lower id. */
  readonly rank: number;
}

/** How a sequence began. */
export interface SequenceStart {
  /** From its submission to the plan of its first step. Units: milliseconds. */
  readonly queueMs: number;
  /** Tokens of the prompt that were found in the prefix cache. */
  readonly cachedTokens: number;
}

/** One sampled token. The last event of a sequence carries a finish reason. */
export interface TokenEvent {
  /** -1 when there is no token: the sequence ended without one (abort), or the event carries log probabilities of the prompt. */
  readonly tokenId: number;
  readonly logprobs: TokenLogprobs | null;
  readonly finishReason: FinishReason | null;
  /** The stop token that ended it when it is not an end-of-sequence id, else null. */
  readonly stopTokenId: number | null;
  /**
   * The next tokens of the prompt in order, from its second one on; absent in most events. All have come when the first sampled token
   * comes: a long prompt brings them chunk by chunk, so that nobody has to hold them all.
   */
  readonly promptLogprobs?: readonly PromptLogprobs[];
  /** On the first event of a sequence, where the engine measures it. */
  readonly start?: SequenceStart;
}

/** Why the engine gave a request up. `code` decides the HTTP status (`serving/errors.ts`). */
export type EngineErrorCode =
  | 'engine-dead' // the engine's process ended or hung
  | 'device-lost' // the GPU device was lost
  | 'gpu-error' // a validation or out-of-memory error in a step
  | 'overloaded' // the queue is full
  | 'draining' // the server is shutting down
  | 'invalid-request'
  | 'load-failed';

/** An error that ends one request, or (while loading) the engine. */
export class EngineError extends Error {
  override readonly name = 'EngineError';
  constructor(
    readonly code: EngineErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** `loading` until the first readiness; `restarting` after a fault while weights are loaded again; `failed` is final. */
export type EngineState = 'loading' | 'ready' | 'restarting' | 'failed' | 'closed';

/** What serving must know about the loaded model. */
export interface EngineInfo {
  readonly architecture: string;
  readonly vocabSize: number;
  readonly maxModelLen: number;
  readonly maxNumSeqs: number;
  readonly eosTokenIds: readonly number[];
  readonly blockSize: number;
  readonly numBlocks: number;
  readonly adapter: string;
  readonly binding: string;
  readonly dtype: string;
  readonly weightBytes: number;
  readonly kvCacheBytes: number;
}

/** Upper limits of the classes in which steps are counted by their tokens; one more class has no limit. */
export const stepTokenLimits = [1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384] as const;

/** How large the steps were. */
export interface StepSizes {
  /** Steps by class of {@link stepTokenLimits}, the largest ones last. */
  readonly counts: readonly number[];
  /** Tokens of all steps. */
  readonly totalTokens: number;
}

/** Gauges and counters, as of the last step. */
export interface EngineStats {
  readonly numRunning: number;
  readonly numWaiting: number;
  readonly numBlocks: number;
  readonly numFreeBlocks: number;
  readonly numPreemptions: number;
  readonly numSteps: number;
  readonly promptTokens: number;
  readonly generationTokens: number;
  /** Tokens of admitted sequences, and how many of them were found in the prefix cache. */
  readonly prefixQueryTokens: number;
  readonly prefixHitTokens: number;
  /** Absent where nobody counts. */
  readonly stepSizes?: StepSizes;
  /** Host time of the last steps outside the GPU wait, exponential average. Units: milliseconds. */
  readonly hostStepMs: number;
}

/** A running generation: each pull gives all events that arrived since the last one, in order. Breaking out aborts the request. */
export type TokenStream = AsyncIterableIterator<readonly TokenEvent[]>;

/** The engine as serving sees it; implemented in process, behind a socket, and by the tests' fake. */
export interface Engine {
  readonly state: EngineState;
  /** Throws: before the first readiness. */
  readonly info: EngineInfo;
  /** The latest known figures; never waits. */
  stats(): EngineStats;
  /**
   * Queues a request at once (not at the first pull).
   * Throws: EngineError synchronously when it cannot be queued; from the stream when it is given up later.
   */
  generate(request: GenerateRequest): TokenStream;
  /** Ends a request; its stream finishes with `abort`. Unknown ids are ignored. */
  abort(requestId: string): void;
  /** Resolves when the engine has become ready; rejects when it failed for good. */
  ready(): Promise<EngineInfo>;
  /** Called on every change of state; returns the unsubscriber. */
  onStateChange(listener: (state: EngineState, error: EngineError | null) => void): () => void;
  /** Aborts what runs and frees everything. */
  close(): Promise<void>;
}
