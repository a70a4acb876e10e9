/**
 * All shader sources by file name. The only importer of .wgsl files.
 *
 * Owns nothing else. Next: `engine/gpu/preprocess.ts` (the directives they use), `engine/ops/` (who compiles which).
 */
import attentionDecode from './attention-decode.wgsl' with { type: 'text' };
import attentionPrefill from './attention-prefill.wgsl' with { type: 'text' };
import attentionPrefillMatrix from './attention-prefill-matrix.wgsl' with { type: 'text' };
import attentionReduce from './attention-reduce.wgsl' with { type: 'text' };
import embed from './embed.wgsl' with { type: 'text' };
import activation from './include/activation.wgsl' with { type: 'text' };
import attentionPrefillParts from './include/attention-prefill-parts.wgsl' with { type: 'text' };
import blocks from './include/blocks.wgsl' with { type: 'text' };
import dp4a from './include/dp4a.wgsl' with { type: 'text' };
import dp4aSums from './include/dp4a-sums.wgsl' with { type: 'text' };
import dp4aTile from './include/dp4a-tile.wgsl' with { type: 'text' };
import editRow from './include/edit-row.wgsl' with { type: 'text' };
import floats from './include/floats.wgsl' with { type: 'text' };
import gemvSums from './include/gemv-sums.wgsl' with { type: 'text' };
import gemvSumsQuantised from './include/gemv-sums-quantised.wgsl' with { type: 'text' };
import gemvSumsStaged from './include/gemv-sums-staged.wgsl' with { type: 'text' };
import kept from './include/kept.wgsl' with { type: 'text' };
import kv from './include/kv.wgsl' with { type: 'text' };
import kvLoad from './include/kv-load.wgsl' with { type: 'text' };
import kvStore from './include/kv-store.wgsl' with { type: 'text' };
import matmul from './include/matmul.wgsl' with { type: 'text' };
import matmulOutput from './include/matmul-output.wgsl' with { type: 'text' };
import matmulPart from './include/matmul-part.wgsl' with { type: 'text' };
import matmulSums from './include/matmul-sums.wgsl' with { type: 'text' };
import matmulSumsDp4a from './include/matmul-sums-dp4a.wgsl' with { type: 'text' };
import matmulSumsQuantised from './include/matmul-sums-quantised.wgsl' with { type: 'text' };
import matmulWeights from './include/matmul-weights.wgsl' with { type: 'text' };
import matrixSums from './include/matrix-sums.wgsl' with { type: 'text' };
import matrixTile from './include/matrix-tile.wgsl' with { type: 'text' };
import moe from './include/moe.wgsl' with { type: 'text' };
import moeCombineOutput from './include/moe-combine-output.wgsl' with { type: 'text' };
import narrow from './include/narrow.wgsl' with { type: 'text' };
import order from './include/order.wgsl' with { type: 'text' };
import parts from './include/parts.wgsl' with { type: 'text' };
import powerScale from './include/power-scale.wgsl' with { type: 'text' };
import random from './include/random.wgsl' with { type: 'text' };
import reduce from './include/reduce.wgsl' with { type: 'text' };
import reduceMax from './include/reduce-max.wgsl' with { type: 'text' };
import reduceSubgroup from './include/reduce-subgroup.wgsl' with { type: 'text' };
import slots from './include/slots.wgsl' with { type: 'text' };
import visible from './include/visible.wgsl' with { type: 'text' };
import weightGroups from './include/weight-groups.wgsl' with { type: 'text' };
import weightReads from './include/weight-reads.wgsl' with { type: 'text' };
import weights from './include/weights.wgsl' with { type: 'text' };
import logprobsBlocks from './logprobs-blocks.wgsl' with { type: 'text' };
import logprobsTarget from './logprobs-target.wgsl' with { type: 'text' };
import logprobsTop from './logprobs-top.wgsl' with { type: 'text' };
import matmulDp4a from './matmul-dp4a.wgsl' with { type: 'text' };
import matmulGemv from './matmul-gemv.wgsl' with { type: 'text' };
import matmulMatrix from './matmul-matrix.wgsl' with { type: 'text' };
import matmulPack from './matmul-pack.wgsl' with { type: 'text' };
import matmulRange from './matmul-range.wgsl' with { type: 'text' };
import matmulReduce from './matmul-reduce.wgsl' with { type: 'text' };
import matmulRows from './matmul-rows.wgsl' with { type: 'text' };
import matmulTile from './matmul-tile.wgsl' with { type: 'text' };
import moeAlign from './moe-align.wgsl' with { type: 'text' };
import moeCombine from './moe-combine.wgsl' with { type: 'text' };
import moeMatmulDp4a from './moe-matmul-dp4a.wgsl' with { type: 'text' };
import moeMatmulGemv from './moe-matmul-gemv.wgsl' with { type: 'text' };
import moeMatmulMatrix from './moe-matmul-matrix.wgsl' with { type: 'text' };
import moeMatmulRows from './moe-matmul-rows.wgsl' with { type: 'text' };
import moeMatmulTile from './moe-matmul-tile.wgsl' with { type: 'text' };
import moeRoute from './moe-route.wgsl' with { type: 'text' };
import qkNorm from './qk-norm.wgsl' with { type: 'text' };
import quantiseRows from './quantise-rows.wgsl' with { type: 'text' };
import rmsNorm from './rms-norm.wgsl' with { type: 'text' };
import ropeKv from './rope-kv.wgsl' with { type: 'text' };
import sampleBand from './sample-band.wgsl' with { type: 'text' };
import sampleDraw from './sample-draw.wgsl' with { type: 'text' };
import sampleEdit from './sample-edit.wgsl' with { type: 'text' };
import sampleHeat from './sample-heat.wgsl' with { type: 'text' };
import sampleMask from './sample-mask.wgsl' with { type: 'text' };
import sampleMasses from './sample-masses.wgsl' with { type: 'text' };
import sampleMirostat from './sample-mirostat.wgsl' with { type: 'text' };
import sampleMoments from './sample-moments.wgsl' with { type: 'text' };
import sampleNarrow from './sample-narrow.wgsl' with { type: 'text' };
import samplePick from './sample-pick.wgsl' with { type: 'text' };
import sampleSigma from './sample-sigma.wgsl' with { type: 'text' };
import sampleSurprise from './sample-surprise.wgsl' with { type: 'text' };
import sampleSurvey from './sample-survey.wgsl' with { type: 'text' };
import sampleTypical from './sample-typical.wgsl' with { type: 'text' };
import sampleXtc from './sample-xtc.wgsl' with { type: 'text' };

export const shaderSources = {
  'activation.wgsl': activation,
  'attention-decode.wgsl': attentionDecode,
  'attention-prefill.wgsl': attentionPrefill,
  'attention-prefill-matrix.wgsl': attentionPrefillMatrix,
  'attention-prefill-parts.wgsl': attentionPrefillParts,
  'attention-reduce.wgsl': attentionReduce,
  'blocks.wgsl': blocks,
  'dp4a.wgsl': dp4a,
  'dp4a-sums.wgsl': dp4aSums,
  'dp4a-tile.wgsl': dp4aTile,
  'embed.wgsl': embed,
  'edit-row.wgsl': editRow,
  'floats.wgsl': floats,
  'kept.wgsl': kept,
  'kv.wgsl': kv,
  'kv-load.wgsl': kvLoad,
  'kv-store.wgsl': kvStore,
  'logprobs-blocks.wgsl': logprobsBlocks,
  'logprobs-target.wgsl': logprobsTarget,
  'logprobs-top.wgsl': logprobsTop,
  'matmul.wgsl': matmul,
  'matmul-weights.wgsl': matmulWeights,
  'gemv-sums.wgsl': gemvSums,
  'gemv-sums-quantised.wgsl': gemvSumsQuantised,
  'gemv-sums-staged.wgsl': gemvSumsStaged,
  'matmul-sums.wgsl': matmulSums,
  'matmul-output.wgsl': matmulOutput,
  'matmul-part.wgsl': matmulPart,
  'matmul-sums-dp4a.wgsl': matmulSumsDp4a,
  'matmul-sums-quantised.wgsl': matmulSumsQuantised,
  'matmul-dp4a.wgsl': matmulDp4a,
  'matmul-gemv.wgsl': matmulGemv,
  'matmul-rows.wgsl': matmulRows,
  'matmul-tile.wgsl': matmulTile,
  'matmul-matrix.wgsl': matmulMatrix,
  'matmul-pack.wgsl': matmulPack,
  'matmul-range.wgsl': matmulRange,
  'matmul-reduce.wgsl': matmulReduce,
  'matrix-sums.wgsl': matrixSums,
  'matrix-tile.wgsl': matrixTile,
  'narrow.wgsl': narrow,
  'moe.wgsl': moe,
  'moe-align.wgsl': moeAlign,
  'moe-combine.wgsl': moeCombine,
  'moe-combine-output.wgsl': moeCombineOutput,
  'moe-matmul-dp4a.wgsl': moeMatmulDp4a,
  'moe-matmul-gemv.wgsl': moeMatmulGemv,
  'moe-matmul-matrix.wgsl': moeMatmulMatrix,
  'moe-matmul-rows.wgsl': moeMatmulRows,
  'moe-matmul-tile.wgsl': moeMatmulTile,
  'moe-route.wgsl': moeRoute,
  'order.wgsl': order,
  'parts.wgsl': parts,
  'power-scale.wgsl': powerScale,
  'quantise-rows.wgsl': quantiseRows,
  'random.wgsl': random,
  'qk-norm.wgsl': qkNorm,
  'reduce.wgsl': reduce,
  'reduce-max.wgsl': reduceMax,
  'reduce-subgroup.wgsl': reduceSubgroup,
  'rms-norm.wgsl': rmsNorm,
  'rope-kv.wgsl': ropeKv,
  'sample-band.wgsl': sampleBand,
  'sample-draw.wgsl': sampleDraw,
  'sample-edit.wgsl': sampleEdit,
  'sample-heat.wgsl': sampleHeat,
  'sample-mask.wgsl': sampleMask,
  'sample-masses.wgsl': sampleMasses,
  'sample-mirostat.wgsl': sampleMirostat,
  'sample-moments.wgsl': sampleMoments,
  'sample-narrow.wgsl': sampleNarrow,
  'sample-pick.wgsl': samplePick,
  'sample-sigma.wgsl': sampleSigma,
  'sample-surprise.wgsl': sampleSurprise,
  'sample-survey.wgsl': sampleSurvey,
  'sample-typical.wgsl': sampleTypical,
  'sample-xtc.wgsl': sampleXtc,
  'slots.wgsl': slots,
  'weight-groups.wgsl': weightGroups,
  'weight-reads.wgsl': weightReads,
  'visible.wgsl': visible,
  'weights.wgsl': weights,
} as const;

export type ShaderName = keyof typeof shaderSources;
