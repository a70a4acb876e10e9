/**
 * A request as the payload of a `submit` frame.
 *
 * Owns the order of the fields. Scalars are f64, so that every number arrives exactly as it was given; token ids are u32.
 * Next: `step-codec.ts` (the way back), `../types.ts` (what the fields mean).
 */
import type { DryPenalty, ExtraSamplers, GenerateRequest, SamplingParams } from '../types.ts';
import { ByteReader, type ByteWriter } from './bytes.ts';
import { beginFrame, FrameType, finishFrame } from './frames.ts';

const FLAG_SEED = 1;
const FLAG_ALLOWED = 2;
const FLAG_LOGPROBS = 4;
const FLAG_IGNORE_EOS = 8;
const FLAG_PROMPT_LOGPROBS = 16;
const FLAG_EXTRAS = 32;

const FLAG_TEMPERATURE_LAST = 1;
const FLAG_DRY = 2;
const FLAG_MIROSTAT = 4;

/**
 * The frame that carries `request` under `handle`.
 * Throws: RangeError when a token id is no u32 or the prompt does not fit into a frame.
 */
export function encodeSubmitFrame(handle: number, request: GenerateRequest): Uint8Array<ArrayBuffer> {
  const writer = beginFrame(256 + request.promptTokenIds.length * 4);
  writer.u32(handle);
  writer.text(request.id);
  writer.f64(request.priority);
  writeParams(writer, request.params);
  writer.u32Array(request.promptTokenIds);
  return finishFrame(FrameType.submit, writer);
}

/** Throws: FrameError. */
export function decodeSubmit(payload: Uint8Array): { handle: number; request: GenerateRequest } {
  const reader = new ByteReader(payload);
  const handle = reader.u32();
  const id = reader.text();
  const priority = reader.f64();
  const params = readParams(reader);
  const promptTokenIds = reader.u32Array();
  reader.assertEnd();
  return { handle, request: { id, promptTokenIds, params, priority } };
}

function writeParams(writer: ByteWriter, params: SamplingParams): void {
  writer.u8(
    (params.seed === null ? 0 : FLAG_SEED) |
      (params.allowedTokenIds === null ? 0 : FLAG_ALLOWED) |
      (params.numLogprobs === null ? 0 : FLAG_LOGPROBS) |
      (params.ignoreEos ? FLAG_IGNORE_EOS : 0) |
      (params.numPromptLogprobs === null ? 0 : FLAG_PROMPT_LOGPROBS) |
      (params.extras === null ? 0 : FLAG_EXTRAS),
  );
  writer.f64(params.temperature);
  writer.f64(params.topK);
  writer.f64(params.topP);
  writer.f64(params.minP);
  writer.f64(params.presencePenalty);
  writer.f64(params.frequencyPenalty);
  writer.f64(params.repetitionPenalty);
  writer.f64(params.maxTokens);
  writer.f64(params.minTokens);
  if (params.numLogprobs !== null) writer.f64(params.numLogprobs);
  if (params.numPromptLogprobs !== null) writer.f64(params.numPromptLogprobs);
  if (params.seed !== null) {
    writer.u32(params.seed[0]);
    writer.u32(params.seed[1]);
  }
  writer.u32(params.logitBias.length);
  for (const [tokenId, bias] of params.logitBias) {
    writer.u32(tokenId);
    writer.f64(bias);
  }
  writer.u32(params.bannedSequences.length);
  for (const sequence of params.bannedSequences) writer.u32Array(sequence);
  if (params.allowedTokenIds !== null) writer.u32Array(params.allowedTokenIds);
  writer.u32Array(params.stopTokenIds);
  if (params.extras !== null) writeExtras(writer, params.extras);
}

function writeExtras(writer: ByteWriter, extras: ExtraSamplers): void {
  const { dry, mirostat } = extras;
  writer.u8(
    (extras.temperatureLast ? FLAG_TEMPERATURE_LAST : 0) |
      (dry === null ? 0 : FLAG_DRY) |
      (mirostat === null ? 0 : FLAG_MIROSTAT),
  );
  writer.f64(extras.typicalP);
  writer.f64(extras.topNSigma);
  writer.f64(extras.dynatempRange);
  writer.f64(extras.dynatempExponent);
  writer.f64(extras.xtcProbability);
  writer.f64(extras.xtcThreshold);
  writer.f64(extras.repeatLastN);
  if (mirostat !== null) {
    writer.f64(mirostat.tau);
    writer.f64(mirostat.eta);
  }
  if (dry !== null) {
    writer.f64(dry.multiplier);
    writer.f64(dry.base);
    writer.f64(dry.allowedLength);
    writer.f64(dry.lastN);
    writer.u32(dry.breakers.length);
    for (const sequence of dry.breakers) writer.u32Array(sequence);
  }
}

function readParams(reader: ByteReader): SamplingParams {
  const flags = reader.u8();
  // Property order is reading order: object literals are evaluated from top to bottom.
  return {
    temperature: reader.f64(),
    topK: reader.f64(),
    topP: reader.f64(),
    minP: reader.f64(),
    presencePenalty: reader.f64(),
    frequencyPenalty: reader.f64(),
    repetitionPenalty: reader.f64(),
    maxTokens: reader.f64(),
    minTokens: reader.f64(),
    numLogprobs: flags & FLAG_LOGPROBS ? reader.f64() : null,
    numPromptLogprobs: flags & FLAG_PROMPT_LOGPROBS ? reader.f64() : null,
    seed: flags & FLAG_SEED ? [reader.u32(), reader.u32()] : null,
    logitBias: readList(reader, (): [number, number] => [reader.u32(), reader.f64()]),
    bannedSequences: readList(reader, () => [...reader.u32Array()]),
    allowedTokenIds: flags & FLAG_ALLOWED ? [...reader.u32Array()] : null,
    stopTokenIds: [...reader.u32Array()],
    ignoreEos: (flags & FLAG_IGNORE_EOS) !== 0,
    extras: flags & FLAG_EXTRAS ? readExtras(reader) : null,
  };
}

function readExtras(reader: ByteReader): ExtraSamplers {
  const flags = reader.u8();
  return {
    temperatureLast: (flags & FLAG_TEMPERATURE_LAST) !== 0,
    typicalP: reader.f64(),
    topNSigma: reader.f64(),
    dynatempRange: reader.f64(),
    dynatempExponent: reader.f64(),
    xtcProbability: reader.f64(),
    xtcThreshold: reader.f64(),
    repeatLastN: reader.f64(),
    mirostat: flags & FLAG_MIROSTAT ? { tau: reader.f64(), eta: reader.f64() } : null,
    dry: flags & FLAG_DRY ? readDry(reader) : null,
  };
}

function readDry(reader: ByteReader): DryPenalty {
  return {
    multiplier: reader.f64(),
    base: reader.f64(),
    allowedLength: reader.f64(),
    lastN: reader.f64(),
    breakers: readList(reader, () => [...reader.u32Array()]),
  };
}

/** The count is not trusted with memory: the reader throws as soon as the bytes run out. */
function readList<T>(reader: ByteReader, readItem: () => T): T[] {
  const count = reader.u32();
  const items: T[] = [];
  for (let index = 0; index < count; index++) items.push(readItem());
  return items;
}
