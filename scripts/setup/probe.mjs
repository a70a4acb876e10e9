/**
 * Prints the WebGPU adapter that one binding finds, as one line of JSON: `{"found": {...}}` or `{"found": null}`.
 *
 * Runs as a child process of `adapter.mjs`, under Bun: a driver that crashes must not take set-up with it.
 * Usage: `bun scripts/setup/probe.mjs bun-webgpu|webgpu`.
 */

/** @returns {Promise<GPU>} */
async function open(/** @type {string | undefined} */ binding) {
  if (binding === 'webgpu') {
    const { create } = await import('webgpu');
    return create([]);
  }
  const { setupGlobals } = await import('bun-webgpu');
  await setupGlobals();
  return navigator.gpu;
}

const gpu = await open(process.argv[2]);
const adapter = await gpu.requestAdapter();
const info = adapter?.info;
const found = info === undefined ? null : { vendor: info.vendor, device: info.device, description: info.description };
process.stdout.write(`${JSON.stringify({ found })}\n`);
// Named after the last await, so that the instance cannot be collected while the adapter is asked for.
process.exit(gpu === undefined ? 1 : 0);
