import { decodeBlock, offsets } from "../gradient-store/layout.ts";
import { readManifest, readShard, recordIdAt, StoreDamagedError } from "../gradient-store/manifest.ts";
import type { Block } from "../influence/block.ts";
import { matrix, row } from "../influence/matrix.ts";

/**
 * A store as matrices, one per block with a row per record, in float32. All of it is in memory.
 * @throws StoreDamagedError where a byte changed, or there is no store.
 */
export async function readBlocks(folder: string): Promise<{
  recordIds: string[];
  names: string[];
  blocks: Block[];
}> {
  const manifest = await readManifest(folder);
  if (manifest === null) throw new StoreDamagedError("manifest.json", "it is missing");
  const { layout, shards } = manifest;
  const starts = offsets(layout);
  const count = shards.reduce((sum, { records }) => sum + records, 0);
  const blocks = layout.blocks.map(({ columns }) =>
    matrix(count, columns, new Float32Array(count * columns)),
  );
  const recordIds: string[] = [];
  for (const shard of shards) {
    const { rows, scales, ids } = await readShard(folder, shard, layout);
    for (let record = 0; record < shard.records; record++) {
      const start = record * starts.at(-1)!;
      layout.blocks.forEach(({ columns }, block) => {
        const scale = layout.encoding === "int8" ? scales[record * layout.blocks.length + block]! : 1;
        const bytes = rows.subarray(start + starts[block]!);
        const target = row(blocks[block]!, recordIds.length + record);
        target.set(decodeBlock(layout.encoding, bytes, columns, scale));
      });
    }
    for (let index = 0; index < shard.records; index++) recordIds.push(recordIdAt(ids, index));
  }
  return { recordIds, names: layout.blocks.map(({ name }) => name), blocks };
}
