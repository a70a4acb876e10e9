/**
 * Where the tables of sequences lie in the GPU's buffer of edits, so that a step uploads only what it changed.
 *
 * Owns places and no memory. Places are handed out one behind the other and never given back: when the heap is full all are void, and the
 * tables of the sequences that are still there come again. It grows where less than a third would be free then. Next: `edit-table.ts`,
 * `step-edits.ts`.
 */
import type { EditTable } from './edit-table.ts';

/** Places of one preparer. */
export class EditHeap {
  /** Units: edits. */
  capacity = 1024;
  private used = 0;
  private generation = 0;

  /** Gives every table a place with room for all its edits and one more. Mutates: places. */
  place(tables: readonly EditTable[]): void {
    if (tables.every((table) => this.tryPlace(table))) return;
    this.clear();
    const needed = tables.reduce((sum, table) => sum + roomFor(table), 0);
    this.capacity = Math.max(this.capacity, Math.ceil(1.5 * needed));
    for (const table of tables) this.tryPlace(table);
  }

  /** Voids all places: the GPU does not have what it was to be given. */
  clear(): void {
    this.generation++;
    this.used = 0;
  }

  private tryPlace(table: EditTable): boolean {
    const { place } = table;
    if (place?.generation === this.generation && table.size < place.room) return true;
    const room = roomFor(table);
    if (this.used + room > this.capacity) return false;
    table.place = { generation: this.generation, start: this.used, room, numThere: 0 };
    this.used += room;
    return true;
  }
}

/** A table that outgrows its place is uploaded anew: seldom enough with a quarter to spare. */
function roomFor({ size }: EditTable): number {
  return size + Math.max(64, Math.ceil(size / 4));
}
