/**
 * Who may import whom: the layers of `src/` as a table, the first matching pattern decides.
 *
 * Owns the rules alone; `layering.test.ts` applies them. A file may always import its own layer. A new folder needs a row.
 * The reasons stand in `docs/architecture.md`.
 */

export interface Layer {
  readonly name: string;
  readonly files: RegExp;
  /** Names of layers; '*' = all. */
  readonly mayImport: readonly string[];
  /** npm packages; node's own modules are free to all but the core. */
  readonly packages?: readonly string[];
}

/** Shapes and errors that cross the border of the engine. */
const SHAPES = ['engine types', 'config shape'];

export const LAYERS: readonly Layer[] = [
  { name: 'main', files: /^src\/main\.ts$/, mayImport: ['*'], packages: ['package.json'] },
  { name: 'config shape', files: /^src\/config\/server-config\.ts$/, mayImport: [] },
  { name: 'config', files: /^src\/config\//, mayImport: ['config shape'] },
  {
    name: 'routes',
    files: /^src\/routes\//,
    mayImport: ['serving', 'serving errors', 'wire schemas', 'engine face', 'runtime', ...SHAPES],
    packages: ['elysia', 'valibot'],
  },
  {
    name: 'jobs',
    files: /^src\/jobs\//,
    mayImport: ['serving', 'serving errors', 'wire schemas', 'engine face', 'runtime', ...SHAPES],
  },
  { name: 'wire schemas', files: /^src\/serving\/schema\//, mayImport: ['serving errors'], packages: ['valibot'] },
  {
    name: 'serving errors',
    files: /^src\/serving\/errors\.ts$/,
    mayImport: ['text', 'engine types'],
    packages: ['valibot'],
  },
  {
    name: 'serving',
    files: /^src\/serving\//,
    mayImport: ['wire schemas', 'serving errors', 'text', 'engine face', ...SHAPES],
    packages: ['valibot'],
  },
  {
    name: 'text',
    files: /^src\/text\//,
    mayImport: [],
    packages: ['@huggingface/jinja', '@huggingface/tokenizers'],
  },
  { name: 'runtime', files: /^src\/runtime\//, mayImport: [], packages: ['elysia'] },
  { name: 'shaders', files: /^src\/shaders\//, mayImport: [] },
  { name: 'sampling', files: /^src\/sampling\//, mayImport: ['engine types', 'ops interface'] },
  { name: 'engine types', files: /^src\/engine\/types\.ts$/, mayImport: [] },
  {
    name: 'engine face',
    files: /^src\/engine\/index\.ts$/,
    mayImport: ['engine', 'host', 'runtime', ...SHAPES],
  },
  {
    name: 'core',
    files: /^src\/engine\/(scheduler|sequence|block-pool|plan|prefix-cache)[a-z-]*\.ts$/,
    mayImport: ['engine types'],
  },
  { name: 'batch', files: /^src\/engine\/batch[a-z-]*\.ts$/, mayImport: ['core', 'engine types'] },
  {
    name: 'runner',
    files: /^src\/engine\/runner[a-z-]*\.ts$/,
    mayImport: [
      'batch',
      'core',
      'models',
      'blocks',
      'model spec',
      'sampling',
      'ops',
      'ops interface',
      'gpu',
      'memory plan',
      ...SHAPES,
    ],
  },
  { name: 'hub', files: /^src\/engine\/weights\/hub\//, mayImport: ['weights', 'runtime', ...SHAPES] },
  {
    name: 'weights',
    files: /^src\/engine\/weights\//,
    mayImport: ['hub', 'gpu', 'model spec', 'ops interface', ...SHAPES],
  },
  { name: 'model spec', files: /^src\/engine\/models\/(spec|config-fields|work)\.ts$/, mayImport: ['engine types'] },
  { name: 'families', files: /^src\/engine\/models\/families\//, mayImport: ['model spec', 'engine types'] },
  {
    name: 'blocks',
    files: /^src\/engine\/models\/(blocks\/|decoder)/,
    mayImport: ['model spec', 'models', 'ops', 'ops interface', 'engine types'],
  },
  {
    name: 'models',
    files: /^src\/engine\/models\//,
    mayImport: ['model spec', 'families', 'weights', 'ops', 'ops interface', 'gpu', 'engine types'],
  },
  {
    name: 'ops interface',
    files: /^src\/engine\/ops\/(tensor|kv-cache|logprobs|sample-batch|tuned-plans)\.ts$/,
    mayImport: ['ops', 'gpu', 'engine types'],
  },
  {
    name: 'tune',
    files: /^src\/engine\/tune\//,
    mayImport: ['ops', 'ops interface', 'models', 'gpu', 'shaders', ...SHAPES],
  },
  {
    name: 'self-check',
    files: /^src\/engine\/self-check\//,
    mayImport: ['ops', 'ops interface', 'model spec', 'gpu', ...SHAPES],
  },
  {
    name: 'memory plan',
    files: /^src\/engine\/memory-plan\.ts$/,
    mayImport: ['model spec', 'ops interface', ...SHAPES],
  },
  { name: 'ops', files: /^src\/engine\/ops\//, mayImport: ['ops interface', 'gpu', 'shaders', 'engine types'] },
  { name: 'gpu', files: /^src\/engine\/gpu\//, mayImport: SHAPES, packages: ['bun-webgpu', 'webgpu'] },
  { name: 'host', files: /^src\/engine\/host\//, mayImport: ['engine', 'engine face', 'runtime', ...SHAPES] },
  // What stands directly in src/engine assembles the parts below it.
  {
    name: 'engine',
    files: /^src\/engine\/[a-z-]+\.ts$/,
    mayImport: [
      ...['core', 'batch', 'runner', 'host', 'weights', 'hub', 'models', 'blocks', 'model spec', 'sampling'],
      ...['ops', 'ops interface', 'gpu', 'self-check', 'tune', 'memory plan', 'runtime', ...SHAPES],
    ],
  },
];

/** The layer of a file, or undefined for a place that the table does not know. */
export function layerOf(path: string): Layer | undefined {
  return LAYERS.find((layer) => layer.files.test(path));
}
