import { describe, expect, test } from 'bun:test';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ChatTemplate, ChatTemplateError, type TemplateInput } from '../../../src/text/chat-template.ts';
import { chatMlTemplate, writeTestModel } from '../../helpers/test-tokenizer.ts';

const input = (overrides: Partial<TemplateInput> = {}): TemplateInput => ({
  messages: [{ role: 'user', content: 'hi' }],
  tools: null,
  documents: null,
  addGenerationPrompt: true,
  continueFinalMessage: false,
  variables: {},
  ...overrides,
});

const of = (source: string): ChatTemplate =>
  new ChatTemplate(new Map([['default', source]]), { bos_token: '<s>', eos_token: '</s>' });

describe('chat template', () => {
  test('renders ChatML', () => {
    expect(of(chatMlTemplate).render(input())).toBe('<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n');
    expect(of(chatMlTemplate).render(input({ addGenerationPrompt: false }))).toBe('<|im_start|>user\nhi<|im_end|>\n');
  });

  test('gives the special tokens, and tools and documents as none', () => {
    const template = of(
      '{{ bos_token }}|{{ eos_token }}|{{ tools is none }}|{{ documents is none }}|{{ unk_token is defined }}',
    );
    expect(template.render(input())).toBe('<s>|</s>|true|true|false');
  });

  test('passes variables, which cannot replace the conversation', () => {
    const template = of('{{ messages[0].content }} {{ enable_thinking }}');
    expect(template.render(input({ variables: { enable_thinking: false, messages: [] } }))).toBe('hi false');
  });

  test('turns errors of the template into typed ones', () => {
    expect(() => of("{{ raise_exception('roles must alternate') }}").render(input())).toThrow(ChatTemplateError);
    expect(() => of("{{ raise_exception('roles must alternate') }}").render(input())).toThrow('roles must alternate');
    expect(() => of('{% for %}').render(input())).toThrow(ChatTemplateError);
    expect(() => new ChatTemplate(new Map(), {}).render(input())).toThrow('no chat template');
  });

  test('continues the last message', () => {
    const messages = [
      { role: 'user', content: 'count' },
      { role: 'assistant', content: 'one, two,' },
    ];
    const options = { messages, addGenerationPrompt: false, continueFinalMessage: true };
    expect(of(chatMlTemplate).render(input(options))).toBe(
      '<|im_start|>user\ncount<|im_end|>\n<|im_start|>assistant\none, two,',
    );
    const spaced = [{ role: 'assistant', content: ' a ' }];
    expect(of(chatMlTemplate).render(input({ ...options, messages: spaced }))).toBe('<|im_start|>assistant\n a ');
    const trimming = of('{% for m in messages %}[{{ m.content | trim }}]{% endfor %}');
    expect(trimming.render(input({ ...options, messages: spaced }))).toBe('[a');
    const nothing = [{ role: 'assistant', content: null }];
    expect(() => of(chatMlTemplate).render(input({ ...options, messages: nothing }))).toThrow(ChatTemplateError);
  });

  test('is found in the order: setting, chat_template.jinja, tokenizer_config.json', async () => {
    const folder = await writeTestModel();
    const render = async (custom: string | null) => (await ChatTemplate.load(folder, {}, custom)).render(input());
    expect(await render(null)).toContain('<|im_start|>user');
    await writeFile(join(folder, 'chat_template.jinja'), 'file');
    expect(await render(null)).toBe('file');
    expect(await render('{{ "text" }}')).toBe('text');
    expect(await render(join(folder, 'chat_template.jinja'))).toBe('file');
    await expect(render('/nonexistent/file.jinja')).rejects.toThrow('neither Jinja text nor a file');
    await rm(folder, { recursive: true });
  });

  test('takes named templates and knows when there is none', async () => {
    const named = [
      { name: 'default', template: 'plain' },
      { name: 'tool_use', template: 'tools' },
    ];
    const folder = await writeTestModel({ 'tokenizer_config.json': { chat_template: named } });
    const template = await ChatTemplate.load(folder, {}, null);
    expect(template.render(input())).toBe('plain');
    expect(template.render(input({ tools: [{}] }))).toBe('tools');
    await writeFile(join(folder, 'tokenizer_config.json'), '{}');
    expect((await ChatTemplate.load(folder, {}, null)).isPresent).toBe(false);
    await rm(folder, { recursive: true });
  });
});
