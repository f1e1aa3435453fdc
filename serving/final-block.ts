import type { PublicClient } from "viem";
import type { Drizzle } from "#schema/database";
import { finalBlock } from "#schema/finality";
import { finalBlockMsMax } from "./constants.ts";

/** Number of the final block, 0 before the indexer has published anything. */
export type FinalBlockReader = () => Promise<bigint>;

/** Reads the final block, at most once per `finalBlockMsMax`: index and settler ask often. Failures are not kept. */
export function createFinalBlockReader(reader: { db: Drizzle; client: PublicClient }): FinalBlockReader {
  let read: { atMs: number; block: Promise<bigint> } | null = null;
  return () => {
    if (read !== null && performance.now() - read.atMs < finalBlockMsMax) return read.block;
    const block = finalBlock(reader).then((final) => final?.blockNumber ?? 0n);
    read = { atMs: performance.now(), block };
    block.catch(() => {
      read = null;
    });
    return block;
  };
}
