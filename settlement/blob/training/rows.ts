import { encodeAbiParameters, type Hex, keccak256, parseAbiParameters } from "viem";

/**
 * A record that stood accepted at the snapshot: of a contribution resolved up to its block and not retracted by then.
 * `firstChunkId` is the first registered record of its class of duplicates, itself where it is that.
 */
export type SnapshotRow = { chunkId: Hex; firstChunkId: Hex };

/** Rows of a training. `train` ascending by contribution and index, `gate` in the order of the draw. */
export type Rows = { train: Hex[]; gate: Hex[] };

/**
 * Which records are held out, and which are learned: one record of each class of duplicates, drawn by
 * keccak(hash of the snapshot block ‖ chunkId), lowest first. The first `gateRecords` are held out, the next
 * `trainRecordsMax` are learned. Nobody knew the hash when contributing, and an owner has nothing to choose. `records`
 * ascending by contribution and index, over all Datanets of the training. Null where nothing is left to learn.
 */
export function draw(
  records: readonly SnapshotRow[],
  snapshotBlockHash: Hex,
  { gateRecords, trainRecordsMax }: { gateRecords: number; trainRecordsMax: number },
): Rows | null {
  const firsts = records.filter(({ chunkId, firstChunkId }) => chunkId === firstChunkId);
  const drawn = firsts
    .map(({ chunkId }, position) => ({ chunkId, position, lot: lotOf(snapshotBlockHash, chunkId) }))
    .sort((a, b) => (a.lot < b.lot ? -1 : 1));
  const gate = drawn.slice(0, gateRecords).map(({ chunkId }) => chunkId);
  const learned = drawn.slice(gateRecords, gateRecords + trainRecordsMax);
  if (learned.length === 0) return null;
  const train = learned.sort((a, b) => a.position - b.position).map(({ chunkId }) => chunkId);
  return { train, gate };
}

function lotOf(snapshotBlockHash: Hex, chunkId: Hex): Hex {
  return keccak256(encodeAbiParameters(words, [snapshotBlockHash, chunkId]));
}

const words = parseAbiParameters("bytes32, bytes32");
