import { describe, expect, test } from 'bun:test';
import { chatFormat } from '../../../src/serving/chat-format.ts';
import type { ChoiceUpdate, ScoredPosition } from '../../../src/serving/choice-decoder.ts';
import { completionFormat } from '../../../src/serving/completion-format.ts';
import { type AnswerHead, foldChunks, foldWhole } from '../../../src/serving/from-engine.ts';

const head: AnswerHead = { id: 'x-1', created: 5, model: 'm', systemFingerprint: 'f', role: 'assistant' };
const stop = { reason: 'stop', stopReason: null } as const;

const update = (rest: Partial<ChoiceUpdate>): ChoiceUpdate => ({
  index: 0,
  text: '',
  logprobs: [],
  numTokens: 0,
  finish: null,
  ...rest,
});

async function* batches(...all: ChoiceUpdate[][]): AsyncGenerator<ChoiceUpdate[]> {
  yield* all;
}

const scored = (text: string): ScoredPosition => ({
  text,
  bytes: [1],
  logprob: -0.5,
  top: [{ text, bytes: [1], logprob: -0.5 }],
});

const options = { head, promptTokens: 3, numChoices: 1, wantsLogprobs: false };

const envelope = { id: 'x-1', created: 5, model: 'm', system_fingerprint: 'f' };
const chatChunk = { ...envelope, object: 'chat.completion.chunk' };

async function chunksOf(updates: AsyncIterable<readonly ChoiceUpdate[]>, more: object): Promise<object[]> {
  const all: object[] = [];
  const fold = { ...options, includeUsage: false, continuousUsage: false, format: chatFormat, ...more };
  for await (const batch of foldChunks(updates, fold)) all.push(...batch);
  return all;
}

describe('whole answers', () => {
  const two = () =>
    batches(
      [update({ text: 'a', numTokens: 1 }), update({ index: 1, text: 'x', numTokens: 1 })],
      [update({ text: 'b', numTokens: 2, finish: stop })],
      [update({ index: 1, text: 'y', numTokens: 2, finish: { reason: 'length', stopReason: null } })],
    );

  test('chat', async () => {
    expect(await foldWhole(two(), { ...options, numChoices: 2, format: chatFormat })).toEqual({
      ...envelope,
      object: 'chat.completion',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'ab', refusal: null },
          logprobs: null,
          finish_reason: 'stop',
          stop_reason: null,
        },
        {
          index: 1,
          message: { role: 'assistant', content: 'xy', refusal: null },
          logprobs: null,
          finish_reason: 'length',
          stop_reason: null,
        },
      ],
      usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 },
    });
  });

  test('completions', async () => {
    expect(await foldWhole(two(), { ...options, numChoices: 2, format: completionFormat })).toMatchObject({
      object: 'text_completion',
      choices: [
        { index: 0, text: 'ab', logprobs: null, finish_reason: 'stop', stop_reason: null },
        { index: 1, text: 'xy', logprobs: null, finish_reason: 'length', stop_reason: null },
      ],
    });
  });

  test('log probabilities of both kinds', async () => {
    const updates = () =>
      batches([update({ text: '👍b', logprobs: [scored('👍'), scored('b')], numTokens: 2, finish: stop })]);
    const wants = { ...options, wantsLogprobs: true };
    expect(await foldWhole(updates(), { ...wants, format: chatFormat })).toMatchObject({
      choices: [
        {
          logprobs: {
            content: [
              { token: '👍', logprob: -0.5, bytes: [1], top_logprobs: [{ token: '👍', logprob: -0.5, bytes: [1] }] },
              { token: 'b', logprob: -0.5, bytes: [1], top_logprobs: [{ token: 'b', logprob: -0.5, bytes: [1] }] },
            ],
            refusal: null,
          },
        },
      ],
    });
    expect(await foldWhole(updates(), { ...wants, format: completionFormat })).toMatchObject({
      choices: [
        {
          logprobs: {
            text_offset: [0, 1],
            token_logprobs: [-0.5, -0.5],
            tokens: ['👍', 'b'],
            top_logprobs: [{ '👍': -0.5 }, { b: -0.5 }],
          },
        },
      ],
    });
  });
});

describe('streamed answers', () => {
  test('chat: role, contents, finish, usage', async () => {
    const updates = batches(
      [update({ text: 'a', numTokens: 1 })],
      [update({ numTokens: 2 })],
      [update({ text: 'b', numTokens: 3, finish: { reason: 'stop', stopReason: 'x' } })],
    );
    expect(await chunksOf(updates, { includeUsage: true })).toEqual([
      { ...chatChunk, choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }] },
      { ...chatChunk, choices: [{ index: 0, delta: { content: 'a' }, finish_reason: null }] },
      { ...chatChunk, choices: [{ index: 0, delta: { content: 'b' }, finish_reason: null }] },
      { ...chatChunk, choices: [{ index: 0, delta: {}, finish_reason: 'stop', stop_reason: 'x' }] },
      { ...chatChunk, choices: [], usage: { prompt_tokens: 3, completion_tokens: 3, total_tokens: 6 } },
    ]);
  });

  test('completions have no opening; offsets go on from chunk to chunk', async () => {
    const updates = batches(
      [update({ text: 'ab', logprobs: [scored('ab')], numTokens: 1 })],
      [update({ logprobs: [scored('c')], numTokens: 2 })],
      [update({ text: 'cd', logprobs: [scored('d')], numTokens: 3, finish: stop })],
    );
    const chunks = await chunksOf(updates, { format: completionFormat, wantsLogprobs: true });
    expect(chunks).toMatchObject([
      { choices: [{ text: 'ab', logprobs: { tokens: ['ab'], text_offset: [0] }, finish_reason: null }] },
      { choices: [{ text: 'cd', logprobs: { tokens: ['c', 'd'], text_offset: [2, 3] }, finish_reason: null }] },
      { choices: [{ text: '', finish_reason: 'stop', stop_reason: null }] },
    ]);
  });

  test('usage in every chunk when asked for', async () => {
    const updates = batches([update({ text: 'a', numTokens: 1 })], [update({ numTokens: 2, finish: stop })]);
    const chunks = await chunksOf(updates, { includeUsage: true, continuousUsage: true });
    expect(chunks.map((chunk) => (chunk as { usage: { completion_tokens: number } }).usage.completion_tokens)).toEqual([
      1, 1, 2, 2,
    ]);
  });
});
