/** Frames survive any chunking, and the codecs give back exactly what was put in. */
import { describe, expect, test } from 'bun:test';
import { ByteReader, ByteWriter, FrameError } from '../../../src/engine/host/bytes.ts';
import {
  beginFrame,
  decodeError,
  decodeHandle,
  decodeJson,
  encodeEmptyFrame,
  encodeErrorFrame,
  encodeHandleFrame,
  encodeJsonFrame,
  FRAME_HEADER_BYTES,
  FrameParser,
  FrameType,
  finishFrame,
  MAX_PAYLOAD_BYTES,
} from '../../../src/engine/host/frames.ts';
import {
  decodePong,
  decodeStep,
  encodePongFrame,
  encodeStepFrame,
  type HandledEvent,
} from '../../../src/engine/host/step-codec.ts';
import { decodeSubmit, encodeSubmitFrame } from '../../../src/engine/host/submit-codec.ts';
import {
  EngineError,
  type EngineErrorCode,
  type ExtraSamplers,
  type FinishReason,
  type GenerateRequest,
} from '../../../src/engine/types.ts';
import { makeRequest } from './fixtures.ts';

/** A small deterministic generator; `below` gives integers. */
function makeRandom(seed: number) {
  let state = seed >>> 0;
  const unit = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return { unit, below: (limit: number) => Math.floor(unit() * limit) };
}

type Random = ReturnType<typeof makeRandom>;

function listOf<T>(random: Random, maxLength: number, make: () => T): T[] {
  return Array.from({ length: random.below(maxLength + 1) }, make);
}

function randomRequest(random: Random): GenerateRequest {
  const tokenId = () => random.below(2 ** 32);
  const number = () => [0, -0, 1, -2.5, 1e-300, 0.1, random.unit()][random.below(7)] ?? 0;
  return {
    id: `req-${random.below(1000)}-\u00e9\u{1f600}`,
    promptTokenIds: Uint32Array.from(listOf(random, 300, tokenId)),
    priority: number(),
    params: {
      temperature: number(),
      topK: random.below(100),
      topP: number(),
      minP: number(),
      presencePenalty: number(),
      frequencyPenalty: number(),
      repetitionPenalty: number(),
      seed: random.below(2) ? [tokenId(), tokenId()] : null,
      logitBias: listOf(random, 5, (): [number, number] => [tokenId(), number()]),
      bannedSequences: listOf(random, 3, () => listOf(random, 4, tokenId)),
      allowedTokenIds: random.below(2) ? listOf(random, 5, tokenId) : null,
      maxTokens: random.below(5000),
      minTokens: random.below(10),
      stopTokenIds: listOf(random, 4, tokenId),
      ignoreEos: random.below(2) === 1,
      numLogprobs: random.below(2) ? random.below(20) : null,
      numPromptLogprobs: random.below(2) ? random.below(20) : null,
      extras: random.below(2) ? randomExtras(random) : null,
    },
  };
}

function randomExtras(random: Random): ExtraSamplers {
  const [unit, below] = [random.unit, random.below];
  const breakers = listOf(random, 3, () => listOf(random, 4, () => below(2 ** 32)));
  return {
    typicalP: unit(),
    topNSigma: unit(),
    temperatureLast: below(2) === 1,
    dynatempRange: unit(),
    dynatempExponent: unit(),
    xtcProbability: unit(),
    xtcThreshold: unit(),
    dry: below(2)
      ? { multiplier: unit(), base: 1 + unit(), allowedLength: below(9), lastN: below(99) - 1, breakers }
      : null,
    mirostat: below(2) ? { tau: unit(), eta: unit() } : null,
    repeatLastN: below(99) - 1,
  };
}

function randomEvent(random: Random): HandledEvent {
  const reasons: (FinishReason | null)[] = [null, 'stop', 'length', 'abort'];
  const top = () => ({ tokenId: random.below(2 ** 32), logprob: -random.unit() * 20 });
  const scored = () => ({ rank: 1 + random.below(99), logprob: -random.unit(), top: listOf(random, 3, top) });
  return {
    handle: random.below(2 ** 32),
    event: {
      tokenId: random.below(200_000) - 1,
      logprobs: random.below(3)
        ? null
        : { logprob: random.below(9) ? -random.unit() : -Infinity, top: listOf(random, 5, top) },
      finishReason: reasons[random.below(4)] ?? null,
      stopTokenId: random.below(4) ? null : random.below(2 ** 32),
      ...(random.below(4) ? {} : { promptLogprobs: listOf(random, 4, scored) }),
    },
  };
}

const stats = {
  numRunning: 3,
  numWaiting: 2,
  numBlocks: 100,
  numFreeBlocks: 7,
  numPreemptions: 1,
  numSteps: 2 ** 40,
  promptTokens: 12,
  generationTokens: 13,
  prefixQueryTokens: 0,
  prefixHitTokens: 0,
  hostStepMs: 0.1,
};

const payloadOf = (frame: Uint8Array) => frame.subarray(FRAME_HEADER_BYTES);

describe('FrameParser', () => {
  test('gives the same frames for every chunking', () => {
    const random = makeRandom(1);
    for (let round = 0; round < 200; round++) {
      const frames = Array.from({ length: 1 + random.below(8) }, () => {
        const writer = beginFrame(0);
        writer.raw(Uint8Array.from(listOf(random, random.below(2) ? 3 : 400, () => random.below(256))));
        return finishFrame(FrameType.step, writer);
      });
      const bytes = Buffer.concat(frames);
      const parsed: Buffer[] = [];
      const parser = new FrameParser((type, payload) => {
        expect(type).toBe(FrameType.step);
        parsed.push(Buffer.from(payload));
      });
      const maxChunk = 1 + random.below(round % 3 === 0 ? 3 : 300);
      for (let at = 0; at < bytes.length; ) {
        const end = Math.min(bytes.length, at + random.below(maxChunk + 1));
        parser.push(bytes.subarray(at, end));
        at = end;
      }
      expect(parsed).toEqual(frames.map((frame) => Buffer.from(payloadOf(frame))));
    }
  });

  test('gives an empty frame whose header ends the chunk', () => {
    const types: number[] = [];
    const parser = new FrameParser((type) => types.push(type));
    parser.push(encodeEmptyFrame(FrameType.ping));
    expect(types).toEqual([FrameType.ping]);
  });

  test('does not keep a payload in the memory of the chunk when it is spread', () => {
    const seen: number[][] = [];
    const parser = new FrameParser((_type, payload) => seen.push([...payload]));
    const writer = beginFrame(0);
    writer.raw(Uint8Array.of(1, 2, 3, 4));
    const frame = finishFrame(FrameType.step, writer);
    const first = frame.slice(0, 7);
    parser.push(first);
    first.fill(255);
    parser.push(frame.slice(7));
    expect(seen).toEqual([[1, 2, 3, 4]]);
  });

  test('refuses a length over the limit before it takes memory', () => {
    const parser = new FrameParser(() => {}, 100);
    expect(() => parser.push(Uint8Array.of(101, 0, 0, 0, 18))).toThrow(FrameError);
    expect(() => new FrameParser(() => {}).push(Uint8Array.of(255, 255, 255, 255, 18))).toThrow(FrameError);
  });
});

describe('codecs', () => {
  test('a request comes back exactly', () => {
    const random = makeRandom(2);
    for (let round = 0; round < 200; round++) {
      const request = randomRequest(random);
      const handle = random.below(2 ** 32);
      expect(decodeSubmit(payloadOf(encodeSubmitFrame(handle, request)))).toStrictEqual({ handle, request });
    }
  });

  test('a prompt as a plain array arrives as u32', () => {
    const decoded = decodeSubmit(payloadOf(encodeSubmitFrame(1, makeRequest('a', [1, 2, 2 ** 32 - 1]))));
    expect(decoded.request.promptTokenIds).toEqual(Uint32Array.of(1, 2, 2 ** 32 - 1));
  });

  test('token ids that are no u32 are refused', () => {
    for (const bad of [-1, 1.5, 2 ** 32, Number.NaN]) {
      expect(() => encodeSubmitFrame(1, makeRequest('a', [bad]))).toThrow(RangeError);
      expect(() => encodeSubmitFrame(1, makeRequest('a', [1], { stopTokenIds: [bad] }))).toThrow(RangeError);
    }
  });

  test('a prompt that does not fit into a frame is refused', () => {
    const request = { ...makeRequest('a', []), promptTokenIds: new Uint32Array(MAX_PAYLOAD_BYTES / 4) };
    expect(() => encodeSubmitFrame(1, request)).toThrow(RangeError);
  });

  test('a step comes back exactly', () => {
    const random = makeRandom(3);
    for (let round = 0; round < 200; round++) {
      const events = listOf(random, 70, () => randomEvent(random));
      const decoded: HandledEvent[] = [];
      const back = decodeStep(payloadOf(encodeStepFrame(stats, events)), (handle, event) =>
        decoded.push({ handle, event }),
      );
      expect(back).toStrictEqual(stats);
      expect(decoded).toStrictEqual(events);
    }
  });

  test('a cut or lengthened payload is a FrameError, never a wrong value', () => {
    const random = makeRandom(4);
    const submit = payloadOf(encodeSubmitFrame(9, randomRequest(random)));
    const step = payloadOf(encodeStepFrame(stats, [randomEvent(random), randomEvent(random)]));
    for (let length = 0; length < submit.length; length++) {
      expect(() => decodeSubmit(submit.subarray(0, length))).toThrow(FrameError);
    }
    for (let length = 0; length < step.length; length++) {
      expect(() => decodeStep(step.subarray(0, length), () => {})).toThrow(FrameError);
    }
    expect(() => decodeSubmit(Buffer.concat([submit, Uint8Array.of(0)]))).toThrow(FrameError);
    expect(() => decodeStep(Buffer.concat([step, Uint8Array.of(0)]), () => {})).toThrow(FrameError);
  });

  test('random bytes are a FrameError or a value, never another error', () => {
    const random = makeRandom(5);
    for (let round = 0; round < 500; round++) {
      const bytes = Uint8Array.from(listOf(random, 200, () => random.below(256)));
      for (const decode of [decodeSubmit, decodeError, decodeHandle, decodePong, decodeJson]) {
        try {
          decode(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError);
        }
      }
    }
  });

  test('errors keep their code and message', () => {
    const codes: EngineErrorCode[] = [
      'engine-dead',
      'device-lost',
      'gpu-error',
      'overloaded',
      'draining',
      'invalid-request',
      'load-failed',
    ];
    for (const code of codes) {
      const { handle, error } = decodeError(
        payloadOf(encodeErrorFrame(77, new EngineError(code, `it was ${code} \u{1f4a5}`))),
      );
      expect({ handle, code: error.code, message: error.message }).toEqual({
        handle: 77,
        code,
        message: `it was ${code} \u{1f4a5}`,
      });
    }
  });

  test('the small frames', () => {
    expect(decodeHandle(payloadOf(encodeHandleFrame(FrameType.abort, 2 ** 32 - 1)))).toBe(2 ** 32 - 1);
    expect(decodeJson(payloadOf(encodeJsonFrame(FrameType.ready, { a: [1, null, 'ü'] })))).toEqual({
      a: [1, null, 'ü'],
    });
    expect(decodePong(payloadOf(encodePongFrame(null)))).toBeNull();
    expect(decodePong(payloadOf(encodePongFrame(stats)))).toStrictEqual(stats);
  });

  test('a writer grows past its first capacity', () => {
    const writer = new ByteWriter(5, 0);
    for (let value = 0; value < 1000; value++) writer.u32(value);
    const reader = new ByteReader(writer.take().subarray(5));
    for (let value = 0; value < 1000; value++) expect(reader.u32()).toBe(value);
    reader.assertEnd();
  });
});
