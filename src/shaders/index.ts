/**
 * All shader sources by file name. The only importer of .wgsl files.
 *
 * Owns nothing else. Next: `engine/gpu/preprocess.ts` (the directives they use), `engine/ops/` (who compiles which).
 */
import embed from './embed.wgsl' with { type: 'text' };
import activation from './include/activation.wgsl' with { type: 'text' };
import reduce from './include/reduce.wgsl' with { type: 'text' };
import weights from './include/weights.wgsl' with { type: 'text' };
import matmulGemv from './matmul-gemv.wgsl' with { type: 'text' };
import matmulTile from './matmul-tile.wgsl' with { type: 'text' };
import rmsNorm from './rms-norm.wgsl' with { type: 'text' };

export const shaderSources = {
  'activation.wgsl': activation,
  'embed.wgsl': embed,
  'matmul-gemv.wgsl': matmulGemv,
  'matmul-tile.wgsl': matmulTile,
  'reduce.wgsl': reduce,
  'rms-norm.wgsl': rmsNorm,
  'weights.wgsl': weights,
} as const;

export type ShaderName = keyof typeof shaderSources;
