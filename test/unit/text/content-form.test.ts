import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { ChatTemplate } from '../../../src/text/chat-template.ts';
import type { ContentForm } from '../../../src/text/content-form.ts';

const templateOf = (source: string): ChatTemplate => new ChatTemplate(new Map([['default', source]]), {});
const formOf = (body: string): ContentForm =>
  templateOf(`{% for message in messages %}${body}{% endfor %}`).contentForm('user');

const loop = (what: string): string => `{% for part in ${what} %}{{ part.text }}{% endfor %}`;

const cases: readonly (readonly [string, ContentForm])[] = [
  ['{{ message.content }}', 'text'],
  ["{{ '[INST] ' + message['content'] | trim }}", 'text'],
  [loop('message.content'), 'parts'],
  [`{% set body = message['content'] %}${loop('body')}`, 'parts'],
  [`{% if message.content is string %}{{ message.content }}{% else %}${loop('message.content')}{% endif %}`, 'either'],
  [`{% set c = message.content %}{% if c is not string %}${loop('c')}{% else %}{{ c }}{% endif %}`, 'either'],
  // The loop is over something else.
  [`{{ message.content }}{% if message.calls %}${loop('message.content')}{% endif %}`, 'text'],
  ["{{ raise_exception('no users here') }}", 'text'],
];

for (const [body, want] of cases) {
  test(`${want}: ${body.slice(0, 80)}`, () => {
    expect(formOf(body)).toBe(want);
  });
}

test('each role by itself', () => {
  const either = `{% if m.content is string %}{{ m.content }}{% else %}${loop('m.content')}{% endif %}`;
  const template = templateOf(
    `{% for m in messages %}{% if m.role == 'system' %}{{ m.content | trim }}{% elif m.role == 'tool' %}${loop('m.content')}{% else %}${either}{% endif %}{% endfor %}`,
  );
  const roles = ['system', 'user', 'assistant', 'tool'] as const;
  expect(roles.map((role) => template.contentForm(role))).toEqual(['text', 'either', 'either', 'parts']);
});

test('a model without a template takes texts', () => {
  expect(new ChatTemplate(new Map(), {}).contentForm('user')).toBe('text');
});

const folder = `${process.env.WGSLM_CONFORMANCE ?? '../shared/conformance'}/chat-templates`;
const known: readonly (readonly [string, string, ContentForm])[] = [
  ['vllm_templates/tool_chat_template_mistral.jinja', 'user', 'text'],
  // It loops over every content, which is no list of characters to the template engine.
  ['vllm_templates/tool_chat_template_llama3.2_json.jinja', 'user', 'parts'],
  ['vllm_templates/tool_chat_template_llama3.2_json.jinja', 'system', 'parts'],
  ['vllm_templates/tool_chat_template_gemma3_pythonic.jinja', 'user', 'either'],
  ['vllm_templates/template_chatml.jinja', 'user', 'text'],
];
const sources = known.map(([name]) => {
  try {
    return readFileSync(`${folder}/${name}`, 'utf8');
  } catch {
    return null;
  }
});
for (const [i, [name, role, want]] of known.entries()) {
  test.skipIf(sources[i] === null)(`${name} takes ${want} of ${role}`, () => {
    expect(templateOf(sources[i] ?? '').contentForm(role)).toBe(want);
  });
}
