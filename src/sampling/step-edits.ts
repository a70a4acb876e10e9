/**
 * What a step tells the GPU of the tables of its sequences: where each lies, and what changed in it.
 *
 * Owns the choice between patches, which travel with the step's arrays, and uploads of whole tables: those that are new, moved or changed a
 * lot. Shapes: `EditBatch` in the op. Next: `edit-table.ts` (what is told), `edit-heap.ts` (where it lies).
 */
import type { SamplingParams } from '../engine/types.ts';
import { EditHeap } from './edit-heap.ts';
import { EDIT_WORDS, type EditTable, MANY_CHANGES } from './edit-table.ts';

/** As in the op. */
const EDIT_ROW_WORDS = 9;
const PATCH_WORDS = 5;

/** Edits of the step prepared last. */
export class StepEdits {
  maxEdits = 0;
  rows = new Uint32Array(0);
  numPatches = 0;
  patches = new Uint32Array(0);
  readonly uploads: { start: number; words: Uint32Array<ArrayBuffer> }[] = [];
  private floats = new Float32Array(0);
  private readonly heap = new EditHeap();
  private readonly tables: EditTable[] = [];
  /** The row of each table. */
  private readonly tableRows: number[] = [];

  get capacity(): number {
    return this.heap.capacity;
  }

  /** Begins a step in which no row has edits. Mutates: the rows that had some in the last. */
  reset(numRows: number): void {
    this.maxEdits = this.numPatches = 0;
    for (const row of this.tableRows) {
      this.rows[row * EDIT_ROW_WORDS + 1] = 0;
      this.rows[row * EDIT_ROW_WORDS + 8] = 0;
    }
    this.uploads.length = this.tables.length = this.tableRows.length = 0;
    if (this.rows.length >= numRows * EDIT_ROW_WORDS) return;
    this.rows = new Uint32Array(2 * numRows * EDIT_ROW_WORDS);
    this.floats = new Float32Array(this.rows.buffer);
    this.patches = new Uint32Array(2 * numRows * MANY_CHANGES * PATCH_WORDS);
  }

  /** `isPending`: the newest token lies on the GPU alone and is to be counted. */
  add(row: number, table: EditTable, params: SamplingParams, isPending: boolean): void {
    const at = row * EDIT_ROW_WORDS;
    this.rows[at + 1] = table.size;
    this.floats[at + 5] = params.repetitionPenalty;
    this.floats[at + 6] = params.frequencyPenalty;
    this.floats[at + 7] = params.presencePenalty;
    this.rows[at + 8] = isPending ? 1 : 0;
    this.maxEdits = Math.max(this.maxEdits, table.size + (isPending ? 1 : 0));
    this.tables.push(table);
    this.tableRows.push(row);
  }

  /** Ends the step: finds places and gathers what the GPU does not have. Mutates: the tables count as given. */
  collect(): void {
    const { tables, tableRows } = this;
    this.heap.place(tables);
    for (let i = 0; i < tables.length; i++) this.gather(tableRows[i] as number, tables[i] as EditTable);
  }

  /** The GPU was not given what was gathered. */
  forgetGpu(): void {
    this.heap.clear();
  }

  private gather(row: number, table: EditTable): void {
    const { place, changed } = table;
    if (place === null) throw new Error('a table has no place');
    const at = row * EDIT_ROW_WORDS;
    const isPatched = place.numThere > 0 && changed.length < MANY_CHANGES;
    this.rows[at] = place.start;
    this.rows[at + 2] = isPatched ? place.numThere : table.size;
    this.rows[at + 3] = this.numPatches;
    this.rows[at + 4] = isPatched ? changed.length : 0;
    if (isPatched) for (const index of changed) this.patch(table, index);
    else if (table.size > 0) {
      this.uploads.push({ start: place.start, words: table.words.subarray(0, table.size * EDIT_WORDS) });
    }
    place.numThere = table.size;
    changed.length = 0;
  }

  private patch({ words }: EditTable, index: number): void {
    const { patches } = this;
    const to = this.numPatches++ * PATCH_WORDS;
    const from = index * EDIT_WORDS;
    patches[to] = index;
    for (let i = 0; i < EDIT_WORDS; i++) patches[to + 1 + i] = words[from + i] as number;
  }
}
