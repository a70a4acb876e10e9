import { describe, expect, test } from 'bun:test';
import type { TokenEvent } from '../../../src/engine/types.ts';
import { ChoiceDecoder, type ChoiceDecoderOptions, type ChoiceUpdate } from '../../../src/serving/choice-decoder.ts';
import { TokenTable } from '../../../src/text/token-table.ts';
import { idsOf, tokenizer } from '../../helpers/test-app.ts';
import { testIds } from '../../helpers/test-tokenizer.ts';

const tokens = new TokenTable(tokenizer);

const decoder = (options: Partial<ChoiceDecoderOptions> = {}): ChoiceDecoder =>
  new ChoiceDecoder(0, {
    tokens,
    skipSpecialTokens: true,
    atTextStart: false,
    stopStrings: [],
    includeStop: false,
    minTokens: 0,
    numLogprobs: null,
    spacesBetweenSpecialTokens: true,
    promptTokenIds: [],
    isScoreOnly: false,
    ...options,
  });

const token = (tokenId: number, rest: Partial<TokenEvent> = {}): TokenEvent => ({
  tokenId,
  logprobs: null,
  finishReason: null,
  stopTokenId: null,
  ...rest,
});

const eos = token(testIds.imEnd, { finishReason: 'stop' });

/** Pushes events one by one until the finish. */
function run(
  events: readonly TokenEvent[],
  options: Partial<ChoiceDecoderOptions> = {},
): ChoiceUpdate & { pieces: string[] } {
  const subject = decoder(options);
  const pieces: string[] = [];
  for (const event of events) {
    const update = subject.push([event]);
    pieces.push(update.text);
    if (update.finish !== null) return { ...update, text: pieces.join(''), pieces };
  }
  throw new Error('no finish');
}

const say = (text: string): TokenEvent[] => idsOf(text).map((id) => token(id));

describe('one choice', () => {
  test('ends at the end-of-sequence token, which counts but is not shown', () => {
    expect(run([...say('hello'), eos])).toMatchObject({
      text: 'hello',
      numTokens: 2,
      finish: { reason: 'stop', stopReason: null },
    });
  });

  test('names the stop token, and shows it when asked', () => {
    const stop = token(98, { finishReason: 'stop', stopTokenId: 98 });
    expect(run([...say('a'), stop])).toMatchObject({ text: 'a', finish: { reason: 'stop', stopReason: 98 } });
    expect(run([...say('a'), stop], { includeStop: true }).text).toBe('ab');
  });

  test('a stop string across tokens cuts the text and drops what follows', () => {
    const result = run([...say('one'), ...say(' two'), ...say(' three')], { stopStrings: ['e tw'] });
    expect(result).toMatchObject({ text: 'on', finish: { reason: 'stop', stopReason: 'e tw' } });
    expect(result.numTokens).toBe(6);
  });

  test('what was held back appears when the sequence ends otherwise', () => {
    const result = run([...say('ab'), eos], { stopStrings: ['bc'] });
    expect(result.pieces).toEqual(['a', '', 'b']);
  });

  test('stop strings wait for min_tokens', () => {
    const options = { stopStrings: ['a'], minTokens: 2 };
    expect(run([...say('aaaa')], options)).toMatchObject({ text: 'aa', numTokens: 3, finish: { stopReason: 'a' } });
  });

  test('the last character is flushed broken when its bytes never came', () => {
    expect(run([token(0xe2), token(0x82, { finishReason: 'length' })])).toMatchObject({
      text: '\ufffd',
      finish: { reason: 'length' },
    });
  });

  test('several events at once give one update', () => {
    const update = decoder().push([...say('hello world'), eos]);
    expect(update).toMatchObject({ text: 'hello world', numTokens: 3 });
  });

  test('an abort carries no token', () => {
    const subject = decoder();
    subject.push(say('a'));
    expect(subject.endAborted()).toMatchObject({
      text: '',
      numTokens: 1,
      finish: { reason: 'abort', stopReason: null },
    });
  });

  test('the ids of the tokens come along, the last one included', () => {
    expect(decoder().push([...say('ab'), eos]).tokenIds).toEqual([97, 98, testIds.imEnd]);
  });

  test("the prompt's tokens are named in order, over several events", () => {
    const scored = (logprob: number, rank: number) => ({ logprob, rank, top: [{ tokenId: 99, logprob: -0.1 }] });
    const nothing = { tokenId: -1, logprobs: null, finishReason: null, stopTokenId: null };
    const subject = decoder({ promptTokenIds: [96, 97, 98, 99] });
    const first = subject.push([{ ...nothing, promptLogprobs: [scored(-3, 7)] }]);
    expect(first).toMatchObject({ text: '', numTokens: 0, finish: null });
    expect(first.promptLogprobs).toEqual([
      {
        tokenId: 97,
        text: 'a',
        bytes: [97],
        logprob: -3,
        rank: 7,
        top: [{ tokenId: 99, text: 'c', bytes: [99], logprob: -0.1 }],
      },
    ]);
    const second = subject.push([{ ...token(97), promptLogprobs: [scored(-2, 1), scored(-20_000, 2)] }]);
    expect(second.promptLogprobs.map(({ tokenId, logprob }) => [tokenId, logprob])).toEqual([
      [98, -2],
      [99, -9999],
    ]);
    expect(second.text).toBe('a');
  });

  test('when only the prompt is scored the sampled token is dropped', () => {
    const update = decoder({ isScoreOnly: true }).push([{ ...eos, logprobs: { logprob: -1, top: [] } }]);
    expect(update).toMatchObject({
      text: '',
      tokenIds: [],
      logprobs: [],
      numTokens: 0,
      finish: { reason: 'length', stopReason: null },
    });
  });

  test('log probabilities carry text and bytes, floors and the wanted number', () => {
    const logprobs = {
      logprob: Number.NEGATIVE_INFINITY,
      top: [
        { tokenId: 0xe2, logprob: -1 },
        { tokenId: 97, logprob: -2 },
      ],
    };
    const update = decoder({ numLogprobs: 1 }).push([token(259, { logprobs })]);
    expect(update.logprobs).toEqual([
      {
        tokenId: 259,
        text: 'hello',
        bytes: [104, 101, 108, 108, 111],
        logprob: -9999,
        top: [{ tokenId: 0xe2, text: '\ufffd', bytes: [0xe2], logprob: -1 }],
      },
    ]);
  });
});
