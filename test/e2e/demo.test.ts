/**
 * What the bundled model says, and that the server says it serves it. Meaning is asserted, not wording.
 *
 * The model is a toy that answers a closed set of things; `models/demo/README.md` says which and how surely. Tool calls go
 * through the rendered template as a completion prompt.
 */
import { describe, expect } from 'bun:test';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type OpenAI from 'openai';
import { ChatTemplate } from '../../src/text/chat-template.ts';
import { Tokenizer } from '../../src/text/tokenizer.ts';
import { serverSuite } from './suite.ts';

const folder = fileURLToPath(new URL('../../models/demo', import.meta.url));
const isThere = existsSync(`${folder}/config.json`);
const suite = serverSuite({}, isThere ? null : 'models/demo is not there');
const model = 'wgslm-demo';

type Message = OpenAI.ChatCompletionMessageParam;

const user = (content: string): Message => ({ role: 'user', content });
const assistant = (content: string): Message => ({ role: 'assistant', content });

async function answerTo(client: OpenAI, messages: Message[]): Promise<string> {
  const answer = await client.chat.completions.create({ model, messages, temperature: 0, max_tokens: 96 });
  expect(answer.choices[0]?.finish_reason).toBe('stop');
  return answer.choices[0]?.message.content ?? '';
}

/** Question, and what a right answer contains. */
const QUESTIONS: Readonly<Record<string, readonly (readonly [string, RegExp])[]>> = {
  'greets and says what it is': [
    ['Hello!', /hello|hi\b/i],
    ['Who are you?', /wgslm demo model/],
  ],
  'knows capitals': [
    ['What is the capital of France?', /Paris/],
    ['What is the capital of Japan?', /Tokyo/],
  ],
  'knows opposites and colours': [
    ['What is the opposite of hot?', /cold/],
    ['What colour is the sky?', /blue/],
  ],
  'knows days and months': [
    ['What day comes after Monday?', /Tuesday/],
    ['What month comes after March?', /April/],
  ],
  'adds and subtracts': [
    ['What is 17 + 25?', /\b42\b/],
    ['What is 50 - 8?', /\b42\b/],
  ],
  'counts up and down': [
    ['Count from 1 to 5.', /1, 2, 3, 4, 5\.?$/],
    ['Count down from 5 to 1.', /5, 4, 3, 2, 1\.?$/],
  ],
  'spells and reverses words': [
    ['Spell the word cat.', /c-a-t/],
    ['Reverse the word stone.', /enots/],
  ],
};

describe('the bundled model', () => {
  suite.test('one log line says that it is served', async (server) => {
    const lines = server.stderrLines.filter((line) => line.includes('bundled'));
    expect(lines.length).toBe(1);
    expect(server.model).toBe(model);
  });

  for (const [skill, questions] of Object.entries(QUESTIONS)) {
    suite.test(skill, async (_, client) => {
      const answers = await Promise.all(questions.map(([question]) => answerTo(client, [user(question)])));
      questions.forEach(([question, right], i) => {
        const answer = answers[i] ?? '';
        expect({ question, answer, isRight: right.test(answer) }).toEqual({ question, answer, isRight: true });
      });
    });
  }

  suite.test('remembers a name', async (_, client) => {
    const introduction = user('My name is Anna.');
    const welcome = await answerTo(client, [introduction]);
    const answer = await answerTo(client, [introduction, assistant(welcome), user('What is my name?')]);
    expect(answer).toContain('Anna');
  });

  suite.test('answers as JSON', async (_, client) => {
    const question = 'Answer as JSON with keys name and age: Anna is 12 years old.';
    expect(JSON.parse(await answerTo(client, [user(question)]))).toEqual({ name: 'Anna', age: 12 });
  });

  suite.test('many conversations at once are not mixed up', async (_, client) => {
    const countries = ['France', 'Italy', 'Japan', 'Spain', 'Germany', 'Poland', 'Egypt', 'Greece'];
    const ask = (country: string) => answerTo(client, [user(`What is the capital of ${country}?`)]);
    const together = await Promise.all(countries.map(ask));
    countries.forEach((country, i) => {
      expect(together[i]).toContain(country);
    });
  });
});

describe('tools through a completion prompt', () => {
  const weather = {
    type: 'function',
    function: {
      name: 'get_weather',
      description: 'Get the weather for a city.',
      parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
    },
  };
  const question = user('What is the weather in Paris?');

  async function complete(client: OpenAI, messages: readonly object[]): Promise<string> {
    const tokenizer = await Tokenizer.load(folder);
    const template = await ChatTemplate.load(folder, tokenizer.namedTokens, null);
    const prompt = template.render({
      messages: messages as readonly Readonly<Record<string, unknown>>[],
      tools: [weather],
      documents: null,
      addGenerationPrompt: true,
      continueFinalMessage: false,
      variables: {},
    });
    const answer = await client.completions.create({ model, prompt, temperature: 0, max_tokens: 96 });
    return answer.choices[0]?.text ?? '';
  }

  suite.test('the tool is called with the right argument', async (_, client) => {
    const text = await complete(client, [question]);
    const call = /^<tool_call>\n(.*)\n<\/tool_call>$/s.exec(text.trim())?.[1];
    expect(JSON.parse(call ?? text)).toEqual({ name: 'get_weather', arguments: { city: 'Paris' } });
  });

  suite.test("the tool's answer is used in the next turn", async (_, client) => {
    const call = { type: 'function', function: { name: 'get_weather', arguments: { city: 'Paris' } } };
    const text = await complete(client, [
      question,
      { role: 'assistant', content: '', tool_calls: [call] },
      { role: 'tool', content: '{"temperature": 18, "condition": "sunny"}' },
    ]);
    expect(text).toContain('18');
    expect(text).toContain('sunny');
  });
});
