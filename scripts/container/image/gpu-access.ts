/**
 * Whether the GPU that a container was given can be reached through Vulkan, and what helps where it cannot.
 *
 * Pure: the file system comes in as questions. Without such a look the software driver would take over and nobody would know why the
 * server is slow. Next: `launch.ts`.
 */
import type { Environment } from './baked-model.ts';

export interface Files {
  readonly exists: (path: string) => boolean;
  /** Names in a folder; empty where there is none. */
  readonly list: (folder: string) => readonly string[];
  /** Of something that exists. */
  readonly isWritable: (path: string) => boolean;
  readonly groupId: (path: string) => number;
}

export interface GpuAccess {
  /** Variables that make Vulkan's loader find the driver. */
  readonly env: Readonly<Record<string, string>>;
  readonly notices: readonly string[];
}

/** Where the loader looks for drivers by itself. */
const SEARCHED = [
  '/etc/vulkan/icd.d',
  '/etc/xdg/vulkan/icd.d',
  '/usr/local/share/vulkan/icd.d',
  '/usr/share/vulkan/icd.d',
];
/** Where GKE's device plugin mounts NVIDIA's file; the loader does not look there. */
const MOUNTED = ['/usr/local/nvidia/share/vulkan/icd.d', '/usr/local/nvidia/vulkan/icd.d'];
const LIBRARY = 'libGLX_nvidia.so.0';
const LIBRARY_FOLDERS = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib'];
/** With one of these the user chooses the drivers. */
const CHOICES = ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES', 'VK_ADD_DRIVER_FILES'];

/** `ownFile`: the image's own description of NVIDIA's driver, for runtimes that mount the driver without one. */
export function gpuAccess(env: Environment, files: Files, ownFile: string): GpuAccess {
  const nothing = { env: {}, notices: [] };
  if (CHOICES.some((name) => env[name])) return nothing;
  if (!files.exists('/dev/nvidiactl')) return { env: {}, notices: renderNotices(files) };
  const libraryFolders = [...LIBRARY_FOLDERS, ...(env.LD_LIBRARY_PATH ?? '').split(':').filter((path) => path !== '')];
  if (!libraryFolders.some((folder) => files.exists(`${folder}/${LIBRARY}`))) {
    const notice =
      "The container has an NVIDIA GPU but not its Vulkan driver: NVIDIA_DRIVER_CAPABILITIES must hold graphics, as in this image's default, all.";
    return { env: {}, notices: [notice] };
  }
  const described = (folder: string): boolean => files.list(folder).some((name) => /^nvidia.*\.json$/.test(name));
  if (SEARCHED.some(described)) return nothing;
  const mounted = MOUNTED.map((folder) => `${folder}/nvidia_icd.json`).find(files.exists);
  return { env: { VK_ADD_DRIVER_FILES: mounted ?? ownFile }, notices: [] };
}

/** One line when AMD's and Intel's devices are there and belong to a group that the user is not in. */
function renderNotices({ list, isWritable, groupId }: Files): readonly string[] {
  const nodes = list('/dev/dri')
    .filter((name) => name.startsWith('renderD'))
    .map((name) => `/dev/dri/${name}`);
  const [first] = nodes;
  if (first === undefined || nodes.some(isWritable)) return [];
  return [`${first} is closed to this user, so its GPU is not used. It opens with: --group-add ${groupId(first)}`];
}
