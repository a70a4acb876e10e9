/**
 * The rows of `POST /v1/chat/completions`. Next: `shared.ts`, `completions.ts`.
 */
import { testModel } from '../test-app.ts';
import { acts, differs, type ParameterCase, param, promptText, said } from './case.ts';
import { addsSpecialTokens, sharedCases, tokensAsIds } from './shared.ts';

const hi = { role: 'user', content: 'hi' };
const partly = { role: 'assistant', content: 'once' };

/** A model whose template shows this expression. */
const shows = (expression: string) => ({ model: testModel({ template: `<{{ ${expression} }}>` }) });
const first = 'messages[0]';

/** A field of the first message, by what a template makes of it. */
const inMessage = (field: string, value: unknown, expression: string, gives: string): ParameterCase =>
  differs(`messages.${field}`, { messages: [{ ...hi, [field]: value }] }, { messages: [hi] }, promptText, gives, {
    overrides: shows(expression),
  });

const call = { id: 'c1', type: 'function', function: { name: 'f', arguments: '{"x":7}' } };
const calling = (tool: unknown) => ({ messages: [{ role: 'assistant', tool_calls: [tool] }] });

/** A field of a call in the first message, against a call that has another value there. */
const inCall = (field: string, other: unknown, expression: string, gives: string): ParameterCase =>
  differs(`messages.tool_calls.${field}`, calling(call), calling(other), promptText, gives, {
    overrides: shows(`messages[0].tool_calls[0].${expression}`),
  });

export const chatCases: readonly ParameterCase[] = [
  ...sharedCases,
  addsSpecialTokens(true),
  tokensAsIds(true),
  acts('max_completion_tokens', 4, param('maxTokens'), 4, { needs: { max_tokens: 9 } }),
  acts('logprobs', true, param('numLogprobs'), 0),
  acts('top_logprobs', 2, param('numLogprobs'), 2, { needs: { logprobs: true } }),
  acts('echo', true, said, 'oncehello world', { needs: { messages: [partly], continue_final_message: true } }),
  acts('add_generation_prompt', false, promptText, '<|im_start|>user\nhi<|im_end|>\n'),
  acts('continue_final_message', true, promptText, '<|im_start|>assistant\nonce', { needs: { messages: [partly] } }),
  acts('chat_template_kwargs', { tone: 'warm' }, promptText, '<warm>', { overrides: shows('tone') }),
  acts('documents', [{ text: 'D' }], promptText, '<D>', { overrides: shows('documents and documents[0].text') }),
  acts('reasoning_effort', 'high', promptText, '<high>', { overrides: shows('reasoning_effort') }),
  acts('chat_template', 'T{{ messages[0].content }}', promptText, 'Thi', {
    overrides: { settings: { trustRequestChatTemplate: true } },
  }),
  differs('messages', { messages: [hi, partly] }, { messages: [hi] }, promptText, '<2>', {
    overrides: shows('messages | length'),
  }),
  inMessage('role', 'tool', `${first}.role`, '<tool>'),
  inMessage('content', 'there', `${first}.content`, '<there>'),
  differs(
    'messages.content.type',
    { messages: [{ role: 'user', content: [{ type: 'text', text: 'part' }] }] },
    { messages: [hi] },
    promptText,
    '<part>',
    { overrides: shows(`${first}.content`) },
  ),
  inMessage('name', 'Ann', `${first}.name`, '<Ann>'),
  inMessage('reasoning', 'because', `${first}.reasoning_content`, '<because>'),
  inMessage('reasoning_content', 'because', `${first}.reasoning`, '<because>'),
  inMessage('tool_call_id', 'c1', `${first}.tool_call_id`, '<c1>'),
  inMessage('tool_calls', [call], `(${first}.tool_calls or []) | length`, '<1>'),
  inCall('id', { ...call, id: null }, 'id', '<c1>'),
  inCall('type', { ...call, type: 'custom' }, 'type', '<function>'),
  inCall('function', { ...call, function: { name: 'g' } }, 'function.name', '<f>'),
  inCall('function.name', { ...call, function: { name: 'g' } }, 'function.name', '<f>'),
  inCall('function.arguments', { ...call, function: { name: 'f' } }, 'function.arguments.x', '<7>'),
];
