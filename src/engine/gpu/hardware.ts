/**
 * Whether the machine has a GPU at all, as the operating system tells it without any graphics library.
 *
 * Owns that guess, which may be wrong in one direction: true where none is usable. Next: `find-adapter.ts` (who asks).
 */
import { readdirSync } from 'node:fs';

/** Device files of GPU drivers on Linux: direct rendering, NVIDIA's own, and Windows's under WSL. */
const DEVICE_FILES = /^(nvidia\d+|dxg)$/;

/** False only where a software adapter must be all there is. */
export function mayHaveGpu(platform: string = process.platform, folder = '/dev'): boolean {
  if (platform !== 'linux') return true;
  return namesIn(folder).some((name) => DEVICE_FILES.test(name)) || namesIn(`${folder}/dri`).length > 0;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
