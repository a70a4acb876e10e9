/** What the two load benchmarks share: the figures of one level, and prompts that every tokenizer can read. */

/** Figures of one level. Units: milliseconds, per second. */
export interface LevelFigures {
  readonly streams: number;
  readonly requests: number;
  readonly firstTokenP50Ms: number;
  readonly firstTokenP99Ms: number;
  readonly interTokenP50Ms: number;
  readonly interTokenP99Ms: number;
  readonly tokensPerSecond: number;
  readonly requestsPerSecond: number;
}

/** At least so many answers per round: one alone is little to go by. */
export const MIN_REQUESTS = 4;
/** Ids that every tokenizer has and that are seldom special. */
export const FIRST_TOKEN_ID = 10;
export const NUM_TOKEN_IDS = 200;
