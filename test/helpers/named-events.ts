/** Reads event streams whose frames carry a name. */

/** Payloads of a stream; each frame's name must be its payload's type. */
export function namedEventsOf(text: string): Record<string, unknown>[] {
  const frames = text.split('\n\n').filter((frame) => frame !== '' && !frame.startsWith(':'));
  return frames.map((frame) => {
    const match = /^event: (\S+)\ndata: (.*)$/.exec(frame);
    if (match === null) throw new Error(`Not a named event: ${frame}`);
    const payload = JSON.parse(match[2] ?? '') as Record<string, unknown>;
    if (payload.type !== match[1]) throw new Error(`The event ${match[1]} carries a payload of type ${payload.type}.`);
    return payload;
  });
}
