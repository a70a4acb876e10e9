/**
 * Finds out, before a model is loaded, whether the adapter's driver computes right with the capabilities that kernels would use.
 *
 * Owns the order: all at once first, because nearly every adapter passes; where something is wrong, one capability after the other, and
 * those that fail are withheld. What passed is not remembered, because drivers change. Its kernels are mostly those that the model needs
 * anyway. Next: `check-case.ts` (one computation), `check-model.ts` (what of a model counts), `../load-model.ts` (who calls it).
 */

import { adapterName } from '../gpu/binding.ts';
import { CAPABILITIES, type Capability } from '../gpu/capabilities.ts';
import type { GpuDevice } from '../gpu/device.ts';
import { KernelFault } from '../gpu/kernel-cache.ts';
import { Recorder } from '../gpu/recorder.ts';
import { makeContext, type OpContext } from '../ops/context.ts';
import { EngineError } from '../types.ts';
import { decodeCase, promptCase } from './attention.ts';
import { type CheckCase, largestError } from './check-case.ts';
import type { CheckedModel } from './check-model.ts';
import { bytesCase, f16WeightsCase, matrixCases, normCase, vectorCase } from './products.ts';
import { Workbench } from './workbench.ts';

/** Arrays of one round: block tables and contexts. Units: bytes. */
const ARRAY_BYTES = 1 << 16;

export interface SelfCheckOptions {
  readonly model: CheckedModel;
  /** Check the kernels made for adapters that compute on the CPU: there only those that the model needs in any case. */
  readonly software: boolean;
  /** Told one sentence for each capability that is given up. */
  readonly onNotice: (message: string) => void;
}

/**
 * Checks the adapter and withholds from the device what it gets wrong.
 * Throws: EngineError('load-failed') when the kernels that do without are wrong, too; other EngineErrors when the device fails.
 */
export async function selfCheck(device: GpuDevice, options: SelfCheckOptions): Promise<void> {
  const check = new SelfCheck(device, options);
  try {
    if (!(await check.isFaulty())) return;
    for (const capability of CAPABILITIES) await check.settle(capability);
    await check.assertRight();
  } finally {
    check.close();
  }
}

class SelfCheck {
  private readonly bench: Workbench;
  private readonly recorder: Recorder;
  private readonly cases: readonly CheckCase[];
  private readonly adapter: string;

  constructor(
    private readonly device: GpuDevice,
    private readonly options: SelfCheckOptions,
  ) {
    this.bench = new Workbench(device);
    this.recorder = new Recorder(device, ARRAY_BYTES);
    this.bench.kept(this.recorder.arena);
    this.cases = this.makeCases();
    this.adapter = `${adapterName(device.adapter)} through ${device.binding}`;
  }

  async isFaulty(): Promise<boolean> {
    return (await this.faultOf(this.cases, this.context('dp4a'))) !== null;
  }

  /** Decides about one capability; those before it are decided. Throws: EngineError when its absence does not help. */
  async settle(capability: Capability): Promise<void> {
    const cases = this.cases.filter(({ uses }) => uses.includes(capability));
    let fault = await this.faultOf(cases, this.context(capability));
    if (fault !== null && this.isUsed(capability)) {
      this.device.withhold(capability);
      this.options.onNotice(`GPU: kernels go without ${capability}: ${this.adapter} ${fault}`);
      fault = await this.faultOf(cases, this.context(capability));
    }
    if (fault !== null) throw new EngineError('load-failed', `${this.adapter} ${fault}`);
  }

  /** Throws: EngineError where something is wrong and no capability is to blame. */
  async assertRight(): Promise<void> {
    const fault = await this.faultOf(this.cases, this.context('dp4a'));
    if (fault !== null) throw new EngineError('load-failed', `${this.adapter} ${fault}`);
  }

  close(): void {
    this.bench.close();
  }

  private makeCases(): CheckCase[] {
    const { bench, device } = this;
    const { model, software } = this.options;
    const cases = [normCase(bench, model), decodeCase(bench, model)];
    if (!software) cases.push(vectorCase(bench, model));
    if (device.hasF16 && (!software || model.hasF16Weights)) cases.push(f16WeightsCase(bench));
    if (this.isUsed('matrices')) {
      cases.push(...matrixCases(bench));
      if (model.kvFormat === 'f16') cases.push(promptCase(bench, model));
    }
    if (model.dp4a && this.isUsed('dp4a')) cases.push(bytesCase(bench, model.dp4a));
    return cases;
  }

  private isUsed(capability: Capability): boolean {
    const { device, options } = this;
    if (capability === 'subgroups') return device.hasSubgroups;
    if (capability === 'f16') return device.hasF16;
    if (capability === 'dp4a') return device.hasDp4a;
    return !options.software && this.context('dp4a').matrix !== null;
  }

  /** With what is not withheld, and nothing that comes after a capability. */
  private context(last: Capability): OpContext {
    const all = makeContext(this.device, this.recorder, this.options.software);
    const has = (capability: Capability) => CAPABILITIES.indexOf(capability) <= CAPABILITIES.indexOf(last);
    return { ...all, f16: all.f16 && has('f16'), matrix: has('matrices') ? all.matrix : null };
  }

  /** What is wrong, to follow the adapter's name; null = nothing. Throws: EngineError when the device fails. */
  private async faultOf(cases: readonly CheckCase[], context: OpContext): Promise<string | null> {
    const { device, recorder } = this;
    if (cases.length === 0) return null;
    const record = () => {
      for (const each of cases) each.record(context);
    };
    try {
      await device.collectKernels(async () => {
        record();
        recorder.reset();
      });
      await device.compileCollected(() => {});
    } catch (error) {
      if (error instanceof KernelFault) return `does not compile ${firstLine(error.message)}`;
      throw error;
    }
    let bytes = new Uint8Array();
    const reported = await device.faultOf(async () => {
      // What a kernel leaves out is no number.
      for (const { out } of cases) device.write(out.buffer, 0, new Uint8Array(out.rows * out.stride * 4).fill(0xff));
      record();
      recorder.submit();
      const ranges = cases.map(({ out }) => ({ buffer: out.buffer, offset: 0, bytes: out.rows * out.stride * 4 }));
      bytes = (await device.copyOut(ranges).read()) as typeof bytes;
    });
    return reported === null ? worstOf(cases, new Float32Array(bytes.buffer)) : `reports: ${firstLine(reported)}`;
  }
}

/** The case that lies farthest outside its tolerance, in words; null when all are inside. Shapes: the results one after the other. */
function worstOf(cases: readonly CheckCase[], results: Float32Array): string | null {
  let worst: string | null = null;
  let worstRatio = 1;
  let at = 0;
  for (const each of cases) {
    const count = each.out.rows * each.out.stride;
    const error = largestError(each, results.subarray(at, at + count));
    at += count;
    const ratio = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error / each.tolerance;
    if (ratio <= worstRatio) continue;
    worstRatio = ratio;
    const size = Number.isNaN(error) ? 'not a number' : `largest error ${error.toPrecision(2)}`;
    worst = `computes ${each.name} wrong (${size}, allowed ${each.tolerance.toPrecision(2)})`;
  }
  return worst;
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0]?.slice(0, 300) ?? '';
}
