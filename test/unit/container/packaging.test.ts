// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Dockerfiles write variables like this.
/** The packaging agrees with itself and with the server: Dockerfile, bake file, compose file, Kubernetes examples, RunPod's hub. */
import { describe, expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseDockerfile, type Step } from '../../../scripts/container/dockerfile.ts';
import { ignoreFilter } from '../../../scripts/container/ignore-file.ts';
import { PINNED_BUN } from '../../../scripts/setup/bun.mjs';
import { allSettings } from '../../../src/config/settings.ts';

const root = join(import.meta.dir, '../../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const dockerfile = parseDockerfile(read('Dockerfile'));
const steps = dockerfile.stages.at(-1)?.steps ?? [];
const stepsOf = <Kind extends Step['kind']>(kind: Kind) =>
  steps.filter((step): step is Extract<Step, { kind: Kind }> => step.kind === kind);

/** The files that a file imports, and those that they import. */
function importsOf(path: string, found = new Set<string>()): Set<string> {
  if (found.has(path)) return found;
  found.add(path);
  if (!path.endsWith('.ts')) return found;
  for (const { path: name } of new Bun.Transpiler({ loader: 'ts' }).scanImports(read(path))) {
    if (name.startsWith('.')) importsOf(join(dirname(path), name), found);
  }
  return found;
}

describe('Dockerfile', () => {
  test('takes the Bun that set-up pins', () => {
    expect(dockerfile.globalArgs.find(({ name }) => name === 'BUN_VERSION')?.fallback).toBe(PINNED_BUN);
  });

  test('bases are pinned', () => {
    for (const { image } of dockerfile.stages) expect(image).toMatch(/:(\d+\.\d+|\$\{\w+\})[\w.-]*$/);
  });

  test('copies what the model step imports before it, so that nothing else makes it run again', () => {
    const bakeAt = steps.findIndex((step) => step.kind === 'run' && JSON.stringify(step.command).includes('bake.ts'));
    const copied = steps.slice(0, bakeAt).flatMap((step) => (step.kind === 'copy' ? step.sources : []));
    const needed = [...importsOf('scripts/container/image/bake.ts')];
    expect(needed.filter((path) => !copied.some((source) => path === source || path.startsWith(`${source}/`)))).toEqual(
      [],
    );
  });

  test('the build sees what the entry point and the server import', () => {
    const isSeen = ignoreFilter(read('.dockerignore'));
    const needed = [...importsOf('scripts/container/image/start.ts'), ...importsOf('src/main.ts')];
    expect(needed.filter((path) => !isSeen(path))).toEqual([]);
    expect(['node_modules/a', '.git/config', 'test/a.ts', '.env', 'docs/a.md'].filter(isSeen)).toEqual([]);
  });

  test('names scripts that exist', () => {
    const named = [...read('Dockerfile').matchAll(/scripts\/[\w./-]+\.ts/g)].map(([path]) => path);
    expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });

  test('does not run as root unless asked to', () => {
    expect(stepsOf('user').map(({ user }) => user)).toEqual(['${RUN_AS}']);
    expect(stepsOf('arg').find(({ name }) => name === 'RUN_AS')?.fallback).toBe('1000:1000');
  });

  test('the secret is mounted, never an argument or a variable', () => {
    const names = [
      ...stepsOf('arg').map(({ name }) => name),
      ...stepsOf('env').flatMap(({ pairs }) => pairs.map(([name]) => name)),
    ];
    expect(names.filter((name) => /TOKEN$/.test(name))).toEqual([]);
    expect(stepsOf('run').flatMap(({ mounts }) => mounts.map(({ id }) => id))).toContain('HF_TOKEN');
  });
});

test('docker-bake.hcl gives only arguments that the Dockerfile has', () => {
  const known = new Set([...stepsOf('arg'), ...dockerfile.globalArgs].map(({ name }) => name));
  const blocks = [...read('docker-bake.hcl').matchAll(/args = \{([^}]*)\}/g)].map((match) => match[1] ?? '');
  const given = blocks.flatMap((block) => [...block.matchAll(/^\s*(\w+)\s*=/gm)].map((match) => match[1] ?? ''));
  expect(given.length).toBeGreaterThan(6);
  expect(given.filter((name) => !known.has(name))).toEqual([]);
});

interface Container {
  readonly env: readonly { readonly name: string; readonly value?: string }[];
  readonly startupProbe: { readonly httpGet: { readonly path: string } };
  readonly livenessProbe: { readonly httpGet: { readonly path: string } };
  readonly readinessProbe: { readonly httpGet: { readonly path: string } };
}
interface PodTemplate {
  readonly spec: { readonly terminationGracePeriodSeconds: number; readonly containers: readonly [Container] };
}

const environmentNames = new Set(allSettings.flatMap(([, setting]) => setting.env));
/** Variables of others: Mesa's. */
const FOREIGN = ['LP_NUM_THREADS'];

describe.each(['gpu', 'cpu'])('deploy/kubernetes/%s.yaml', (name) => {
  const objects = Bun.YAML.parse(read(`deploy/kubernetes/${name}.yaml`)) as {
    kind: string;
    spec: { template: PodTemplate };
  }[];
  const pod = objects.find(({ kind }) => kind === 'Deployment')?.spec.template.spec;
  const [container] = pod?.containers ?? [];
  const value = (variable: string) => Number(container?.env.find((one) => one.name === variable)?.value);

  test('the grace period covers the whole drain', () => {
    expect(pod?.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(
      value('DRAIN_DELAY') + value('SHUTDOWN_TIMEOUT') + 10,
    );
  });

  test('probes ask the routes that mean it', () => {
    expect(container?.livenessProbe.httpGet.path).toBe('/live');
    expect(container?.readinessProbe.httpGet.path).toBe('/ready');
    expect(container?.startupProbe.httpGet.path).toBe('/ready');
  });

  test('every variable is known', () => {
    const names = container?.env.map((one) => one.name) ?? [];
    expect(names.filter((one) => !environmentNames.has(one) && !FOREIGN.includes(one))).toEqual([]);
  });
});

describe('docker-compose.yml', () => {
  const file = Bun.YAML.parse(read('docker-compose.yml')) as {
    services: Record<string, { profiles: string[]; environment: Record<string, string>; stop_grace_period: string }>;
  };

  test('each service has a profile, known variables and time to drain', () => {
    expect(Object.keys(file.services)).toEqual(['nvidia', 'dri', 'cpu']);
    for (const { profiles, environment, stop_grace_period } of Object.values(file.services)) {
      expect(profiles).toHaveLength(1);
      expect(Object.keys(environment).filter((name) => !environmentNames.has(name) && !FOREIGN.includes(name))).toEqual(
        [],
      );
      const drain = ['DRAIN_DELAY', 'SHUTDOWN_TIMEOUT'].map((name) =>
        Number(/:-(\d+)\}/.exec(environment[name] ?? '')?.[1]),
      );
      expect(Number.parseInt(stop_grace_period, 10)).toBeGreaterThan(
        (drain[0] ?? Number.NaN) + (drain[1] ?? Number.NaN),
      );
    }
  });
});

describe('.runpod', () => {
  interface Input {
    readonly type: string;
    readonly default: string | number | boolean;
    readonly options?: readonly { readonly value: string }[];
  }
  const hub = JSON.parse(read('.runpod/hub.json')) as {
    config: { env: { key: string; input: Input }[]; presets: { defaults: Record<string, string> }[] };
  };
  const settingOf = (key: string) => allSettings.find(([, setting]) => setting.env.includes(key))?.[1];

  test.each(hub.config.env)(
    '$key is a setting that does something, with a default that changes nothing',
    ({ key, input }) => {
      const setting = settingOf(key);
      if (setting === undefined) throw new Error(`${key} is no variable of the server`);
      expect(setting.status === 'acts' || setting.whilePlanned === 'tell').toBe(true);
      const text = String(input.default);
      const isUnset = text === '' || setting.unsetWords.includes(text) || key === 'BASE_PATH';
      if (!isUnset) expect(setting.kind.read(text)).toEqual(setting.default);
      for (const { value } of input.options ?? []) expect(setting.kind.read(value)).toBeDefined();
    },
  );

  test('presets set variables that the form has', () => {
    const keys = hub.config.env.map(({ key }) => key);
    expect(
      hub.config.presets.flatMap(({ defaults }) => Object.keys(defaults)).filter((key) => !keys.includes(key)),
    ).toEqual([]);
  });

  test('the tests are one job of each kind, for the model that they set', () => {
    const { tests, config } = JSON.parse(read('.runpod/tests.json')) as {
      tests: { input: { prompt?: string; openai_route?: string; openai_input?: { model: string } } }[];
      config: { env: { key: string; value: string }[] };
    };
    expect(tests.map(({ input }) => Object.keys(input)[0])).toEqual(['prompt', 'openai_route']);
    const model = config.env.find(({ key }) => key === 'MODEL_NAME')?.value;
    expect(tests[1]?.input.openai_input?.model).toBe(model ?? '');
  });
});
