/**
 * A step of the image's build: stops it when the server would refuse what was baked in, so that nobody learns it from a container.
 *
 * It reads settings alone; whether the model's architecture is known shows when it is loaded.
 */
import { ConfigError } from '../../../src/config/config-error.ts';
import { loadConfig, processSurroundings } from '../../../src/config/load-config.ts';
import { readBakedFlags } from './baked-model.ts';

try {
  loadConfig({ ...processSurroundings(), args: readBakedFlags(), env: {} });
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  console.error(`This image would not start: ${error.message}`);
  process.exitCode = 1;
}
