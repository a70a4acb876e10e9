/** A child that connects and sends bytes that are no frames. */
import { connectToPeer } from '../../../src/runtime/unix-socket.ts';

const socket = await connectToPeer(process.argv[2] ?? '');
socket.write(new Uint8Array(64).fill(255));
