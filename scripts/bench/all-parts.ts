/**
 * What `bench all` runs, in order of importance, and how much of the time each part may take.
 *
 * Pure. Next: `all.ts` (runs them), `all-report.ts` (writes what came of them).
 */

/** What the caller of `bench all` has chosen. */
export interface AllWishes {
  /** Options for `bench engine`, as they are. */
  readonly engineArgs: readonly string[];
  /** A local checkpoint for `peers` and for the servers; null = each one's default. */
  readonly model: string | null;
  readonly dtype: string;
}

/** One benchmark in a process of its own. */
export interface Part {
  /** Also the name of its files. */
  readonly name: string;
  /** Of the whole time, against the others. */
  readonly weight: number;
  /** Its command line, for so many minutes. */
  args(minutes: number): readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Of its time, after which a part begins nothing new: what is under way needs the rest. */
const BEGIN_SHARE = 0.85;
/** Of the time of `peers`, what one of them may take. */
const PEER_SHARE = 1 / 4;
/** For a model that is worth them. */
const PEER_SIZES = ['--prompt-tokens', '512', '--decode-steps', '32'];
/** Passed on even where little is left, so that a part fails by itself. Units: minutes. */
const LEAST_MINUTES = 0.05;

/** All parts, the most important first. */
export function allParts({ engineArgs, model, dtype }: AllWishes): readonly Part[] {
  const serving: Record<string, string> = model === null ? {} : { MODEL_NAME: model };
  const until = (minutes: number) => ['--minutes', (minutes * BEGIN_SHARE).toFixed(2)];
  const part = (name: string, weight: number, args: Part['args'], env: Part['env'] = {}): Part => ({
    ...{ name, weight, args, env },
  });
  return [
    part('device-bun-webgpu', 1, () => ['device'], { GPU_BINDING: 'bun-webgpu' }),
    part('device-webgpu', 1, () => ['device'], { GPU_BINDING: 'webgpu' }),
    part('engine', 9, (minutes) => ['engine', ...engineArgs, ...until(minutes)]),
    part('kernels', 2, () => ['kernels', '--budget-ms', '200']),
    part('host', 1, () => ['host'], serving),
    part('peers', 4, (minutes) => {
      const seconds = String(Math.max(1, Math.floor(minutes * 60 * PEER_SHARE)));
      const folder = model === null ? [] : ['--model', model, ...PEER_SIZES];
      return ['peers', '--compiled', '--dtype', dtype, '--peer-seconds', seconds, ...folder];
    }),
    part('scenarios', 4, (minutes) => ['serve', '--scenario', 'all', ...until(minutes)], serving),
    part('http-load', 1, () => ['http-load'], serving),
    part('serve', 2, () => ['serve', '--rounds', '1'], serving),
  ];
}

/** Minutes for the first of `parts`, if all of them share what is left; what one leaves goes to those after it. */
export function minutesFor(parts: readonly Pick<Part, 'weight'>[], minutesLeft: number): number {
  const [first] = parts;
  if (first === undefined) return 0;
  const sum = parts.reduce((total, { weight }) => total + weight, 0);
  return Math.max(LEAST_MINUTES, (minutesLeft * first.weight) / sum);
}

/** The parts of these names, in their own order. Throws: Error naming one that does not exist. */
export function chosenParts(parts: readonly Part[], names: readonly string[] | null): readonly Part[] {
  if (names === null) return parts;
  const unknown = names.find((name) => !parts.some((part) => part.name === name));
  if (unknown !== undefined)
    throw new Error(`no part ${unknown}; there are ${parts.map(({ name }) => name).join(', ')}`);
  return parts.filter(({ name }) => names.includes(name));
}
