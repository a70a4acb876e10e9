/**
 * How much memory the adapter can give: WebGPU does not say, so the operating system is asked, and a setting overrides.
 *
 * Owns the guesses and their order. What is allocated afterwards is still tried and shrunk on failure. Next: `memory-plan.ts` of the engine.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { freemem, totalmem } from 'node:os';
import type { AdapterInfo } from './binding.ts';

/** A software adapter shares the host's memory with everything else, so it is given only part of what is free. */
const SOFTWARE_SHARE = 0.5;
/** Unified memory (Apple, integrated GPUs): drivers let a process have about this much of it. */
const UNIFIED_SHARE = 0.7;

/** Bytes that weights, cache and activations may take together, and where the figure comes from. */
export function adapterMemory(adapter: AdapterInfo, overrideGib: number | null): { bytes: number; source: string } {
  if (overrideGib !== null) return { bytes: overrideGib * 2 ** 30, source: 'WGSLM_GPU_MEMORY_GIB' };
  if (adapter.isSoftware) return { bytes: freemem() * SOFTWARE_SHARE, source: 'half of the free host memory' };
  const vendor = `${adapter.vendor} ${adapter.description}`.toLowerCase();
  if (vendor.includes('nvidia')) {
    const bytes = nvidiaMemory();
    if (bytes) return { bytes, source: 'nvidia-smi' };
  }
  const amd = amdMemory();
  if (vendor.match(/amd|radv|radeon/) && amd) return { bytes: amd, source: 'the amdgpu driver' };
  return { bytes: totalmem() * UNIFIED_SHARE, source: 'a share of the host memory' };
}

function nvidiaMemory(): number | null {
  try {
    const text = execFileSync('nvidia-smi', ['--query-gpu=memory.total', '--format=csv,noheader,nounits'], {
      encoding: 'utf8',
      timeout: 5000,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    // The default adapter is the first; with several unlike cards the smallest is the safe answer.
    const sizes = text
      .split('\n')
      .map(Number)
      .filter((mib) => mib > 0);
    return sizes.length > 0 ? Math.min(...sizes) * 2 ** 20 : null;
  } catch {
    return null;
  }
}

function amdMemory(): number | null {
  try {
    const sizes = readdirSync('/sys/class/drm')
      .filter((name) => /^card\d+$/.test(name))
      .map((name) => {
        try {
          return Number(readFileSync(`/sys/class/drm/${name}/device/mem_info_vram_total`, 'utf8'));
        } catch {
          return 0;
        }
      });
    const largest = Math.max(0, ...sizes);
    return largest > 0 ? largest : null;
  } catch {
    return null;
  }
}
