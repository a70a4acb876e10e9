/**
 * The tensors of a model as the decoder uses them, loaded by the names that its spec gives.
 *
 * Owns which tensors are stacked (q, k, v become one matrix, and so do the experts of a layer) and the rule for tied heads. Next: `decoder.ts`, `weights/loader.ts`.
 */
import type { Matrix, Vector } from '../ops/tensor.ts';
import type { WeightLoader } from '../weights/loader.ts';
import type { ModelSpec } from './spec.ts';

export interface LayerWeights {
  readonly attentionNorm: Vector;
  /** Rows: all heads of q, then of k, then of v. Shapes: [(H + 2G) D, E]. */
  readonly qkv: Matrix;
  readonly qkvBias: Vector | null;
  readonly qNorm: Vector | null;
  readonly kNorm: Vector | null;
  readonly o: Matrix;
  readonly oBias: Vector | null;
  readonly ffnNorm: Vector;
  readonly ffn: DenseFfnWeights | MoeWeights;
}

export interface DenseFfnWeights {
  readonly kind: 'dense';
  readonly gate: Matrix;
  readonly gateBias: Vector | null;
  readonly up: Matrix;
  readonly upBias: Vector | null;
  readonly down: Matrix;
  readonly downBias: Vector | null;
}

/** All experts of a layer, stacked by rows: X = number of experts, F = their width. */
export interface MoeWeights {
  readonly kind: 'moe';
  /** One row more for the shared expert's own weight, where there is one. Shapes: [X (+ 1), E]. */
  readonly router: Matrix;
  /** Shapes: [X F, E]. */
  readonly gate: Matrix;
  /** Shapes: [X F, E]. */
  readonly up: Matrix;
  /** Shapes: [X E, F]. */
  readonly down: Matrix;
  readonly shared: { readonly gate: Matrix; readonly up: Matrix; readonly down: Matrix } | null;
}

export interface ModelWeights {
  readonly embedding: Matrix;
  readonly layers: readonly LayerWeights[];
  readonly finalNorm: Vector;
  readonly head: Matrix;
}

/** Loads everything the spec names. Throws: EngineError for missing, misshapen or unexpected tensors. */
export async function loadModelWeights(loader: WeightLoader, spec: ModelSpec): Promise<ModelWeights> {
  const { names, hidden, vocab } = spec;
  const embedding = await loader.matrix([names.embedding], [vocab], hidden);
  const layers: LayerWeights[] = [];
  for (let i = 0; i < spec.layers.length; i++) layers.push(await loadLayer(loader, spec, i));
  const finalNorm = await loader.vector([names.finalNorm], [hidden]);
  // A checkpoint that ties its head may hold a second copy of the table; the configuration decides, as in vLLM.
  const hasHead = loader.has(names.head) && !spec.tiedHead;
  const head = hasHead || !spec.tiedHead ? await loader.matrix([names.head], [vocab], hidden) : embedding;
  loader.assertAllUsed(spec.tiedHead ? [...spec.ignoredTensors, literal(names.head)] : spec.ignoredTensors);
  return { embedding, layers, finalNorm, head };
}

async function loadLayer(loader: WeightLoader, spec: ModelSpec, index: number): Promise<LayerWeights> {
  const { names, hidden, ffn, bias } = spec;
  const name = (template: string) => template.replace('{i}', String(index));
  const weight = (template: string) => `${name(template)}.weight`;
  const q = spec.heads * spec.headDim;
  const kv = spec.kvHeads * spec.headDim;
  const norm = (template: string, length = hidden) => loader.vector([name(template)], [length]);
  const biasOf = (wanted: boolean, templates: string[], lengths: number[]) =>
    wanted
      ? loader.vector(
          templates.map((template) => `${name(template)}.bias`),
          lengths,
        )
      : null;
  return {
    attentionNorm: await norm(names.attentionNorm),
    qkv: await loader.layerMatrix([weight(names.q), weight(names.k), weight(names.v)], [q, kv, kv], hidden),
    qkvBias: await biasOf(bias.qkv, [names.q, names.k, names.v], [q, kv, kv]),
    qNorm: names.qNorm ? await norm(names.qNorm, spec.qkNorm === 'whole' ? q : spec.headDim) : null,
    kNorm: names.kNorm ? await norm(names.kNorm, spec.qkNorm === 'whole' ? kv : spec.headDim) : null,
    o: await loader.layerMatrix([weight(names.o)], [hidden], q),
    oBias: await biasOf(bias.o, [names.o], [hidden]),
    ffnNorm: await norm(names.ffnNorm),
    ffn: spec.layers[index]?.ffn === 'moe' ? await loadMoe(loader, spec, index) : await loadDense(),
  };

  async function loadDense(): Promise<DenseFfnWeights> {
    return {
      kind: 'dense',
      gate: await loader.layerMatrix([weight(names.gate)], [ffn], hidden),
      gateBias: await biasOf(bias.ffn, [names.gate], [ffn]),
      up: await loader.layerMatrix([weight(names.up)], [ffn], hidden),
      upBias: await biasOf(bias.ffn, [names.up], [ffn]),
      down: await loader.layerMatrix([weight(names.down)], [hidden], ffn),
      downBias: await biasOf(bias.ffn, [names.down], [hidden]),
    };
  }
}

async function loadMoe(loader: WeightLoader, spec: ModelSpec, index: number): Promise<MoeWeights> {
  const { hidden, moe } = spec;
  const names = spec.names.moe;
  if (!moe || !names) throw new Error(`layer ${index} is a mixture of experts, but the spec does not say which`);
  const weight = (template: string, expert = 0) =>
    `${template.replace('{i}', String(index)).replace('{e}', String(expert))}.weight`;
  const experts = (template: string, rows: number, columns: number) => {
    const all = Array.from({ length: moe.numExperts }, (_, e) => weight(template, e));
    return loader.layerMatrix(
      all,
      all.map(() => rows),
      columns,
      rows,
    );
  };
  const one = (template: string, rows: number, columns: number) =>
    loader.layerMatrix([weight(template)], [rows], columns);
  const shared = moe.sharedFfn !== null && names.shared ? { ffn: moe.sharedFfn, names: names.shared } : null;
  const routers = shared ? [weight(names.router), weight(shared.names.router)] : [weight(names.router)];
  return {
    kind: 'moe',
    // Small, and the choice hangs on small differences: never integers.
    router: await loader.matrix(routers, [moe.numExperts, 1], hidden),
    gate: await experts(names.gate, moe.ffn, hidden),
    up: await experts(names.up, moe.ffn, hidden),
    down: await experts(names.down, hidden, moe.ffn),
    shared: shared && {
      gate: await one(shared.names.gate, shared.ffn, hidden),
      up: await one(shared.names.up, shared.ffn, hidden),
      down: await one(shared.names.down, hidden, shared.ffn),
    },
  };
}

function literal(text: string): RegExp {
  return new RegExp(`^${text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`);
}
