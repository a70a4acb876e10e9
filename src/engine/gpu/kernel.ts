/**
 * A compiled compute kernel: WGSL text -> pipeline, with its bindings found by name in the shader itself.
 *
 * Owns the parsing of `@group(0) @binding(n) var<...> name` and the explicit bind-group layout; bind groups are cached by the
 * buffers bound, because making one costs more than a dispatch. A uniform named `params` is bound with a dynamic offset.
 * Next: `recorder.ts` dispatches kernels, `kernel-cache.ts` makes them.
 */
import type { GpuBuffer } from './buffer.ts';
import type { StructLayout } from './layout.ts';

/** One `var` of group 0. */
export interface BindingDeclaration {
  readonly name: string;
  readonly index: number;
  readonly type: 'read-only-storage' | 'storage' | 'uniform';
}

const BINDING = /@group\(0\)\s*@binding\((\d+)\)\s*var<\s*(uniform|storage)\s*(?:,\s*(read|read_write))?\s*>\s*(\w+)/g;

/** Lists the bindings of a shader in order of their index. Throws: Error on a repeated index. */
export function parseBindings(code: string, label: string): BindingDeclaration[] {
  const found: BindingDeclaration[] = [];
  for (const [, index, space, access, name] of code.matchAll(BINDING)) {
    const type = space === 'uniform' ? 'uniform' : access === 'read_write' ? 'storage' : 'read-only-storage';
    found.push({ name: name ?? '', index: Number(index), type });
  }
  found.sort((a, b) => a.index - b.index);
  found.forEach((binding, i) => {
    if (found[i + 1]?.index === binding.index) throw new Error(`${label}: binding ${binding.index} is declared twice`);
  });
  return found;
}

/** Bind groups by the ids of their buffers, one level per binding: cheaper than any key that had to be built. */
type GroupTree = Map<number, GroupTree | GPUBindGroup>;

/** Compiled kernel with its cache of bind groups. */
export class Kernel {
  private readonly groups: GroupTree = new Map();
  /** Number of bind groups made so far; a steady step makes none. */
  numBindGroups = 0;
  private compiled: GPUComputePipeline | null = null;

  constructor(
    readonly label: string,
    readonly code: string,
    readonly layout: GPUBindGroupLayout,
    /** Storage bindings in order of index; the uniform `params` is bound by the recorder. */
    readonly storage: readonly BindingDeclaration[],
    readonly params: { readonly index: number; readonly layout: StructLayout } | null,
    private readonly device: GPUDevice,
  ) {}

  get isCompiled(): boolean {
    return this.compiled !== null;
  }

  /** Compiles it at once where that is still to be done. A fault is reported by the device, and the pipeline does nothing. */
  get pipeline(): GPUComputePipeline {
    return this.compiled ?? this.compile();
  }

  compile(): GPUComputePipeline {
    this.compiled = this.device.createComputePipeline(this.descriptor(this.module()));
    return this.compiled;
  }

  /** Compiles it in the background. Throws: Error saying what is wrong with the shader. */
  async compileAsync(): Promise<void> {
    // Without validation a pipeline of a faulty module ends the process, so that the module is asked first.
    this.device.pushErrorScope('validation');
    const module = this.module();
    const fault = await this.device.popErrorScope();
    if (fault) throw new Error(fault.message);
    this.compiled = await this.device.createComputePipelineAsync(this.descriptor(module));
  }

  private module(): GPUShaderModule {
    const { label, code } = this;
    return this.device.createShaderModule({ label, code });
  }

  private descriptor(module: GPUShaderModule): GPUComputePipelineDescriptor {
    const { device, label, layout } = this;
    return {
      label,
      layout: device.createPipelineLayout({ label, bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: 'main' },
    };
  }

  /** The bind group for these buffers. Throws: Error when one is missing or not declared. */
  bindGroup(buffers: Readonly<Record<string, GpuBuffer>>, paramsBuffer: GpuBuffer): GPUBindGroup {
    let tree = this.groups;
    const last = this.storage.length - 1;
    for (let i = 0; i < last; i++) {
      const { id } = this.bufferFor(i, buffers);
      let next = tree.get(id) as GroupTree | undefined;
      if (!next) {
        next = new Map();
        tree.set(id, next);
      }
      tree = next;
    }
    const leaf = this.bufferFor(last, buffers).id;
    let group = tree.get(leaf) as GPUBindGroup | undefined;
    if (!group) {
      group = this.makeGroup(buffers, paramsBuffer);
      tree.set(leaf, group);
    }
    return group;
  }

  private bufferFor(index: number, buffers: Readonly<Record<string, GpuBuffer>>): GpuBuffer {
    const { name } = this.storage[index] as BindingDeclaration;
    const buffer = buffers[name];
    if (!buffer) throw new Error(`${this.label}: nothing is bound to ${name}`);
    return buffer;
  }

  private makeGroup(buffers: Readonly<Record<string, GpuBuffer>>, paramsBuffer: GpuBuffer): GPUBindGroup {
    for (const name of Object.keys(buffers)) {
      if (!this.storage.some((binding) => binding.name === name)) throw new Error(`${this.label}: no binding ${name}`);
    }
    const entries: GPUBindGroupEntry[] = this.storage.map(({ index }, i) => ({
      binding: index,
      resource: { buffer: this.bufferFor(i, buffers).raw },
    }));
    if (this.params) {
      const { index, layout } = this.params;
      entries.push({ binding: index, resource: { buffer: paramsBuffer.raw, offset: 0, size: layout.bytes } });
    }
    this.numBindGroups++;
    return this.device.createBindGroup({ label: this.label, layout: this.layout, entries });
  }
}
