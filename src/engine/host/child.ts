/**
 * Entry of the engine's process: connect, load the engine's module, serve, exit.
 *
 * Owns what is about the process itself: its argument (the socket's path), its signals and its exit. Effects at the top level.
 * Next: `server.ts` (everything else).
 */
import { connectToPeer } from '../../runtime/unix-socket.ts';
import { EngineError } from '../types.ts';
import { asEngineError } from './engine-loop.ts';
import type { CreateLocalEngine } from './local-engine-contract.ts';
import { EngineExit, serveEngine } from './server.ts';

/** The terminal and service managers signal whole groups, but the front alone decides when the engine may go: it drains first. */
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

const path = process.argv[2];
if (path === undefined) throw new Error("usage: child.ts <path of the front's socket>");

/** Imported only after the init frame, so that a broken module is reported as a failed load and not as a crash. */
const createEngine: CreateLocalEngine = async (init, onProgress) => {
  const specifier = process.env.WGSLM_ENGINE_MODULE ?? new URL('../local-engine.ts', import.meta.url).href;
  try {
    const engineModule = (await import(specifier)) as { createLocalEngine: CreateLocalEngine };
    return await engineModule.createLocalEngine(init, onProgress);
  } catch (error) {
    if (!(error instanceof EngineError)) console.error(error); // a bug: its stack is wanted
    throw asEngineError(error, 'load-failed');
  }
};

const code = await serveEngine(await connectToPeer(path), createEngine);
// Nobody reads an orphan's exit code, and orderly exits run native clean-up that may hang with work on the GPU.
if (code === EngineExit.orphaned) process.kill(process.pid, 'SIGKILL');
process.exit(code);
