/** What the image's own scripts decide: the model in the image, the container's GPU and storage, the health check's address. */
import { describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bakeOrder, flagsOf, readBakedFlags, recordOf } from '../../../scripts/container/image/baked-model.ts';
import { type Files, gpuAccess } from '../../../scripts/container/image/gpu-access.ts';
import { healthUrl } from '../../../scripts/container/image/health.ts';
import { planLaunch } from '../../../scripts/container/image/launch.ts';
import { loadConfig } from '../../../src/config/load-config.ts';

/** A file system of these paths; writable are those that end in `!`. */
function files(...paths: readonly string[]): Files {
  const plain = paths.map((path) => path.replace(/!$/, ''));
  const exists = (path: string) => path === '/' || plain.some((one) => one === path || one.startsWith(`${path}/`));
  return {
    exists,
    list: (folder) =>
      plain.filter((path) => path.startsWith(`${folder}/`)).map((path) => path.slice(folder.length + 1)),
    isWritable: (path) => paths.includes(`${path}!`),
    groupId: () => 992,
  };
}

describe('a model in the image', () => {
  test('is ordered by MODEL_NAME alone', () => {
    expect(bakeOrder({})).toBeNull();
    expect(bakeOrder({ MODEL_NAME: '', MODEL_REVISION: 'v2' })).toBeNull();
    expect(bakeOrder({ MODEL_NAME: 'org/model', MODEL_REVISION: '', HF_ENDPOINT: '' })).toEqual({
      model: 'org/model',
      revision: 'main',
      tokenizer: null,
      quantization: null,
      cacheDir: '/models/huggingface-cache/hub',
      endpoint: 'https://huggingface.co',
    });
  });

  test('goes before variables, with its place and without the network', () => {
    const order = bakeOrder({ MODEL_NAME: 'org/model', MODEL_REVISION: 'v2', BASE_PATH: '/volume' });
    if (order === null) throw new Error('no order');
    const loaded = loadConfig({
      args: [...flagsOf(order), '--port', '9000'],
      env: { MODEL_NAME: 'other/model', DOWNLOAD_DIR: '/elsewhere', HF_HUB_OFFLINE: '0' },
      homeFolder: '/home/user',
      readText: () => null,
      parseYaml: () => ({}),
    });
    if (loaded.kind !== 'config') throw new Error(loaded.kind);
    const { model, revision, hub, servedModelNames, port } = loaded.config;
    expect({ model, revision, servedModelNames, port }).toEqual({
      model: 'org/model',
      revision: 'v2',
      servedModelNames: ['org/model'],
      port: 9000,
    });
    expect(hub).toMatchObject({ cacheDir: '/volume/huggingface-cache/hub', offline: true });
  });

  test('has its tokenizer and quantisation among the flags when they are ordered', () => {
    const order = bakeOrder({ MODEL_NAME: 'm', TOKENIZER_NAME: 't', QUANTIZATION: 'awq' });
    expect(order === null ? [] : flagsOf(order).slice(-6)).toEqual([
      '--tokenizer',
      't',
      '--tokenizer-revision',
      'main',
      '--quantization',
      'awq',
    ]);
  });

  test('is read back from the record; no record means no model, a damaged one is told', () => {
    const folder = mkdtempSync(join(tmpdir(), 'baked-'));
    try {
      const file = join(folder, 'record.json');
      expect(readBakedFlags(file)).toEqual([]);
      const order = bakeOrder({ MODEL_NAME: 'org/model' });
      if (order === null) throw new Error('no order');
      writeFileSync(file, recordOf(order).text);
      expect(readBakedFlags(file)).toEqual(flagsOf(order));
      writeFileSync(file, '{"model": 1}');
      expect(() => readBakedFlags(file)).toThrow('no list of flags');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('launch', () => {
  const around = { args: [], env: {}, bakedFlags: [], files: files('/'), nvidiaFile: '/own.json' };

  test('puts the flags of a baked model first', () => {
    const { args } = planLaunch({ ...around, args: ['--port', '1'], bakedFlags: ['--model', 'm'] });
    expect(args).toEqual(['--model', 'm', '--port', '1']);
  });

  test('takes a storage folder that can be written, or whose parent can', () => {
    const env = { BASE_PATH: '/volume', MODEL_NAME: 'org/model' };
    expect(planLaunch({ ...around, env, files: files('/volume!') })).toMatchObject({ env: {}, notices: [] });
    const deep = files('/volume!', '/volume/huggingface-cache!');
    expect(planLaunch({ ...around, env, files: deep })).toMatchObject({ env: {}, notices: [] });
  });

  test('passes over one that cannot be written, and says so', () => {
    const env = { BASE_PATH: '/volume', MODEL_NAME: 'org/model' };
    const launch = planLaunch({ ...around, env, files: files('/volume') });
    expect(launch.env).toEqual({ BASE_PATH: undefined });
    expect(launch.notices.join()).toContain('/volume cannot be written');
  });

  test('keeps one that cannot be written when it has the model, or when no model is fetched', () => {
    const cached = files('/volume/huggingface-cache/hub/models--org--model');
    const env = { BASE_PATH: '/volume', MODEL_NAME: 'org/model' };
    expect(planLaunch({ ...around, env, files: cached }).env).toEqual({});
    expect(planLaunch({ ...around, env: { BASE_PATH: '/volume' }, files: files('/volume') }).notices).toEqual([]);
  });
});

describe('the GPU', () => {
  const library = '/usr/lib/x86_64-linux-gnu/libGLX_nvidia.so.0';

  test('no device: nothing to do', () => {
    expect(gpuAccess({}, files('/'), '/own.json')).toEqual({ env: {}, notices: [] });
  });

  test('NVIDIA with its driver described by the runtime: nothing to do', () => {
    const mounted = files('/dev/nvidiactl', library, '/etc/vulkan/icd.d/nvidia_icd.json');
    expect(gpuAccess({}, mounted, '/own.json')).toEqual({ env: {}, notices: [] });
    const named = files('/dev/nvidiactl', library, '/usr/share/vulkan/icd.d/nvidia_icd.x86_64.json');
    expect(gpuAccess({}, named, '/own.json').env).toEqual({});
  });

  test('NVIDIA with a driver that nobody describes: the image does', () => {
    const bare = files('/dev/nvidiactl', library, '/usr/share/vulkan/icd.d/lvp_icd.json');
    expect(gpuAccess({}, bare, '/own.json')).toEqual({ env: { VK_ADD_DRIVER_FILES: '/own.json' }, notices: [] });
  });

  test('NVIDIA on GKE: the mounted description, outside of where the loader looks', () => {
    const file = '/usr/local/nvidia/vulkan/icd.d/nvidia_icd.json';
    const gke = files('/dev/nvidiactl', '/usr/local/nvidia/lib64/libGLX_nvidia.so.0', file);
    const env = { LD_LIBRARY_PATH: '/usr/local/nvidia/lib:/usr/local/nvidia/lib64' };
    expect(gpuAccess(env, gke, '/own.json').env).toEqual({ VK_ADD_DRIVER_FILES: file });
  });

  test('NVIDIA without its Vulkan driver: what to set', () => {
    const { env, notices } = gpuAccess({}, files('/dev/nvidiactl'), '/own.json');
    expect(env).toEqual({});
    expect(notices.join()).toContain('NVIDIA_DRIVER_CAPABILITIES');
  });

  test('AMD or Intel behind a closed device: the group', () => {
    const { notices } = gpuAccess({}, files('/dev/dri/card0', '/dev/dri/renderD128'), '/own.json');
    expect(notices).toEqual([
      '/dev/dri/renderD128 is closed to this user, so its GPU is not used. It opens with: --group-add 992',
    ]);
    expect(gpuAccess({}, files('/dev/dri/renderD128!'), '/own.json').notices).toEqual([]);
  });

  test('whoever chooses drivers is left alone', () => {
    expect(gpuAccess({ VK_DRIVER_FILES: '/x.json' }, files('/dev/nvidiactl'), '/own.json').notices).toEqual([]);
  });
});

test.each([
  [{}, 'http://127.0.0.1:8000/health'],
  [{ PORT: ' 80 ' }, 'http://127.0.0.1:80/health'],
  [{ PORT: '8443', SSL_CERTFILE: '/c.pem' }, 'https://127.0.0.1:8443/health'],
  [{ PORT: '8443', SSL_CERTFILE: '/c.pem', PORT_HEALTH: '8001' }, 'http://127.0.0.1:8001/health'],
])('the health check asks, given %p', (env, expected) => {
  expect(healthUrl(env)).toBe(expected);
});
