/**
 * The kernels of a device: found by entry and parameters, made once, compiled one by one or many at a time.
 *
 * Owns the expansion of the shader's text, the explicit layouts and the collecting mode, in which kernels are made without being compiled, so
 * that all of them can be compiled together and in the background. Next: `kernel.ts` (what is made), `preprocess.ts`, `device.ts`.
 */
import { availableParallelism } from 'node:os';
import { EngineError } from '../types.ts';
import { Kernel, parseBindings } from './kernel.ts';
import type { StructLayout } from './layout.ts';
import { type ParamValue, preprocess } from './preprocess.ts';

/** What a kernel is compiled from. */
export interface KernelSource {
  /** File name in `sources`; also the first part of the label. */
  readonly entry: string;
  readonly sources: Readonly<Record<string, string>>;
  readonly params: Readonly<Record<string, ParamValue>>;
  /** Layout of the uniform `params`, if the shader has one. */
  readonly layout: StructLayout | null;
}

/** A kernel does not compile. */
export class KernelFault extends EngineError {
  constructor(
    readonly kernel: Kernel,
    error: unknown,
  ) {
    super('gpu-error', `${kernel.label}: ${error instanceof Error ? error.message : error}`);
  }
}

/** Kernels by entry and then by each parameter's value. */
type KernelTree = Map<ParamValue | string | symbol, KernelTree | Kernel>;
const LEAF = Symbol('kernel');

/** Dawn compiles each pipeline on a thread of its own; more of them than cores only take memory. */
const MAX_COMPILING = 8;

function branchOf(tree: KernelTree, value: ParamValue | string): KernelTree {
  const known = tree.get(value);
  if (known) return known as KernelTree;
  const made: KernelTree = new Map();
  tree.set(value, made);
  return made;
}

export class KernelCache {
  private kernels: Kernel[] = [];
  private readonly tree: KernelTree = new Map();
  /** While true, kernels are made but not compiled. */
  isCollecting = false;

  constructor(private readonly device: GPUDevice) {}

  /** Kernels made so far. */
  get all(): readonly Kernel[] {
    return this.kernels;
  }

  /** Makes a variant, or returns the one that was made before. `DUMP_WGSL=<label prefix>` prints the expanded text. */
  find(source: KernelSource): Kernel {
    const { entry, params } = source;
    // Asked for at every dispatch: a walk is cheaper than a key. An entry's parameters come in one order.
    let branch = branchOf(this.tree, entry);
    for (const name in params) branch = branchOf(branch, params[name] as ParamValue);
    const cached = branch.get(LEAF) as Kernel | undefined;
    if (cached) return cached;
    const kernel = this.make(source);
    if (!this.isCollecting) kernel.compile();
    this.kernels.push(kernel);
    branch.set(LEAF, kernel);
    return kernel;
  }

  /**
   * Compiles what was made while collecting, several at a time. `onCompiled` is told how many are ready, and of how many.
   * Throws: KernelFault naming the kernel that does not compile; what is not compiled then is forgotten.
   */
  async compileAll(onCompiled: (numReady: number, numAll: number) => void): Promise<void> {
    const waiting = this.kernels.filter((kernel) => !kernel.isCompiled);
    let next = 0;
    let numReady = 0;
    let fault: KernelFault | null = null;
    const compileSome = async () => {
      for (let kernel = waiting[next++]; kernel && !fault; kernel = waiting[next++]) {
        try {
          await kernel.compileAsync();
          onCompiled(++numReady, waiting.length);
        } catch (error) {
          fault ??= new KernelFault(kernel, error);
        }
      }
    };
    const numTasks = Math.min(MAX_COMPILING, availableParallelism(), waiting.length);
    await Promise.all(Array.from({ length: numTasks }, compileSome));
    if (!fault) return;
    this.forgetUncompiled(this.tree);
    this.kernels = this.kernels.filter((kernel) => kernel.isCompiled);
    throw fault;
  }

  private forgetUncompiled(tree: KernelTree): void {
    for (const [key, branch] of tree) {
      if (branch instanceof Map) this.forgetUncompiled(branch);
      else if (!branch.isCompiled) tree.delete(key);
    }
  }

  private make(source: KernelSource): Kernel {
    const { entry, params, layout } = source;
    const values = Object.entries(params).map(([name, value]) => `${name}=${value}`);
    const label = `${entry.replace('.wgsl', '')}(${values.join(' ')})`;
    const code = preprocess({ ...source, structs: layout ? { [layout.name]: layout.wgsl } : {} });
    const dump = process.env.DUMP_WGSL;
    if (dump && label.startsWith(dump)) console.error(`// ${label}\n${code}`);
    const bindings = parseBindings(code, label);
    const uniform = bindings.find((binding) => binding.type === 'uniform');
    if (Boolean(uniform) !== Boolean(layout))
      throw new Error(`${label}: the uniform and its layout must come together`);
    const bindGroupLayout = this.device.createBindGroupLayout({
      label,
      entries: bindings.map(({ index, type }) => ({
        binding: index,
        visibility: 4, // compute
        buffer:
          type === 'uniform'
            ? { type, hasDynamicOffset: true, minBindingSize: layout?.bytes ?? 0 }
            : { type, hasDynamicOffset: false, minBindingSize: 0 },
      })),
    });
    const storage = bindings.filter((binding) => binding.type !== 'uniform');
    const paramsBinding = uniform && layout ? { index: uniform.index, layout } : null;
    return new Kernel(label, code, bindGroupLayout, storage, paramsBinding, this.device);
  }
}
