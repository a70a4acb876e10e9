/**
 * The norm before a product of the hidden rows: folded into the product where its kernel takes it, else an op of its own.
 *
 * Next: `ops/matmul.ts` (which kernels do), `../decoder.ts` and `ffn.ts` (who call it).
 */
import type { OpContext } from '../../ops/context.ts';
import { type FoldedNorm, foldsNorm } from '../../ops/matmul.ts';
import { recordRmsNorm } from '../../ops/rms-norm.ts';
import type { Matrix, Tensor, Vector } from '../../ops/tensor.ts';
import type { Activations } from '../activations.ts';
import type { ModelSpec } from '../spec.ts';

export interface NormedArgs {
  readonly spec: ModelSpec;
  readonly activations: Activations;
  readonly weight: Vector;
  /** The matrix of the product that follows; null when something follows that cannot take a norm along. */
  readonly next: Matrix | null;
  readonly numRows: number;
  /** Whether that product is gated. */
  readonly gated?: boolean;
}

/** What the next product reads: the hidden rows with their norm to fold in, or the rows of a norm recorded here. */
export function recordNormed(context: OpContext, args: NormedArgs): { x: Tensor; norm: FoldedNorm | null } {
  const { activations, weight, next, numRows } = args;
  const { hidden, normed } = activations;
  const eps = args.spec.normEps;
  if (next && foldsNorm(context, next, numRows, args.gated ?? false)) return { x: hidden, norm: { weight, eps } };
  recordRmsNorm(context, { x: hidden, weight, y: normed, numRows, rowList: null, eps });
  return { x: normed, norm: null };
}
