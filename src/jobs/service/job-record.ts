/**
 * One job of the HTTP service: its state, its times and what it has put out so far.
 *
 * Inputs and outputs are kept as JSON text: that is what they cost in memory and what goes out again. Next: `job-service.ts`.
 */

/** Source: the states of RunPod's serverless API. */
export type JobStatus = 'IN_QUEUE' | 'IN_PROGRESS' | 'COMPLETED' | 'FAILED' | 'CANCELLED' | 'TIMED_OUT';

/** What a client may ask for beside the input. */
export interface JobOptions {
  /** Told of the end. */
  readonly webhook: string | null;
  /** Longest run. Units: milliseconds. */
  readonly executionTimeoutMs: number;
  /** Longest life from submission to the end. Units: milliseconds. */
  readonly ttlMs: number;
  /** How long the result is kept. Units: milliseconds. */
  readonly retentionMs: number;
}

export class JobRecord {
  status: JobStatus = 'IN_QUEUE';
  private outputs: string[] = [];
  private outputChars = 0;
  private numStreamed = 0;
  private error: string | null = null;
  private startedMs: number | null = null;
  private endedMs: number | null = null;
  private waiters: (() => void)[] = [];

  constructor(
    readonly id: string,
    /** JSON text of the input, kept so that the job can run again. */
    readonly inputText: string,
    readonly options: JobOptions,
    private submittedMs: number,
  ) {}

  /** What the record holds. Units: characters of JSON text. */
  get numChars(): number {
    return this.inputText.length + this.outputChars + (this.error?.length ?? 0);
  }

  get hasEnded(): boolean {
    return this.status !== 'IN_QUEUE' && this.status !== 'IN_PROGRESS';
  }

  get hasUnread(): boolean {
    return this.numStreamed < this.outputs.length;
  }

  get numOutputChars(): number {
    return this.outputChars;
  }

  start(nowMs: number): void {
    this.status = 'IN_PROGRESS';
    this.startedMs = nowMs;
  }

  addOutput(text: string): void {
    this.outputs.push(text);
    this.outputChars += text.length;
    this.notify();
  }

  /** The first end counts: a job that is cancelled while it fails stays cancelled. */
  end(status: Exclude<JobStatus, 'IN_QUEUE' | 'IN_PROGRESS'>, error: string | null, nowMs: number): void {
    if (this.hasEnded) return;
    this.status = status;
    this.error = error;
    this.endedMs = nowMs;
    this.notify();
  }

  /** Back to the queue, without its former output. */
  requeue(nowMs: number): void {
    this.status = 'IN_QUEUE';
    this.outputs = [];
    this.outputChars = 0;
    this.numStreamed = 0;
    this.error = null;
    this.startedMs = null;
    this.endedMs = null;
    this.submittedMs = nowMs;
  }

  /** Resolves at the next change: an output or an end. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.waiters.push(resolve));
  }

  /** The state as the platform tells it. A failed job shows its reason and what it had put out. */
  statusText(nowMs: number): string {
    const fields = [...this.timeFields(nowMs), field('id', this.id)];
    if (this.hasEnded && (this.outputs.length > 0 || this.status === 'COMPLETED')) {
      fields.push(`"output":[${this.outputs.join(',')}]`);
    }
    if (this.error !== null) fields.push(field('error', this.error));
    fields.push(field('status', this.status));
    return `{${fields.join(',')}}`;
  }

  /** The outputs that no call has had yet. Mutates: they count as read. */
  takeStreamText(): string {
    const stream = this.outputs.slice(this.numStreamed).map((output) => `{"output":${output}}`);
    this.numStreamed = this.outputs.length;
    const error = this.error === null ? '' : `,${field('error', this.error)}`;
    return `{${field('id', this.id)},${field('status', this.status)},"stream":[${stream.join(',')}]${error}}`;
  }

  private timeFields(nowMs: number): string[] {
    if (this.startedMs === null)
      return this.endedMs === null ? [] : [field('delayTime', this.endedMs - this.submittedMs)];
    const fields = [field('delayTime', this.startedMs - this.submittedMs)];
    if (this.hasEnded) fields.push(field('executionTime', (this.endedMs ?? nowMs) - this.startedMs));
    return fields;
  }

  private notify(): void {
    for (const resolve of this.waiters.splice(0)) resolve();
  }
}

function field(name: string, value: string | number): string {
  return `"${name}":${JSON.stringify(value)}`;
}
