/**
 * Sorts a step's pairs (token, choice) by expert and cuts them into tiles, so that each expert's weights are read once per tile.
 *
 * The host does not know how many tiles there will be: grids are as large as the most there can be, and workgroups of empty tiles end at
 * once. That bound is at most one tile per expert too high. Indirect dispatches would be exact, but a browser-grade implementation checks
 * their arguments in a pass of its own before each. Shader: moe-align.wgsl. Next: `moe-matmul.ts`.
 */
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { GpuDevice } from '../gpu/device.ts';
import { struct } from '../gpu/layout.ts';
import { type OpContext, variant } from './context.ts';
import type { MoeRoutes } from './moe-route.ts';

const moeAlignParams = struct('MoeAlignParams', {
  pairs: 'u32',
  experts: 'u32',
  tile_rows: 'u32',
  tiles_at: 'u32',
  tile_slots: 'u32',
});

const TILE_WORDS = 3;

/** The sorted pairs of a step, then its tiles: (expert, first place in the sorted pairs, number of pairs). */
export interface MoeLists {
  readonly buffer: GpuBuffer;
  /** Word at which the tiles start. */
  readonly tilesAt: number;
}

/** The most tiles that `numPairs` can make: each expert that is used at all may have one that is not full. */
export function maxTiles(numPairs: number, numExperts: number, tileRows: number): number {
  const used = Math.min(numPairs, numExperts);
  return used + Math.floor((numPairs - used) / tileRows);
}

/** Makes room for the lists of any step. `smallestTile`: of the tiles' sizes in use. */
export function allocateMoeLists(
  device: GpuDevice,
  maxPairs: number,
  numExperts: number,
  smallestTile: number,
): MoeLists {
  const words = maxPairs + TILE_WORDS * maxTiles(maxPairs, numExperts, smallestTile);
  return { buffer: device.createBuffer('expert lists', words * 4), tilesAt: maxPairs };
}

/** Records the sorting of a step's pairs. Mutates: lists. Limits: numPairs as allocated. */
export function recordMoeAlign(
  context: OpContext,
  routes: MoeRoutes,
  lists: MoeLists,
  numPairs: number,
  tileRows: number,
): void {
  const { numExperts } = routes;
  if (numPairs > lists.tilesAt) throw new Error(`moe align: ${numPairs} pairs, room for ${lists.tilesAt}`);
  context.recorder.dispatch(
    variant(context, 'moe-align.wgsl', { WG: context.software ? 32 : 256 }, moeAlignParams),
    { ids: routes.ids, lists: lists.buffer },
    {
      pairs: numPairs,
      experts: numExperts,
      tile_rows: tileRows,
      tiles_at: lists.tilesAt,
      tile_slots: maxTiles(numPairs, numExperts, tileRows),
    },
    numExperts,
  );
}
