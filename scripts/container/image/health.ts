/**
 * The image's health check: exit code 0 when the server in this container takes requests, else 1.
 *
 * It knows the port from the same variables as the server, not from flags. Orchestrators ask over HTTP themselves and do not need it.
 */
import type { Environment } from './baked-model.ts';

const TIMEOUT_MS = 4000;

/** Where to ask. Probes on a port of their own speak plain HTTP always. */
export function healthUrl(env: Environment): string {
  const probePort = env.PORT_HEALTH?.trim();
  if (probePort) return `http://127.0.0.1:${probePort}/health`;
  const scheme = env.SSL_CERTFILE?.trim() ? 'https' : 'http';
  return `${scheme}://127.0.0.1:${env.PORT?.trim() || '8000'}/health`;
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    // The certificate is for another name than 127.0.0.1.
    const answer = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS), tls: { rejectUnauthorized: false } });
    return answer.ok;
  } catch {
    return false;
  }
}

if (import.meta.main) process.exit((await isHealthy(healthUrl(process.env))) ? 0 : 1);
