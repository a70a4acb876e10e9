/** A server process for a test to kill: starts an engine, prints the child's process id when ready, and stays. */
import { startFake } from './fixtures.ts';

const engine = startFake();
await engine.ready();
console.log(engine.pid);
