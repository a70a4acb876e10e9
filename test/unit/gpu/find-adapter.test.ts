/** How the bindings are asked and opened, with made-up adapters. */
import { describe, expect, test } from 'bun:test';
import type { BindingName, FoundAdapter, OpenedBinding } from '../../../src/engine/gpu/binding.ts';
import { type FindAdapter, openAdapter } from '../../../src/engine/gpu/find-adapter.ts';

const OPTIONS = { robustness: true, profiling: false };
const HALF = ['shader-f16', 'subgroups'];

interface Fake {
  readonly features?: readonly string[];
  /** Why there is no adapter. */
  readonly missing?: string;
  /** Why there is no device. */
  readonly broken?: string;
}

/** Bindings with a GPU, and the log of what happens to them. */
function fakes(cheaper: Fake, newer: Fake): { find: FindAdapter; log: string[] } {
  const log: string[] = [];
  const find = async (name: BindingName): Promise<FoundAdapter> => {
    log.push(`find ${name}`);
    const { features = [], missing, broken } = name === 'webgpu' ? newer : cheaper;
    if (missing) throw new Error(missing);
    const adapterInfo = {
      ...{ vendor: 'nvidia', architecture: '', device: 'card', description: '', isSoftware: false },
      ...{ subgroupMinSize: 32, subgroupMaxSize: 32, subgroupMatrixConfigs: [], hasSubgroupSizeControl: false },
    };
    return {
      offer: { adapterInfo, features: new Set(features) },
      async open() {
        log.push(`open ${name}`);
        if (broken) throw new Error(broken);
        return { name } as OpenedBinding;
      },
      drop: () => void log.push(`drop ${name}`),
    };
  };
  return { find, log };
}

describe('auto', () => {
  test('opens the one that offers more, and lets go of the other', async () => {
    const { find, log } = fakes({ features: ['subgroups'] }, { features: HALF });
    const { opened, reason } = await openAdapter('auto', OPTIONS, find);
    expect([opened.name, reason]).toEqual(['webgpu', 'f16, which bun-webgpu lacks here']);
    expect(log).toEqual(['find bun-webgpu', 'find webgpu', 'open webgpu', 'drop bun-webgpu']);
  });

  test('opens the cheaper one where both offer the same', async () => {
    const { find, log } = fakes({ features: HALF }, { features: HALF });
    expect((await openAdapter('auto', OPTIONS, find)).opened.name).toBe('bun-webgpu');
    expect(log.slice(2)).toEqual(['open bun-webgpu', 'drop webgpu']);
  });

  test('takes the other where the better one opens no device', async () => {
    const { find } = fakes({}, { features: HALF, broken: 'out of memory' });
    const { opened, reason } = await openAdapter('auto', OPTIONS, find);
    expect([opened.name, reason]).toEqual(['bun-webgpu', 'webgpu opens no device here (out of memory)']);
  });

  test('takes what is there, and says what is not', async () => {
    const { find } = fakes({ missing: 'no build for linux-arm64' }, { features: HALF });
    const { opened, reason } = await openAdapter('auto', OPTIONS, find);
    expect([opened.name, reason]).toEqual(['webgpu', 'bun-webgpu is of no use here (no build for linux-arm64)']);
  });

  test('fails with both reasons, or with the one of the only adapter', async () => {
    const none = fakes({ missing: 'no build' }, { missing: 'no adapter' });
    await expect(openAdapter('auto', OPTIONS, none.find)).rejects.toThrow('bun-webgpu: no build; webgpu: no adapter');
    const broken = fakes({ broken: 'no device' }, { missing: 'no adapter' });
    await expect(openAdapter('auto', OPTIONS, broken.find)).rejects.toThrow('no device');
  });
});

test('a named binding is the only one asked', async () => {
  const { find, log } = fakes({ features: HALF }, {});
  const { opened, reason } = await openAdapter('webgpu', OPTIONS, find);
  expect([opened.name, reason]).toEqual(['webgpu', 'as GPU_BINDING says']);
  expect(log).toEqual(['find webgpu', 'open webgpu']);
});
