/**
 * Tells whether a chat template takes a message's content as a text, as a list of parts, or as either, by trying it.
 *
 * Templates treat roles differently (parts for users, plain text for systems is common), so that each role is tried by itself. Knows
 * no template engine. Next: `chat-template.ts`, which asks once per template and role.
 */

/** What a template makes of `message.content`. */
export type ContentForm = 'text' | 'parts' | 'either';

type Messages = readonly Readonly<Record<string, unknown>>[];

/** A word that no template has. */
const probe = 'wgslm-probe-7f3a';

/** `render` makes a template's text of messages, or throws. A role that cannot be tried takes texts. */
export function contentForm(render: (messages: Messages) => string, role: string): ContentForm {
  const asParts = (text: string): object[] => [{ type: 'text', text }];
  const isShown = (content: unknown): boolean =>
    // The other roles' contents may have to be of one form as well.
    ['', asParts('')].some((filler) => {
      try {
        const text = render(conversation(role, content, filler));
        // A list that was printed as it stands has its texts in quotes.
        return text.includes(probe) && !text.includes(`"${probe}"`) && !text.includes(`'${probe}'`);
      } catch {
        return false;
      }
    });
  if (!isShown(asParts(probe))) return 'text';
  return isShown(probe) ? 'either' : 'parts';
}

/** The shortest conversation that templates accept with a message of the role at its end. */
function conversation(role: string, content: unknown, filler: unknown): Messages {
  const message = { role, content };
  const user = { role: 'user', content: filler };
  switch (role) {
    case 'user':
      return [message];
    case 'system':
    case 'developer':
      return [message, user];
    case 'tool': {
      const call = { id: 'call00001', type: 'function', function: { name: 'f', arguments: {} } };
      const caller = { role: 'assistant', content: filler, tool_calls: [call] };
      return [user, caller, { ...message, name: 'f', tool_call_id: call.id }];
    }
    default:
      return [user, message];
  }
}
