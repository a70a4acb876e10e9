/**
 * A translated request -> the engine's requests: one sequence for each prompt and candidate, with its lengths, seed and decoder.
 *
 * The same for chat and text completions. Next: `to-engine.ts` (what differs), `candidates.ts`, `generation.ts` (runs a plan).
 */
import { randomUUID } from 'node:crypto';
import { type EngineInfo, maxTopLogprobs } from '../engine/types.ts';
import type { PromptPart } from './answer-parts.ts';
import { beamOptions, type CandidateCounts, candidateCounts } from './candidates.ts';
import type { ChoiceDecoderOptions } from './choice-decoder.ts';
import { badRequest } from './errors.ts';
import type { ChoicePlan, GenerationPlan } from './generation.ts';
import { encodePrompt, type PromptInput, type PromptLimits } from './prompt.ts';
import { choiceSeed, type SharedParams, toSharedParams } from './sampling.ts';
import type { WireAnswerOptions, WireSampling } from './schema/sampling.ts';
import type { ServedModel, ServingContext, ServingSettings } from './served-model.ts';

/** What the two endpoints do differently. */
export interface Differences {
  readonly prompts: readonly PromptInput[];
  readonly addSpecialTokens: boolean;
  /** 0 = the prompt is scored alone. */
  readonly requestedMaxTokens: number | null;
  readonly maxTokensField: string;
  /** Null = the rest of the context. */
  readonly defaultMaxTokens: number | null;
  readonly fallbackTemperature: number;
  readonly numLogprobs: number | null;
  /** The same for an echoed prompt. */
  readonly numEchoedLogprobs: number | null;
  /** What stands before each answer. */
  echo(input: PromptInput, ids: PromptPart['tokenIds']): string;
}

type Wire = WireSampling & WireAnswerOptions;
type TokenIds = Awaited<ReturnType<typeof encodePrompt>>;

/** Unless set. Limits: vLLM's number. */
const defaultMaxSequences = 16_384;

/** Throws: ApiError. */
export async function planGeneration(
  body: Wire,
  context: ServingContext,
  differences: Differences,
): Promise<GenerationPlan> {
  const { model, info, settings } = context;
  assertAnswerOptions(body, settings);
  const counts = candidateCounts(body);
  const maxSequences = settings.maxNSequences ?? defaultMaxSequences;
  if (differences.prompts.length * counts.numCandidates > maxSequences) {
    const field = differences.prompts.length > maxSequences ? 'prompt' : 'n';
    throw badRequest(`A request may have at most ${maxSequences} prompts times choices.`, field);
  }
  const shared = toSharedParams(body, {
    defaults: model.defaults,
    fallbackTemperature: differences.fallbackTemperature,
    vocabSize: info.vocabSize,
    tokenizer: model.tokenizer,
    tokens: model.tokens,
  });
  if (counts.numBeams !== null && shared.extras !== null) {
    throw badRequest('`use_beam_search` cannot be combined with samplers: nothing is drawn.', 'use_beam_search');
  }
  const requested = differences.requestedMaxTokens;
  if (requested !== null && shared.minTokens > requested) {
    throw badRequest(`\`min_tokens\` must be at most \`${differences.maxTokensField}\`.`, 'min_tokens');
  }
  const limits: PromptLimits = {
    maxModelLen: info.maxModelLen,
    vocabSize: info.vocabSize,
    truncation: truncationOf(body, info, requested ?? differences.defaultMaxTokens ?? 1),
  };
  const prompts = await Promise.all(
    differences.prompts.map((prompt) => encodePrompt(model, prompt, differences.addSpecialTokens, limits)),
  );
  const asked: Asked = { body, context, differences, counts, shared };
  return {
    choices: prompts.flatMap((ids, prompt) => choicesOf(asked, ids, prompt * counts.numCandidates)),
    promptTokens: prompts.reduce((sum, ids) => sum + ids.length, 0),
    numChoices: prompts.length * counts.numChoices,
    ...(counts.numCandidates > counts.numChoices
      ? { bestOf: { numCandidates: counts.numCandidates, numKept: counts.numChoices } }
      : {}),
    prompt: {
      prompts: prompts.map((ids, i) => promptPart(model, differences, differences.prompts[i], ids)),
      numPromptLogprobs: body.prompt_logprobs ?? null,
      numEchoedLogprobs: differences.numEchoedLogprobs,
    },
  };
}

/** The parts that all sequences of a request share. */
interface Asked {
  readonly body: Wire;
  readonly context: ServingContext;
  readonly differences: Differences;
  readonly counts: CandidateCounts;
  readonly shared: SharedParams;
}

/** The sequences of one prompt. */
function choicesOf(asked: Asked, promptTokenIds: TokenIds, firstIndex: number): ChoicePlan[] {
  const { body, context, differences, counts, shared } = asked;
  const { info, model } = context;
  const room = info.maxModelLen - promptTokenIds.length;
  const wanted = differences.requestedMaxTokens ?? differences.defaultMaxTokens ?? room;
  // No engine scores a prompt without sampling once.
  const isScoreOnly = wanted === 0;
  const maxTokens = Math.max(1, Math.min(room, wanted));
  const isRanked = counts.numCandidates > counts.numChoices;
  const beams = counts.numBeams === null ? null : beamOptions(body, counts.numBeams, shared, maxTokens, info);
  const decoding = decodingOptions(asked, model, promptTokenIds, isScoreOnly);
  return Array.from({ length: counts.numCandidates }, (_, candidate) => ({
    index: firstIndex + candidate,
    request: {
      id: randomUUID(),
      promptTokenIds,
      params: {
        ...shared,
        minTokens: Math.min(shared.minTokens, maxTokens),
        maxTokens,
        seed: choiceSeed(body.seed, candidate),
        numLogprobs: differences.numLogprobs ?? (isRanked ? 0 : null),
        // The other candidates show the same, unless their streams cannot wait for it.
        numPromptLogprobs: candidate === 0 || body.stream === true ? promptLogprobs(body, differences) : null,
      },
      priority: body.priority ?? 0,
      ...(body.cache_salt ? { cacheSalt: body.cache_salt } : {}),
    },
    decoding,
    ...(beams === null ? {} : { beams }),
  }));
}

function promptLogprobs(body: Wire, { numEchoedLogprobs }: Differences): number | null {
  const shown = body.prompt_logprobs ?? null;
  return shown === null ? numEchoedLogprobs : Math.max(shown, numEchoedLogprobs ?? 0);
}

function decodingOptions(
  { body, differences, shared }: Asked,
  model: ServedModel,
  promptTokenIds: TokenIds,
  isScoreOnly: boolean,
): ChoiceDecoderOptions {
  const { specialIds } = model.tokenizer;
  const skipSpecialTokens = body.skip_special_tokens ?? true;
  const isVisible = (id: number): boolean => !(skipSpecialTokens && specialIds.has(id));
  return {
    tokens: model.tokens,
    skipSpecialTokens,
    spacesBetweenSpecialTokens: body.spaces_between_special_tokens ?? true,
    atTextStart: !promptTokenIds.some(isVisible),
    stopStrings: typeof body.stop === 'string' ? [body.stop] : (body.stop ?? []),
    includeStop: body.include_stop_str_in_output ?? false,
    minTokens: shared.minTokens,
    numLogprobs: differences.numLogprobs,
    promptTokenIds,
    isScoreOnly,
  };
}

function promptPart(
  model: ServedModel,
  differences: Differences,
  input: PromptInput | undefined,
  tokenIds: TokenIds,
): PromptPart {
  const first = tokenIds[0] ?? 0;
  return {
    tokenIds,
    echo: input === undefined ? '' : differences.echo(input, tokenIds),
    firstToken: { tokenId: first, text: model.tokens.displayText(first), bytes: [...model.tokens.bytes(first)] },
  };
}

/** `maxTokens`: what the answer may need, for which -1 leaves room. Throws: ApiError 400. */
function truncationOf(body: Wire, info: EngineInfo, maxTokens: number): PromptLimits['truncation'] {
  const wanted = body.truncate_prompt_tokens ?? null;
  if (wanted === null) return null;
  if (wanted > info.maxModelLen) {
    throw badRequest(`\`truncate_prompt_tokens\` must be at most ${info.maxModelLen}.`, 'truncate_prompt_tokens');
  }
  const most = wanted === -1 ? Math.max(1, info.maxModelLen - Math.max(1, maxTokens)) : wanted;
  return { maxTokens: Math.min(most, info.maxModelLen - 1), side: body.truncation_side ?? 'left' };
}

/** Throws: ApiError 400. */
function assertAnswerOptions(body: Wire, settings: ServingSettings): void {
  if (body.stream_options && body.stream !== true) {
    throw badRequest('`stream_options` needs `stream` to be true.', 'stream_options');
  }
  const numPromptLogprobs = body.prompt_logprobs ?? null;
  if (numPromptLogprobs !== null) {
    if (body.stream === true) throw badRequest('`prompt_logprobs` cannot be streamed.', 'prompt_logprobs');
    assertMaxLogprobs(numPromptLogprobs, settings, 'prompt_logprobs');
  }
  if ((body.priority ?? 0) !== 0 && settings.schedulingPolicy !== 'priority') {
    throw badRequest('`priority` needs a server whose scheduling policy is priority.', 'priority');
  }
}

/** -1 is the whole vocabulary, which the engine does not list. Throws: ApiError 400. */
export function assertMaxLogprobs(wanted: number, settings: ServingSettings, field: string): void {
  const most = settings.maxLogprobs < 0 ? maxTopLogprobs : Math.min(settings.maxLogprobs, maxTopLogprobs);
  if (wanted >= 0 && wanted <= most) return;
  throw badRequest(`\`${field}\` must be 0 to ${most}.`, field);
}
