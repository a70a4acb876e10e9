import { describe, expect, test } from 'bun:test';
import type { AnswerHead } from '../../../src/serving/answer-parts.ts';
import { chatFormat } from '../../../src/serving/chat-format.ts';
import type { ChoiceUpdate, ScoredPosition, ScoredPromptToken } from '../../../src/serving/choice-decoder.ts';
import { completionFormat } from '../../../src/serving/completion-format.ts';
import { foldChunks, foldWhole } from '../../../src/serving/from-engine.ts';

const head: AnswerHead = { id: 'x-1', created: 5, model: 'm', systemFingerprint: 'f', role: 'assistant' };
const stop = { reason: 'stop', stopReason: null } as const;

const update = (rest: Partial<ChoiceUpdate>): ChoiceUpdate => ({
  index: 0,
  text: '',
  logprobs: [],
  tokenIds: [],
  promptLogprobs: [],
  numTokens: 0,
  finish: null,
  ...rest,
});

async function* batches(...all: ChoiceUpdate[][]): AsyncGenerator<ChoiceUpdate[]> {
  yield* all;
}

const scored = (text: string): ScoredPosition => ({
  tokenId: 7,
  text,
  bytes: [1],
  logprob: -0.5,
  top: [{ tokenId: 7, text, bytes: [1], logprob: -0.5 }],
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

/** A token of a prompt whose rank is 3, after two more probable ones. */
const scoredPrompt = (tokenId: number, text: string): ScoredPromptToken => ({
  tokenId,
  text,
  bytes: [],
  logprob: -2,
  rank: 3,
  top: [
    { tokenId: 90, text: 'Z', bytes: [], logprob: -0.5 },
    { tokenId: 91, text: 'Y', bytes: [], logprob: -1 },
  ],
});

const promptOf = (echo: string, numPromptLogprobs: number | null, numEchoedLogprobs: number | null) => ({
  prompts: [{ tokenIds: [1, 2], echo, firstToken: { tokenId: 1, text: 'p', bytes: [112] } }],
  numPromptLogprobs,
  numEchoedLogprobs,
});

describe('what is shown of the prompt', () => {
  const updates = () =>
    batches(
      [update({ promptLogprobs: [scoredPrompt(2, 'q')] })],
      [update({ text: 'a', tokenIds: [7], logprobs: [scored('a')], numTokens: 1 })],
      [update({ tokenIds: [8], numTokens: 2, finish: stop })],
    );
  const wire = {
    '2': { logprob: -2, rank: 3, decoded_token: 'q' },
    '90': { logprob: -0.5, rank: 1, decoded_token: 'Z' },
  };

  test('prompt_logprobs: beside the choices of a chat, inside those of completions', async () => {
    const fold = { ...options, prompt: promptOf('', 1, null) };
    expect(await foldWhole(updates(), { ...fold, format: chatFormat })).toMatchObject({
      choices: [{ message: { content: 'a' } }],
      prompt_logprobs: [null, wire],
    });
    const whole = (await foldWhole(updates(), { ...fold, format: completionFormat })) as Record<string, unknown>;
    expect(whole).toMatchObject({ choices: [{ text: 'a', logprobs: null, prompt_logprobs: [null, wire] }] });
    expect(whole).not.toHaveProperty('prompt_logprobs');
  });

  test('an echoed prompt is part of the text and of its log probabilities; its first token has none', async () => {
    const fold = { ...options, wantsLogprobs: true, format: completionFormat, prompt: promptOf('pq', null, 1) };
    const logprobs = {
      tokens: ['p', 'q', 'a'],
      token_logprobs: [null, -2, -0.5],
      top_logprobs: [null, { Z: -0.5, q: -2 }, { a: -0.5 }],
      text_offset: [0, 1, 2],
    };
    expect(await foldWhole(updates(), fold)).toMatchObject({ choices: [{ text: 'pqa', logprobs }] });
    expect(await chunksOf(updates(), fold)).toMatchObject([
      { choices: [{ text: 'pq', logprobs: { tokens: ['p', 'q'], token_logprobs: [null, -2] } }] },
      { choices: [{ text: 'a', logprobs: { tokens: ['a'], text_offset: [2] } }] },
      { choices: [{ text: '', finish_reason: 'stop' }] },
    ]);
  });

  test('a chat echoes after its opening', async () => {
    const chunks = await chunksOf(updates(), { prompt: promptOf('so ', null, null) });
    expect(chunks).toMatchObject([
      { choices: [{ delta: { role: 'assistant', content: '' } }] },
      { choices: [{ delta: { content: 'so ' } }] },
      { choices: [{ delta: { content: 'a' } }] },
      { choices: [{ finish_reason: 'stop' }] },
    ]);
  });

  test('ids of prompt and answer, whole and in pieces', async () => {
    const fold = { ...options, prompt: promptOf('', null, null), returnsTokenIds: true };
    expect(await foldWhole(updates(), { ...fold, format: chatFormat })).toMatchObject({
      choices: [{ token_ids: [7, 8] }],
      prompt_token_ids: [1, 2],
    });
    expect(await foldWhole(updates(), { ...fold, format: completionFormat })).toMatchObject({
      choices: [{ token_ids: [7, 8], prompt_token_ids: [1, 2] }],
    });
    expect(await chunksOf(updates(), { ...fold, format: completionFormat })).toMatchObject([
      { choices: [{ text: '', prompt_token_ids: [1, 2] }] },
      { choices: [{ text: 'a', token_ids: [7] }] },
      { choices: [{ text: '', token_ids: [8], finish_reason: 'stop' }] },
    ]);
  });

  test('tokens may be named by their ids', async () => {
    const named = { ...options, head: { ...head, tokensAsIds: true }, wantsLogprobs: true };
    expect(await foldWhole(updates(), { ...named, format: completionFormat })).toMatchObject({
      choices: [{ logprobs: { tokens: ['token_id:7'], top_logprobs: [{ 'token_id:7': -0.5 }], text_offset: [0] } }],
    });
    expect(await foldWhole(updates(), { ...named, format: chatFormat })).toMatchObject({
      choices: [{ logprobs: { content: [{ token: 'token_id:7', top_logprobs: [{ token: 'token_id:7' }] }] } }],
    });
  });

  test('the usage takes details', async () => {
    const usageDetails = (completionTokens: number) => ({ timings: { seen: completionTokens } });
    expect(await foldWhole(updates(), { ...options, format: chatFormat, usageDetails })).toMatchObject({
      usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5, timings: { seen: 2 } },
    });
  });
});
