/**
 * `GET /openapi.json` and `GET /docs`. The page needs nothing but this server.
 */
import type { AppDeps } from '../deps.ts';
import { jsonResponse } from '../responses.ts';
import { openapiDocument } from './document.ts';
// Bun would make a bundle of it; the attribute asks for the text.
import pageModule from './page.html' with { type: 'text' };

const page = pageModule as unknown as string;

export function openapiJson({ settings }: AppDeps, hasJobs: boolean): Response {
  return jsonResponse(
    openapiDocument({
      version: settings.version,
      rootPath: settings.http?.rootPath ?? '',
      hasKeys: settings.apiKeys.length > 0,
      hasJobs,
    }),
  );
}

export function docsPage(): Response {
  return new Response(page, {
    headers: {
      'content-type': 'text/html; charset=utf-8',
      // Nothing from elsewhere is ever loaded, even if a document brought links.
      'content-security-policy': "default-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'",
    },
  });
}
