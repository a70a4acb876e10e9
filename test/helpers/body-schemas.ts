/**
 * The schemas of request bodies, as the server's own document gives them.
 *
 * Next: `wrong-values.ts`, `mutations.ts`, which make requests of them.
 */

/** JSON Schema as plain data. */
export type Schema = Readonly<Record<string, unknown>>;

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { requestBody?: Body }>>>>;
}

interface Body {
  readonly content: { readonly 'application/json': { readonly schema: Schema } };
}

/** By path, for every POST route; null where a route takes no body. */
export async function postSchemas(get: (path: string) => Promise<Response>): Promise<Map<string, Schema | null>> {
  const { paths } = (await (await get('/openapi.json')).json()) as Document;
  return new Map(
    Object.entries(paths).flatMap(([path, { post }]) =>
      post === undefined ? [] : [[path, post.requestBody?.content['application/json'].schema ?? null]],
    ),
  );
}

/** The same for the routes that take a body. */
export async function bodySchemas(get: (path: string) => Promise<Response>): Promise<Map<string, Schema>> {
  const all = await postSchemas(get);
  return new Map([...all].flatMap(([path, schema]) => (schema === null ? [] : [[path, schema]])));
}

/** Alternatives of a schema without `null`, each with one type. */
export function alternatives(schema: Schema): readonly Schema[] {
  if (Array.isArray(schema.anyOf)) return (schema.anyOf as Schema[]).flatMap(alternatives);
  const types = Array.isArray(schema.type) ? (schema.type as string[]) : [schema.type as string | undefined];
  return types.filter((type) => type !== 'null').map((type) => ({ ...schema, type }));
}

export const propertiesOf = (schema: Schema): Readonly<Record<string, Schema>> =>
  (schema.properties ?? {}) as Record<string, Schema>;
