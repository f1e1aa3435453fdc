/** A batch as planning sees it, in log order. Timestamp in unix seconds of its block. */
export type PlannedBatch = { blockNumber: bigint; blockTimestamp: bigint };

/**
 * Blocks where the next epoch may end, ascending: that of its `epochBatches`-th batch, of twice as many, and so on; and,
 * once the first batch is older than `ageMsMax`, that of the last there is. Empty means wait.
 * Time is the chain's, so a stopped clock cannot close an epoch.
 */
export function planToBlocks(
  batches: readonly PlannedBatch[],
  limits: { epochBatches: number; ageMsMax: number; finalTimestamp: bigint },
): bigint[] {
  const toBlocks: bigint[] = [];
  for (let count = limits.epochBatches; count <= batches.length; count += limits.epochBatches) {
    toBlocks.push(batches[count - 1]!.blockNumber);
  }
  const first = batches[0];
  const ageMs = first === undefined ? 0n : (limits.finalTimestamp - first.blockTimestamp) * 1_000n;
  if (first !== undefined && ageMs >= BigInt(limits.ageMsMax)) toBlocks.push(batches.at(-1)!.blockNumber);
  return [...new Set(toBlocks)];
}
