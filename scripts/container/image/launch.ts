/**
 * What of a container's surroundings changes how the server is started.
 *
 * Pure: the file system comes in as questions. Next: `start.ts`, which carries the decision out; `gpu-access.ts`.
 */
import { dirname, join } from 'node:path';
import type { Environment } from './baked-model.ts';
import { type Files, gpuAccess } from './gpu-access.ts';

export interface Surroundings {
  /** What stands behind the image's name on the command line. */
  readonly args: readonly string[];
  readonly env: Environment;
  readonly bakedFlags: readonly string[];
  readonly files: Files;
  readonly nvidiaFile: string;
}

export interface Launch {
  readonly args: readonly string[];
  /** Changed variables; undefined takes one away. */
  readonly env: Environment;
  /** Lines for the log. */
  readonly notices: readonly string[];
}

/** How to start. A model in the image goes before all variables; a storage folder that cannot be used is passed over. */
export function planLaunch({ args, env, bakedFlags, files, nvidiaFile }: Surroundings): Launch {
  const gpu = gpuAccess(env, files, nvidiaFile);
  if (bakedFlags.length > 0) return { args: [...bakedFlags, ...args], env: gpu.env, notices: gpu.notices };
  const basePath = env.BASE_PATH?.trim() ?? '';
  const model = (env.MODEL_NAME ?? env.MODEL)?.trim() ?? '';
  const needsStorage = basePath !== '' && (model !== '' || args.length > 0);
  if (!needsStorage || isUsable(basePath, model, files)) return { args, env: gpu.env, notices: gpu.notices };
  const notice =
    `BASE_PATH ${basePath} cannot be written by this user: models are kept in the container and are gone with it. ` +
    'Give the folder to the user, or run the container as root.';
  return { args, env: { ...gpu.env, BASE_PATH: undefined }, notices: [...gpu.notices, notice] };
}

/** Writable, or a volume that has the model already. */
function isUsable(basePath: string, model: string, { exists, isWritable }: Files): boolean {
  const hub = join(basePath, 'huggingface-cache', 'hub');
  if (model !== '' && exists(join(hub, `models--${model.replaceAll('/', '--')}`))) return true;
  let folder = hub;
  while (!exists(folder) && folder !== dirname(folder)) folder = dirname(folder);
  return isWritable(folder);
}
