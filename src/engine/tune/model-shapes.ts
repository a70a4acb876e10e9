/**
 * The matrices of a model that the matrix-vector kernel multiplies with, by shape.
 *
 * Owns which weights are alike: layers repeat the same shapes, and going through all of them reads memory as a step does, where one
 * matrix alone would stay in the adapter's cache. Next: `autotune.ts` (who times them).
 */
import type { LayerWeights, ModelWeights } from '../models/weights.ts';
import { type Matrix, type MatrixFormat, rowBytes, type Vector } from '../ops/tensor.ts';
import type { TunedKind } from '../ops/tuned-plans.ts';

/** One product of one layer: a matrix, or the two of a gated pair, and what a step does along with it. */
export interface TunableProduct {
  readonly weight: Matrix;
  readonly second: Matrix | null;
  readonly bias: Vector | null;
  readonly secondBias: Vector | null;
  /** Takes the norm before it along, where the kernel can. */
  readonly hasNorm: boolean;
  /** Adds to the residual. */
  readonly accumulates: boolean;
}

/** Products of one shape. */
export interface TunableShape {
  readonly kind: TunedKind;
  readonly format: MatrixFormat;
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
  for (const product of [...layers.flatMap(productsOf), { ...PLAIN, weight: head }]) {
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

const PLAIN = { second: null, bias: null, secondBias: null, hasNorm: false, accumulates: false };

/** As `models/decoder.ts` records them. Experts have kernels of their own, see `ops/moe-matmul.ts`. */
function productsOf({ qkv, qkvBias, o, oBias, ffn }: LayerWeights): TunableProduct[] {
  const products: TunableProduct[] = [
    { ...PLAIN, weight: qkv, bias: qkvBias, hasNorm: true },
    { ...PLAIN, weight: o, bias: oBias, accumulates: true },
  ];
  if (ffn.kind === 'dense') {
    const { gate, gateBias, up, upBias, down, downBias } = ffn;
    products.push(
      { ...PLAIN, weight: gate, second: up, bias: gateBias, secondBias: upBias, hasNorm: true },
      { ...PLAIN, weight: down, bias: downBias, accumulates: true },
    );
    return products;
  }
  products.push({ ...PLAIN, weight: ffn.router, hasNorm: true });
  if (ffn.shared) {
    const { gate, up, down } = ffn.shared;
    products.push({ ...PLAIN, weight: gate, second: up, hasNorm: true }, { ...PLAIN, weight: down });
  }
  return products;
}
