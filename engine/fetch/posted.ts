import { type Hex, hexToBytes, type PublicClient } from "viem";
import { attributionLedgerAbi } from "#schema/abi/attribution-ledger";
import { contentHash } from "#settlement/blob/payload";
import * as provenance from "#settlement/blob/provenance";
import type { BlobReader } from "./payload.ts";

/**
 * What the final epochs of the chain said of blobs that could not be had. Whoever reads a contribution after the epoch of
 * its blocks is final has to judge as its poster did: everyone was paid by the classes that came of it.
 */
export type Posted = {
  /**
   * The word of the final epoch that has the block on a subject (`contribution:<id>`): its code, null where the epoch had
   * the blob. Null in whole where no final epoch has the block yet, or where on the last try its payload cannot be had.
   * @throws errors of the chain and DA.
   */
  wordOn: (subject: string, block: bigint, isLastTry: boolean) => Promise<Word | null>;
};

export type Word = { epochId: bigint; code: string | null };

type Places = { ledger: Hex; deployBlock: bigint };
type Proposed = { epochId: bigint; toBlock: bigint; daCommitment: Hex; contentHash: Hex };
type Codes = ReadonlyMap<string, string>;

/** Most blocks in one request for logs; public nodes refuse wider ranges. */
const logBlocksMax = 10_000n;

/** Follows the ledger on the chain itself, which in a rebuild is ahead of the indexer. One per process. */
export function createPosted(
  client: PublicClient,
  retrieve: BlobReader["retrieve"],
  { ledger, deployBlock }: Places,
): Posted {
  const proposals = new Map<bigint, Proposed>();
  const finals: Proposed[] = [];
  /** By epoch; null where its payload is none of ours. Words are few: contributions nobody could read. */
  const read = new Map<bigint, Codes | null>();
  let nextBlock = deployBlock;
  // One scan at a time; who started one that failed was told, the next goes on from its place.
  let scan: Promise<void> = Promise.resolve();
  const scanOn = async () => {
    const { number: finalBlock } = await client.getBlock({ blockTag: "finalized" });
    while (nextBlock <= finalBlock!) {
      const last = nextBlock + logBlocksMax - 1n;
      const toBlock = last < finalBlock! ? last : finalBlock!;
      const logs = await client.getContractEvents({
        address: ledger,
        abi: attributionLedgerAbi,
        fromBlock: nextBlock,
        toBlock,
        strict: true,
      });
      for (const log of logs) {
        if (log.eventName === "EpochProposed")
          proposals.set(log.args.epoch, { epochId: log.args.epoch, ...log.args });
        if (log.eventName !== "EpochFinalized") continue;
        finals.push(proposals.get(log.args.epoch)!);
        proposals.delete(log.args.epoch);
      }
      nextBlock = toBlock + 1n;
    }
  };
  return {
    wordOn: async (subject, block, isLastTry) => {
      if ((finals.at(-1)?.toBlock ?? -1n) < block) {
        scan = scan.catch(() => undefined).then(scanOn);
        await scan;
      }
      const epoch = finals.find(({ toBlock }) => block <= toBlock);
      if (epoch === undefined) return null;
      const { epochId } = epoch;
      try {
        if (!read.has(epochId)) read.set(epochId, await readCodes(retrieve, epoch));
      } catch (error) {
        // Not remembered: others may have tries left, and the payload turn up.
        if (isLastTry) return null;
        throw error;
      }
      const codes = read.get(epochId)!;
      return codes && { epochId, code: codes.get(subject) ?? null };
    },
  };
}

/** Null where it is no payload of ours: it says nothing. */
async function readCodes(retrieve: BlobReader["retrieve"], epoch: Proposed): Promise<Codes | null> {
  const bytes = await retrieve(hexToBytes(epoch.daCommitment));
  if (contentHash(bytes) !== epoch.contentHash) return null;
  const decoded = provenance.decode(bytes);
  return decoded.ok ? new Map(decoded.value.unavailable.map(({ subject, code }) => [subject, code])) : null;
}
