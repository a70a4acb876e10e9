/**
 * Mirostat's feedback: how much surprise a sequence may have next, learnt from how surprising its last token was.
 *
 * Owns the state of one sequence. It lives with the sequence on the host, so that preemption and computing again do not touch it, and
 * it moves only when the token that it saw was really appended. Next: `stages.ts` (uploads it), `engine/ops/sample-records.ts` (reports
 * surprises).
 * Source: Basu et al., "Mirostat" (arXiv 2007.14966), algorithm 2.
 */

/** State of one sequence. */
export class MirostatState {
  private mu: number;
  /** What `mu` becomes once the output has grown beyond `from`. */
  private next: { readonly mu: number; readonly from: number } | null = null;
  private numOutputs = 0;

  constructor(private readonly params: { readonly tau: number; readonly eta: number }) {
    this.mu = 2 * params.tau;
  }

  /** The most surprise that the token after `numOutputs` others may have. Units: bits. */
  begin(numOutputs: number): number {
    if (this.next && numOutputs > this.next.from) {
      this.mu = this.next.mu;
      this.next = null;
    }
    this.numOutputs = numOutputs;
    return this.mu;
  }

  /** Takes the surprise of the token that was sampled after the last {@link begin}. Units: bits. */
  take(surprise: number): void {
    if (!Number.isFinite(surprise)) return;
    const { tau, eta } = this.params;
    this.next = { mu: this.mu - eta * (surprise - tau), from: this.numOutputs };
  }
}
