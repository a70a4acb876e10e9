/**
 * HAProxy in front of some replicas, in a process of its own, without retries: what it cannot deliver, the client sees.
 *
 * Owns its configuration file, its process and its own counts. Knows nothing of the servers but their ports. Next: `run.ts`.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface Replica {
  readonly name: string;
  readonly port: number;
}

/** What the balancer has counted for one replica. */
export interface ReplicaCounts {
  readonly requests: number;
  /** Connections that failed, and answers that broke off. */
  readonly errors: number;
  readonly status5xx: number;
  readonly retries: number;
}

export interface Balancer {
  readonly url: string;
  /** Resolves when a replica's check has failed, now or before. */
  isDown(name: string): Promise<void>;
  counts(name: string): Promise<ReplicaCounts>;
  stop(): Promise<void>;
}

/** The version, or null where it is not installed. */
export function haproxyVersion(): string | null {
  const { stdout, status } = spawnSync('haproxy', ['-v'], { encoding: 'utf8' });
  return status === 0 ? (/version (\S+)/.exec(stdout)?.[1] ?? 'unknown') : null;
}

/** Starts it and waits until it listens. Throws: Error when it does not start. */
export async function startBalancer(replicas: readonly Replica[]): Promise<Balancer> {
  const folder = mkdtempSync(join(tmpdir(), 'wgslm-haproxy-'));
  const port = await freePort();
  const socketPath = join(folder, 'stats');
  const configPath = join(folder, 'haproxy.cfg');
  writeFileSync(configPath, configuration(port, socketPath, replicas));
  const child = spawn('haproxy', ['-db', '-f', configPath], { stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'close');
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      for (const look of [...waiting]) look();
    });
  }
  const stop = async (): Promise<void> => {
    if (child.exitCode === null) child.kill('SIGTERM');
    await exited;
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', () => child.kill('SIGKILL'));
  while (!(await accepts(port))) {
    if (child.exitCode !== null) throw new Error(`HAProxy did not start:\n${lines.join('\n')}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return {
    url: `http://127.0.0.1:${port}`,
    isDown: (name) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (!lines.some((line) => line.includes(`Server llm/${name} is DOWN`))) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    counts: async (name) => countsOf(await command(socketPath, 'show stat'), name),
    stop,
  };
}

/** As `docs/operations.md` has it, but for the retries. */
function configuration(port: number, socketPath: string, replicas: readonly Replica[]): string {
  return `global
    stats socket ${socketPath}
defaults
    mode http
    timeout connect 5s
    timeout client 10m
    timeout server 10m
    timeout queue 30s
    retries 0
frontend in
    bind 127.0.0.1:${port}
    default_backend llm
backend llm
    balance leastconn
    option httpchk GET /health
    default-server check inter 500ms fall 2 rise 1 maxconn 32
${replicas.map((replica) => `    server ${replica.name} 127.0.0.1:${replica.port}`).join('\n')}
`;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** What the runtime socket answers. */
async function command(socketPath: string, text: string): Promise<string> {
  const socket = connect(socketPath);
  let answer = '';
  socket.on('data', (bytes: Buffer) => {
    answer += bytes.toString();
  });
  socket.write(`${text}\n`);
  await once(socket, 'close');
  return answer;
}

/** Throws: Error when there is no such row. */
function countsOf(csv: string, name: string): ReplicaCounts {
  const [head = '', ...rows] = csv.replace(/^# /, '').trim().split('\n');
  const fields = head.split(',');
  const row = rows.find((each) => each.startsWith(`llm,${name},`))?.split(',');
  if (row === undefined) throw new Error(`HAProxy knows no ${name}`);
  const value = (field: string): number => Number(row[fields.indexOf(field)] ?? 0);
  return {
    requests: value('stot'),
    errors: value('econ') + value('eresp'),
    status5xx: value('hrsp_5xx'),
    retries: value('wretr') + value('wredis'),
  };
}
