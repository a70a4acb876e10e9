/**
 * Bans: bad words, and the tokens that may not end a sequence yet.
 *
 * Owns the matching of sequences. Bans of single tokens hold for good and go into the table; the others are found anew in
 * each step. Next: `prepare.ts`.
 */
import type { SamplingParams } from '../engine/types.ts';
import { BAN, type EditTable } from './edit-table.ts';
import { type SampleSource, tokenAt } from './source.ts';

export function hasBans(params: SamplingParams): boolean {
  return params.bannedSequences.length > 0 || params.minTokens > 0;
}

/** Enters the tokens that are banned always. Mutates: table. */
export function enterBans(table: EditTable, params: SamplingParams): void {
  for (const [first, ...rest] of params.bannedSequences) {
    if (first !== undefined && rest.length === 0) table.addBias(first, BAN);
  }
}

/**
 * Collects the tokens that are banned in this step alone, possibly some more than once: the last of a sequence whose
 * beginning is what prompt and output end with; and before `minTokens` every token that could end the sequence.
 * `numOutputs`: tokens that come before the one to sample, known or not.
 * Mutates: into (cleared first).
 */
export function collectBans(
  source: SampleSource,
  numOutputs: number,
  eosTokenIds: readonly number[],
  into: number[],
): void {
  into.length = 0;
  const { params } = source;
  for (const banned of params.bannedSequences) {
    const last = banned.at(-1);
    if (last !== undefined && banned.length > 1 && endsWithPrefix(source, banned)) into.push(last);
  }
  if (numOutputs < params.minTokens) into.push(...eosTokenIds, ...params.stopTokenIds);
}

/** True when all but the last token of `banned` are the newest tokens of the sequence. */
function endsWithPrefix(source: SampleSource, banned: readonly number[]): boolean {
  const prefixLength = banned.length - 1;
  const start = source.promptIds.length + source.outputIds.length - prefixLength;
  if (start < 0) return false;
  for (let i = 0; i < prefixLength; i++) {
    if (tokenAt(source, start + i) !== banned[i]) return false;
  }
  return true;
}
