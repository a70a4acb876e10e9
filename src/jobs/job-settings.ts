/**
 * What jobs take from the configuration. The queue worker's own settings are in `worker/queue-settings.ts`.
 */

/** How many tokens go out in one piece: the first piece holds `min`, each later one `growthFactor` times as many, up to `max`. */
export interface BatchGrowth {
  readonly max: number;
  readonly min: number;
  readonly growthFactor: number;
}

export interface JobSettings {
  /** `DEFAULT_BATCH_SIZE` (50), `DEFAULT_MIN_BATCH_SIZE` (1), `DEFAULT_BATCH_SIZE_GROWTH_FACTOR` (3). */
  readonly batchGrowth: BatchGrowth;
  /** `RAW_OPENAI_OUTPUT` (true): streamed OpenAI answers are event-stream text; else lists of parsed chunks. */
  readonly rawOpenaiOutput: boolean;
  /** `NATIVE_OUTPUT` (batches): what `prompt` and `messages` jobs answer with. */
  readonly nativeOutput: 'batches' | 'openai';
  /** `MAX_CONCURRENCY` (300): jobs that run at the same time. */
  readonly maxConcurrency: number;
}

export const defaultJobSettings: JobSettings = {
  batchGrowth: { max: 50, min: 1, growthFactor: 3 },
  rawOpenaiOutput: true,
  nativeOutput: 'batches',
  maxConcurrency: 300,
};
