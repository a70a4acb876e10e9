/**
 * The contents of messages as a chat template takes them: one text, or a list of parts.
 *
 * Everything that is not text is refused here with its path. Next: `prompt.ts`, which renders; `../text/content-form.ts`.
 */
import type { ContentForm } from '../text/content-form.ts';
import { badRequest } from './errors.ts';
import type { WireMessage } from './schema/messages.ts';

type WireContent = WireMessage['content'];
type WirePart = Exclude<WireContent, string | null | undefined>[number];

/** A part as templates know it. */
export interface TextPart {
  readonly type: 'text';
  readonly text: string;
}

/** Kinds of parts that are known not to be text: the client is told which one it was. */
const otherKinds: ReadonlySet<string> = new Set([
  ...['image', 'image_url', 'image_embeds', 'input_image', 'video', 'video_url'],
  ...['audio', 'audio_url', 'input_audio', 'file', 'input_file'],
]);

/** The content in the template's form. Nothing (an assistant turn that only calls tools) is empty. Throws: ApiError 400. */
export function templateContent(content: WireContent, field: string, form: ContentForm): string | readonly TextPart[] {
  if (content === null || content === undefined) return form === 'parts' ? [] : '';
  if (typeof content === 'string') return form === 'parts' ? [{ type: 'text', text: content }] : content;
  const texts = content.map((part, index) => partText(part, `${field}[${index}]`));
  return form === 'text' ? texts.join('\n') : texts.map((text) => ({ type: 'text', text }));
}

/** The content as one text: parts are joined by line breaks. Throws: ApiError 400. */
export function contentText(content: WireContent, field: string): string {
  const text = templateContent(content, field, 'text');
  return typeof text === 'string' ? text : '';
}

function partText(part: WirePart, field: string): string {
  const text = part.type === 'refusal' ? part.refusal : part.type === 'text' ? part.text : undefined;
  if (typeof text === 'string') return text;
  const what = otherKinds.has(part.type)
    ? `\`${field}\` is of type ${part.type}, which this model cannot take: it`
    : `\`${field}\``;
  throw badRequest(`${what} must be a part of type text with its text.`, field);
}
