/**
 * Renders a conversation with the checkpoint's chat template.
 *
 * Owns where a template comes from and what every template is given. Parsed templates are kept. A template is code of the model's
 * author: a request may pass variables to it, and a template only where the server's owner allows it. Next: `content-form.ts`;
 * `serving/prompt.ts`, which calls it.
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Template } from '@huggingface/jinja';
import { type ContentForm, contentForm } from './content-form.ts';
import type { NamedTokens } from './tokenizer.ts';

/** A conversation cannot be rendered; the message is fit for the client. */
export class ChatTemplateError extends Error {
  override readonly name = 'ChatTemplateError';
}

/** What a template sees. */
export interface TemplateInput {
  readonly messages: readonly Readonly<Record<string, unknown>>[];
  readonly tools: readonly unknown[] | null;
  readonly documents: readonly unknown[] | null;
  readonly addGenerationPrompt: boolean;
  /** End inside the last message, so that the model goes on with it. */
  readonly continueFinalMessage: boolean;
  /** More variables, such as `enable_thinking`. They never replace the ones above. */
  readonly variables: Readonly<Record<string, unknown>>;
}

const templateFile = 'chat_template.jinja';
const maxKnownForms = 32;

/** The templates of one model. */
export class ChatTemplate {
  private readonly parsed = new Map<string, Template>();
  private readonly forms = new Map<string, ContentForm>();

  /** `sources`: template text by name; empty when the model has none. */
  constructor(
    private readonly sources: ReadonlyMap<string, string>,
    private readonly namedTokens: NamedTokens,
  ) {}

  /**
   * Finds the template: `custom` (Jinja text or a path to it), else the folder's `chat_template.jinja`, else its `tokenizer_config.json`.
   * Throws: Error when `custom` is a path to nothing.
   */
  static async load(folder: string, namedTokens: NamedTokens, custom: string | null): Promise<ChatTemplate> {
    const sources = custom !== null ? new Map([['default', await customSource(custom)]]) : await folderSources(folder);
    return new ChatTemplate(sources, namedTokens);
  }

  get isPresent(): boolean {
    return this.sources.size > 0;
  }

  /** Whether the template's text contains a word; tells which roles it knows. */
  mentions(word: string): boolean {
    return [...this.sources.values()].some((source) => source.includes(word));
  }

  /** The same model's template replaced by `source`. */
  replacedBy(source: string): ChatTemplate {
    return new ChatTemplate(new Map([['default', source]]), this.namedTokens);
  }

  /** What contents the template takes in messages of a role. */
  contentForm(role: string): ContentForm {
    const known = this.forms.get(role);
    if (known !== undefined) return known;
    const rest = { tools: null, documents: null, addGenerationPrompt: false, continueFinalMessage: false };
    const form = contentForm((messages) => this.render({ messages, ...rest, variables: {} }), role);
    // Clients name roles as they like: only so many are kept.
    if (this.forms.size < maxKnownForms) this.forms.set(role, form);
    return form;
  }

  /** The prompt's text. Throws: ChatTemplateError when there is no template or it refuses the conversation. */
  render(input: TemplateInput): string {
    const template = this.select(input.tools !== null);
    let text: string;
    try {
      text = template.render({
        ...input.variables,
        ...this.namedTokens,
        messages: input.messages,
        // Templates may ask `tools is none`, which is not the same as undefined.
        tools: input.tools,
        documents: input.documents,
        add_generation_prompt: input.addGenerationPrompt,
      });
    } catch (error) {
      throw new ChatTemplateError(`The chat template cannot render these messages: ${reason(error)}`);
    }
    return input.continueFinalMessage ? cutAfterLastMessage(text, input.messages) : text;
  }

  private select(hasTools: boolean): Template {
    const name = hasTools && this.sources.has('tool_use') ? 'tool_use' : 'default';
    const source = this.sources.get(name) ?? this.sources.values().next().value;
    if (source === undefined) {
      throw new ChatTemplateError(
        'This model has no chat template. Use /v1/completions, or start the server with CUSTOM_CHAT_TEMPLATE.',
      );
    }
    const known = this.parsed.get(source);
    if (known !== undefined) return known;
    let template: Template;
    try {
      template = new Template(source);
    } catch (error) {
      throw new ChatTemplateError(`The model's chat template cannot be read: ${reason(error)}`);
    }
    this.parsed.set(source, template);
    return template;
  }
}

/** Drops what the template wrote after the last message's text. Trailing space of that text is kept only where the template kept it. */
function cutAfterLastMessage(text: string, messages: TemplateInput['messages']): string {
  const content = lastText(messages.at(-1)?.content);
  if (content.trim() === '') {
    throw new ChatTemplateError('continue_final_message needs a last message with text.');
  }
  const start = text.lastIndexOf(content.trim());
  if (start < 0) {
    throw new ChatTemplateError('continue_final_message: the chat template changes the text of the last message.');
  }
  const untilSpace = content.trimStart();
  return text.slice(0, start + (text.startsWith(untilSpace, start) ? untilSpace : content.trim()).length);
}

/** A content that is a list of parts ends with its last text. */
function lastText(content: unknown): string {
  const last: unknown = Array.isArray(content) ? (content.at(-1) as { text?: unknown } | undefined)?.text : content;
  return typeof last === 'string' ? last : '';
}

async function customSource(custom: string): Promise<string> {
  if (/[{}\n]/.test(custom)) return custom;
  try {
    return await readFile(custom, 'utf8');
  } catch {
    throw new Error(`The chat template "${custom}" is neither Jinja text nor a file that can be read.`);
  }
}

async function folderSources(folder: string): Promise<Map<string, string>> {
  const path = join(folder, templateFile);
  if (await exists(path)) return new Map([['default', await readFile(path, 'utf8')]]);
  for (const name of ['tokenizer_config.json', 'chat_template.json']) {
    const file = join(folder, name);
    if (!(await exists(file))) continue;
    const sources = sourcesOf((JSON.parse(await readFile(file, 'utf8')) as { chat_template?: unknown }).chat_template);
    if (sources.size > 0) return sources;
  }
  return new Map();
}

/** A `chat_template` entry is a text or a list of named texts. */
function sourcesOf(entry: unknown): Map<string, string> {
  if (typeof entry === 'string') return new Map([['default', entry]]);
  const sources = new Map<string, string>();
  if (!Array.isArray(entry)) return sources;
  for (const item of entry as { name?: unknown; template?: unknown }[]) {
    if (typeof item.name === 'string' && typeof item.template === 'string') sources.set(item.name, item.template);
  }
  return sources;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    (entry) => entry.isFile(),
    () => false,
  );
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
