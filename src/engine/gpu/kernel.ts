/**
 * A compiled compute kernel: WGSL text -> pipeline, with its bindings found by name in the shader itself.
 *
 * Owns the parsing of `@group(0) @binding(n) var<...> name` and the explicit bind-group layout; bind groups are cached by the
 * buffers bound, because making one costs more than a dispatch. A uniform named `params` is bound with a dynamic offset.
 * Next: `recorder.ts` dispatches kernels, `device.ts` makes and caches them.
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

/** A buffer, or part of one, to bind. */
export interface BoundRange {
  readonly buffer: GpuBuffer;
  /** Units: bytes; a multiple of the device's alignment. */
  readonly offset: number;
  readonly bytes: number;
}

export type Bindable = GpuBuffer | BoundRange;

/** Compiled kernel with its cache of bind groups. */
export class Kernel {
  private readonly groups = new Map<string, GPUBindGroup>();

  constructor(
    readonly label: string,
    readonly code: string,
    readonly pipeline: GPUComputePipeline,
    readonly layout: GPUBindGroupLayout,
    /** Storage bindings in order of index; the uniform `params` is bound by the recorder. */
    readonly storage: readonly BindingDeclaration[],
    readonly params: { readonly index: number; readonly layout: StructLayout } | null,
    private readonly device: GPUDevice,
  ) {}

  /** Number of bind groups made so far; a steady step makes none. */
  get numBindGroups(): number {
    return this.groups.size;
  }

  /** The bind group for these buffers. Throws: Error when one is missing or not declared. */
  bindGroup(buffers: Readonly<Record<string, Bindable>>, paramsBuffer: GpuBuffer): GPUBindGroup {
    let key = '';
    for (const { name } of this.storage) {
      const bound = buffers[name];
      if (!bound) throw new Error(`${this.label}: nothing is bound to ${name}`);
      key += 'buffer' in bound ? `${bound.buffer.id}+${bound.offset}:${bound.bytes},` : `${bound.id},`;
    }
    const cached = this.groups.get(key);
    if (cached) return cached;
    for (const name of Object.keys(buffers)) {
      if (!this.storage.some((binding) => binding.name === name)) throw new Error(`${this.label}: no binding ${name}`);
    }
    const entries: GPUBindGroupEntry[] = this.storage.map(({ name, index }) => {
      const bound = buffers[name] as Bindable;
      const resource =
        'buffer' in bound
          ? { buffer: bound.buffer.raw, offset: bound.offset, size: bound.bytes }
          : { buffer: bound.raw };
      return { binding: index, resource };
    });
    if (this.params) {
      const { index, layout } = this.params;
      entries.push({ binding: index, resource: { buffer: paramsBuffer.raw, offset: 0, size: layout.bytes } });
    }
    const group = this.device.createBindGroup({ label: this.label, layout: this.layout, entries });
    this.groups.set(key, group);
    return group;
  }
}
