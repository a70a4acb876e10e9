/**
 * The image's entry point: the server, told about the model in the image and about the container's GPU and storage.
 *
 * It runs in the server's own process, so that signals reach it directly. Next: `launch.ts` (what is decided), `src/main.ts`.
 */
import { accessSync, constants, existsSync, readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readBakedFlags } from './baked-model.ts';
import { planLaunch } from './launch.ts';

const launch = planLaunch({
  args: process.argv.slice(2),
  env: process.env,
  bakedFlags: readBakedFlags(),
  files: {
    exists: existsSync,
    list: (folder) => (existsSync(folder) ? readdirSync(folder) : []),
    isWritable: (path) => {
      try {
        accessSync(path, constants.R_OK | constants.W_OK);
        return true;
      } catch {
        return false;
      }
    },
    groupId: (path) => statSync(path).gid,
  },
  nvidiaFile: fileURLToPath(new URL('nvidia_icd.json', import.meta.url)),
});
for (const notice of launch.notices) console.error(notice);
for (const [name, value] of Object.entries(launch.env)) {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}
process.argv = [...process.argv.slice(0, 2), ...launch.args];
await import('../../../src/main.ts');
