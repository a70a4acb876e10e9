/**
 * Native jobs: a prompt or a conversation -> batches of token texts with the usage so far.
 *
 * Source of the output's form: RunPod's vLLM worker. The counter that fills batches spans all choices; `usage.output` counts every token up
 * to now. Next: `sampling-params.ts` (fields), `../serving/to-engine.ts` (plan), `../serving/generation.ts` (updates).
 */
import type { Engine } from '../engine/types.ts';
import type { ChoiceUpdate } from '../serving/choice-decoder.ts';
import { ApiError } from '../serving/errors.ts';
import { Generation, type GenerationPlan } from '../serving/generation.ts';
import type { ServingMetrics } from '../serving/metrics.ts';
import { chatCompletionWire } from '../serving/schema/chat-completions.ts';
import { completionWire } from '../serving/schema/completions.ts';
import { parseWire } from '../serving/schema/wire.ts';
import { chatToEngine, completionToEngine, type ServingContext } from '../serving/to-engine.ts';
import { BatchSize } from './batch-size.ts';
import type { NativeCall } from './input.ts';
import { nativeSampling } from './sampling-params.ts';
import { tokenByToken } from './token-steps.ts';

/** One output of a native job. */
export interface NativeOutput {
  readonly choices: readonly { readonly tokens: readonly string[] }[];
  readonly usage: { readonly input: number; readonly output: number };
}

export interface NativeRun {
  readonly engine: Engine;
  readonly context: ServingContext;
  readonly metrics: ServingMetrics;
}

/** Throws: ApiError, ChatTemplateError, EngineError. Ends early when the signal fires. */
export async function* runNative(
  call: NativeCall,
  run: NativeRun,
  signal: AbortSignal,
): AsyncGenerator<NativeOutput, void, undefined> {
  const plan = await planNative(call, run.context);
  if (signal.aborted) return;
  const generation = new Generation(tokenByToken(run.engine), plan, run.metrics.watch(plan));
  const abort = (): void => generation.abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    const outputs = call.isStream
      ? streamed(generation, plan.numChoices, new BatchSize(call.batchGrowth), signal)
      : whole(generation, plan.numChoices, signal);
    yield* outputs;
  } finally {
    signal.removeEventListener('abort', abort);
    // The reader may leave between two batches.
    generation.abort();
  }
}

async function planNative(call: NativeCall, context: ServingContext): Promise<GenerationPlan> {
  const sampling = { ...nativeSampling(call.samplingParams, context.model.defaults), stream: call.isStream };
  if ('text' in call.prompt) {
    return completionToEngine(parseWire(completionWire, { ...sampling, prompt: call.prompt.text }), context);
  }
  // Fields that only the completions route refuses (`best_of`) must not be ignored here.
  parseWire(completionWire, { ...sampling, prompt: '' });
  return chatToEngine(parseWire(chatCompletionWire, { ...sampling, messages: call.prompt.messages }), context);
}

async function* streamed(
  generation: Generation,
  numChoices: number,
  size: BatchSize,
  signal: AbortSignal,
): AsyncGenerator<NativeOutput, void, undefined> {
  const counter = new TokenCounter();
  let choices = emptyChoices(numChoices);
  const output = (): NativeOutput => ({ choices, usage: { input: generation.promptTokens, output: counter.total } });
  for await (const updates of generation.updates()) {
    for (const update of updates) {
      assertNotAborted(update, signal);
      const numNew = counter.take(update);
      if (numNew > 0 || update.text !== '') choices[update.index]?.tokens.push(update.text);
      if (!size.add(numNew)) continue;
      yield output();
      choices = emptyChoices(numChoices);
    }
  }
  if (choices.some((choice) => choice.tokens.length > 0)) yield output();
}

async function* whole(
  generation: Generation,
  numChoices: number,
  signal: AbortSignal,
): AsyncGenerator<NativeOutput, void, undefined> {
  const counter = new TokenCounter();
  const texts = new Array<string>(numChoices).fill('');
  for await (const updates of generation.updates()) {
    for (const update of updates) {
      assertNotAborted(update, signal);
      counter.take(update);
      texts[update.index] = (texts[update.index] ?? '') + update.text;
    }
  }
  yield {
    choices: texts.map((text) => ({ tokens: [text] })),
    usage: { input: generation.promptTokens, output: counter.total },
  };
}

/** Half an answer must not pass for a whole one. */
function assertNotAborted(update: ChoiceUpdate, signal: AbortSignal): void {
  if (update.finish?.reason === 'abort' && !signal.aborted) throw new ApiError(500, 'The generation was aborted.');
}

function emptyChoices(numChoices: number): { tokens: string[] }[] {
  return Array.from({ length: numChoices }, () => ({ tokens: [] }));
}

/** Tokens over all choices. */
class TokenCounter {
  total = 0;
  private readonly seen = new Map<number, number>();

  /** How many tokens the update adds. */
  take(update: ChoiceUpdate): number {
    const numNew = update.numTokens - (this.seen.get(update.index) ?? 0);
    this.seen.set(update.index, update.numTokens);
    this.total += numNew;
    return numNew;
  }
}
