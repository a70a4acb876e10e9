/**
 * The matrices of a model that the matrix-vector kernel multiplies with, by shape.
 *
 * Owns which weights are alike: layers repeat the same shapes, and going through all of them reads memory as a step does, where one
 * matrix alone would stay in the adapter's cache. Next: `autotune.ts` (who times them).
 */
import type { LayerWeights, ModelWeights } from '../models/weights.ts';
import { type Matrix, rowBytes } from '../ops/tensor.ts';
import type { TunedKind } from '../ops/tuned-plans.ts';

/** One product of one layer: a matrix, or the two of a gated pair. */
export interface TunableProduct {
  readonly weight: Matrix;
  readonly second: Matrix | null;
}

/** Products of one shape. */
export interface TunableShape {
  readonly kind: TunedKind;
  readonly format: string;
  /** Shapes: each matrix is [n, k]. */
  readonly n: number;
  readonly k: number;
  /** Of one product. Units: bytes. */
  readonly bytes: number;
  readonly products: readonly TunableProduct[];
}

/** The shapes of a model, those that take most of a step's time first. */
export function modelShapes({ layers, head }: ModelWeights): TunableShape[] {
  const shapes = new Map<string, TunableShape & { products: TunableProduct[] }>();
  for (const product of [...layers.flatMap(productsOf), { weight: head, second: null }]) {
    const { weight, second } = product;
    const kind = second ? 'gated-gemv' : 'gemv';
    const { format, rows: n, columns: k } = weight;
    const key = `${kind} ${format} ${n} ${k}`;
    const bytes = rowBytes(format, k) * n * (second ? 2 : 1);
    const shape = shapes.get(key) ?? { kind, format, n, k, bytes, products: [] };
    shape.products.push(product);
    shapes.set(key, shape);
  }
  const total = (shape: TunableShape) => shape.bytes * shape.products.length;
  return [...shapes.values()].toSorted((a, b) => total(b) - total(a));
}

/** Experts have kernels of their own, see `ops/moe-matmul.ts`. */
function productsOf({ qkv, o, ffn }: LayerWeights): TunableProduct[] {
  const single = (weight: Matrix): TunableProduct => ({ weight, second: null });
  const dense = ffn.kind === 'dense' ? ffn : ffn.shared;
  const products = [single(qkv), single(o)];
  if (ffn.kind === 'moe') products.push(single(ffn.router));
  if (dense) products.push({ weight: dense.gate, second: dense.up }, single(dense.down));
  return products;
}
