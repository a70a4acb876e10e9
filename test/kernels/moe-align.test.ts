import { describe, expect, test } from 'bun:test';
import type { BindingName } from '../../src/engine/gpu/binding.ts';
import { GpuDevice } from '../../src/engine/gpu/device.ts';
import { allocateMoeLists, maxTiles, recordMoeAlign } from '../../src/engine/ops/moe-align.ts';
import { context, gpuTest, upload } from '../helpers/gpu.ts';
import { expertIds, moeRoutes, type Spread } from '../helpers/moe.ts';
import { moeAlignReference } from '../reference/moe-align.ts';

/** [tokens, experts, chosen, rows of a tile, spread] */
const CASES: [number, number, number, number, Spread][] = [
  [1, 8, 2, 4, 'random'],
  [3, 8, 2, 4, 'one'],
  [17, 60, 4, 8, 'random'],
  [100, 8, 1, 16, 'few'],
  [100, 128, 8, 4, 'random'],
  [129, 8, 2, 32, 'one'],
  [40, 512, 16, 4, 'few'],
];

describe('moe-align', () => {
  gpuTest('pairs by expert, then by token; tiles of one expert each, and empty ones behind', async (device) => {
    for (const software of [false, true]) {
      for (const [numTokens, numExperts, topK, tileRows, spread] of CASES) {
        const ids = expertIds(numTokens, numExperts, topK, spread);
        const numPairs = ids.length;
        const routes = moeRoutes(device, numExperts, topK, ids, new Float32Array(numPairs));
        // Room for more than this step, as in a server, with what an earlier step left.
        const room = numPairs + 5;
        const sized = allocateMoeLists(device, room, numExperts, tileRows);
        const lists = { buffer: upload(device, 'lists', new Uint8Array(sized.buffer.bytes).fill(7)), tilesAt: room };
        const ops = context(device, { subgroups: false, f16: false, software });
        recordMoeAlign(ops, routes, lists, numPairs, tileRows);
        ops.recorder.submit();
        const bytes = await device.read(lists.buffer, 0, lists.buffer.bytes);
        const words = [...new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)];
        const want = moeAlignReference(ids, numExperts, tileRows);
        const what = `${numTokens} tokens, ${topK} of ${numExperts}, tiles of ${tileRows}, ${spread}, software=${software}`;
        expect({ what, pairs: words.slice(0, numPairs) }).toEqual({ what, pairs: want.pairs });
        const slots = maxTiles(numPairs, numExperts, tileRows);
        expect(want.tiles.length).toBeLessThanOrEqual(slots);
        for (let i = 0; i < slots; i++) {
          const [expert, first, count] = words.slice(room + i * 3);
          const tile = want.tiles[i];
          if (tile) expect({ what, i, expert, first, count }).toEqual({ what, i, ...tile });
          else expect({ what, i, count }).toEqual({ what, i, count: 0 });
        }
        const untouched = 0x07070707;
        expect(words.slice(numPairs, room).every((word) => word === untouched)).toBe(true);
        expect(words.slice(room + slots * 3).every((word) => word === untouched)).toBe(true);
      }
    }
  });

  gpuTest('does not rely on cleared workgroup memory', async () => {
    const name = (process.env.GPU_BINDING ?? 'bun-webgpu') as BindingName;
    const device = await GpuDevice.open(name, { robustness: false, profiling: false });
    const ids = expertIds(40, 60, 4, 'random');
    const routes = moeRoutes(device, 60, 4, ids, new Float32Array(ids.length));
    const lists = allocateMoeLists(device, ids.length, 60, 4);
    for (let run = 0; run < 2; run++) {
      const ops = context(device);
      recordMoeAlign(ops, routes, lists, ids.length, 4);
      ops.recorder.submit();
      const bytes = await device.read(lists.buffer, 0, ids.length * 4);
      const want = moeAlignReference(ids, 60, 4).pairs;
      expect([...new Uint32Array(bytes.buffer, bytes.byteOffset, ids.length)]).toEqual(want);
    }
    device.close();
  });

  test('the most tiles there can be: no choice of experts makes more, and one makes as many', () => {
    for (const [numPairs, numExperts, tileRows] of [
      [1, 8, 4],
      [7, 8, 4],
      [9, 8, 4],
      [64, 3, 16],
      [100, 128, 4],
      [1000, 60, 32],
    ] as const) {
      // One pair more than full tiles for each expert wastes most.
      const spread = Array.from({ length: numPairs }, (_, i) => (i < numExperts ? i : 0));
      const bound = maxTiles(numPairs, numExperts, tileRows);
      const { tiles } = moeAlignReference(spread, numExperts, tileRows);
      expect(tiles.length).toBeLessThanOrEqual(bound);
      expect(tiles.length).toBeGreaterThanOrEqual(bound - 1);
    }
  });
});
