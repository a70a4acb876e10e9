/**
 * What a step brought, as the payload of a `step` frame: stats, then one record per event. One frame per step for all sequences.
 *
 * Owns the record. The hot path: numeric handles, no strings, no intermediate objects.
 * Next: `client.ts` (who reads it), `server.ts` (who writes it).
 */
import type { EngineStats, FinishReason, PromptLogprobs, TokenEvent, TokenLogprobs } from '../types.ts';
import { ByteReader, type ByteWriter, FrameError } from './bytes.ts';
import { beginFrame, FrameType, finishFrame } from './frames.ts';

/** Order is the wire format: append only. */
const finishReasons: readonly (FinishReason | null)[] = [null, 'stop', 'length', 'abort'];
const FLAG_STOP_TOKEN = 1;
const FLAG_LOGPROBS = 2;
const FLAG_PROMPT_LOGPROBS = 4;
const FLAG_START = 8;

export interface HandledEvent {
  readonly handle: number;
  readonly event: TokenEvent;
}

export function encodeStepFrame(stats: EngineStats, events: readonly HandledEvent[]): Uint8Array<ArrayBuffer> {
  const writer = beginFrame(80 + events.length * 16);
  writeStats(writer, stats);
  writer.u32(events.length);
  for (const { handle, event } of events) {
    writer.u32(handle);
    writer.i32(event.tokenId);
    writer.u8(finishReasons.indexOf(event.finishReason));
    writer.u8(
      (event.stopTokenId === null ? 0 : FLAG_STOP_TOKEN) |
        (event.logprobs === null ? 0 : FLAG_LOGPROBS) |
        (event.promptLogprobs === undefined ? 0 : FLAG_PROMPT_LOGPROBS) |
        (event.start === undefined ? 0 : FLAG_START),
    );
    if (event.stopTokenId !== null) writer.u32(event.stopTokenId);
    if (event.logprobs !== null) writeLogprobs(writer, event.logprobs);
    if (event.promptLogprobs !== undefined) writePromptLogprobs(writer, event.promptLogprobs);
    if (event.start !== undefined) {
      writer.f64(event.start.queueMs);
      writer.u32(event.start.cachedTokens);
    }
  }
  return finishFrame(FrameType.step, writer);
}

/**
 * Calls `visit` for each event in order and returns the stats.
 * Throws: FrameError; events before the damage were visited.
 */
export function decodeStep(payload: Uint8Array, visit: (handle: number, event: TokenEvent) => void): EngineStats {
  const reader = new ByteReader(payload);
  const stats = readStats(reader);
  const count = reader.u32();
  for (let index = 0; index < count; index++) {
    const handle = reader.u32();
    const tokenId = reader.i32();
    const finishReason = finishReasons[reader.u8()];
    if (finishReason === undefined) throw new FrameError('a step frame has an unknown finish reason');
    const flags = reader.u8();
    const stopTokenId = flags & FLAG_STOP_TOKEN ? reader.u32() : null;
    const logprobs = flags & FLAG_LOGPROBS ? readLogprobs(reader) : null;
    let event: TokenEvent = { tokenId, logprobs, finishReason, stopTokenId };
    if (flags & FLAG_PROMPT_LOGPROBS) event = { ...event, promptLogprobs: readPromptLogprobs(reader) };
    if (flags & FLAG_START) event = { ...event, start: { queueMs: reader.f64(), cachedTokens: reader.u32() } };
    visit(handle, event);
  }
  reader.assertEnd();
  return stats;
}

/** `stats` is null while nothing is loaded. */
export function encodePongFrame(stats: EngineStats | null): Uint8Array<ArrayBuffer> {
  const writer = beginFrame(80);
  if (stats !== null) writeStats(writer, stats);
  return finishFrame(FrameType.pong, writer);
}

/** Throws: FrameError. */
export function decodePong(payload: Uint8Array): EngineStats | null {
  if (payload.length === 0) return null;
  const reader = new ByteReader(payload);
  const stats = readStats(reader);
  reader.assertEnd();
  return stats;
}

function writeLogprobs(writer: ByteWriter, logprobs: TokenLogprobs): void {
  writer.f64(logprobs.logprob);
  writer.u32(logprobs.top.length);
  for (const entry of logprobs.top) {
    writer.u32(entry.tokenId);
    writer.f64(entry.logprob);
  }
}

function readLogprobs(reader: ByteReader): TokenLogprobs {
  const logprob = reader.f64();
  const count = reader.u32();
  const top: { tokenId: number; logprob: number }[] = [];
  for (let index = 0; index < count; index++) top.push({ tokenId: reader.u32(), logprob: reader.f64() });
  return { logprob, top };
}

function writePromptLogprobs(writer: ByteWriter, tokens: readonly PromptLogprobs[]): void {
  writer.u32(tokens.length);
  for (const token of tokens) {
    writer.u32(token.rank);
    writeLogprobs(writer, token);
  }
}

function readPromptLogprobs(reader: ByteReader): PromptLogprobs[] {
  const count = reader.u32();
  const tokens: PromptLogprobs[] = [];
  for (let index = 0; index < count; index++) tokens.push({ rank: reader.u32(), ...readLogprobs(reader) });
  return tokens;
}

function writeStats(writer: ByteWriter, stats: EngineStats): void {
  writer.f64(stats.numRunning);
  writer.f64(stats.numWaiting);
  writer.f64(stats.numBlocks);
  writer.f64(stats.numFreeBlocks);
  writer.f64(stats.numPreemptions);
  writer.f64(stats.numSteps);
  writer.f64(stats.promptTokens);
  writer.f64(stats.generationTokens);
  writer.f64(stats.prefixQueryTokens);
  writer.f64(stats.prefixHitTokens);
  writer.f64(stats.hostStepMs);
  const sizes = stats.stepSizes;
  writer.u8(sizes?.counts.length ?? 0);
  if (sizes === undefined) return;
  for (const count of sizes.counts) writer.f64(count);
  writer.f64(sizes.totalTokens);
}

/** Property order is reading order. */
function readStats(reader: ByteReader): EngineStats {
  const stats: EngineStats = {
    numRunning: reader.f64(),
    numWaiting: reader.f64(),
    numBlocks: reader.f64(),
    numFreeBlocks: reader.f64(),
    numPreemptions: reader.f64(),
    numSteps: reader.f64(),
    promptTokens: reader.f64(),
    generationTokens: reader.f64(),
    prefixQueryTokens: reader.f64(),
    prefixHitTokens: reader.f64(),
    hostStepMs: reader.f64(),
  };
  const numClasses = reader.u8();
  if (numClasses === 0) return stats;
  const counts = Array.from({ length: numClasses }, () => reader.f64());
  return { ...stats, stepSizes: { counts, totalTokens: reader.f64() } };
}
