import type { Abi, ContractEventName, DecodeEventLogReturnType, Hex, PublicClient } from "viem";
import { hexToBytes } from "viem";
import {
  type BlobSource,
  EigenDaError,
  retrievePayload as retrieveChecked,
  type Srs,
  verifyCertificate,
} from "#eigenda/index";
import type { Deployment } from "#schema/deployment";
import { type IndexedContract, indexedAbis } from "#schema/events";
import { BrokenLink, CannotCheck, type LinkName, UnansweredError, WrongBytes } from "./link.ts";

/** An event with the place it stands at. */
export type Event<C extends VerifiedContract, N extends ContractEventName<(typeof indexedAbis)[C]>> = {
  args: DecodeEventLogReturnType<(typeof indexedAbis)[C], N>["args"];
  blockNumber: bigint;
  logIndex: number;
  txHash: Hex;
};

/** The two truths, and nothing else: logs of the chain, payloads of DA. */
export type Sources = {
  chainId: bigint;
  contracts: Deployment["contracts"];
  events: <C extends VerifiedContract, N extends ContractEventName<(typeof indexedAbis)[C]>>(
    contract: C,
    eventName: N,
    toBlock: bigint,
  ) => Promise<Event<C, N>[]>;
  /** Null where the chain has no such transaction. */
  transaction: (hash: Hex) => Promise<{ to: Hex | null; input: Hex; blockNumber: bigint } | null>;
  /** Signature and inclusion of the certificate; false with the reason. */
  checkCertificate: (certificate: Hex) => Promise<{ ok: true } | { ok: false; reason: string }>;
  /** Bytes whose commitment was recomputed. @throws EigenDaError */
  retrieve: (certificate: Hex) => Promise<Uint8Array>;
  /** How many blobs were read so far, by who served them. */
  served: ReadonlyMap<string, number>;
};

/** Most blocks in one request for logs; public nodes refuse wider ranges. */
const logBlocksMax = 10_000n;

const addressNames = {
  StakeVault: "stakeVault",
  DatanetRegistry: "datanetRegistry",
  ModelRegistry: "modelRegistry",
  ChannelEscrow: "channelEscrow",
  SettlementHub: "settlementHub",
  AttributionLedger: "attributionLedger",
  RewardDistributor: "rewardDistributor",
} as const satisfies Partial<Record<IndexedContract, keyof Deployment["contracts"]>>;

/** The contracts whose events a payout follows from. */
type VerifiedContract = keyof typeof addressNames;

/** The chain by a node of it, and DA by those who may have a blob, asked in their order. */
export function chainSources(
  client: PublicClient,
  deployment: Deployment,
  blobs: readonly BlobSource[],
  srs: Srs,
): Sources {
  const { contracts, chainId } = deployment;
  const served = new Map<string, number>();
  return {
    chainId: BigInt(chainId),
    contracts,
    events: eventReader(client, deployment),
    transaction: async (hash) => {
      try {
        const { to, input, blockNumber } = await client.getTransaction({ hash });
        return blockNumber === null ? null : { to, input, blockNumber };
      } catch (error) {
        if ((error as Error).name === "TransactionNotFoundError") return null;
        throw error;
      }
    },
    checkCertificate: (certificate) =>
      verifyCertificate(hexToBytes(certificate), { level: "inclusion+signature", srs }),
    retrieve: async (certificate) => {
      const { payload, servedBy } = await retrieveChecked(hexToBytes(certificate), blobs);
      served.set(servedBy, (served.get(servedBy) ?? 0) + 1);
      return payload;
    },
    served,
  };
}

/** Reads the logs of an event once, up to the highest block asked for. */
function eventReader(client: PublicClient, { contracts, deployBlock }: Deployment): Sources["events"] {
  type Log = Omit<Event<VerifiedContract, never>, "args"> & { args: unknown };
  const known = new Map<string, { toBlock: bigint; events: Log[] }>();
  return async (contract, eventName, toBlock) => {
    const key = `${contract}.${eventName}`;
    const before = known.get(key) ?? { toBlock: BigInt(deployBlock) - 1n, events: [] };
    const events = [...before.events];
    for (let from = before.toBlock + 1n; from <= toBlock; from += logBlocksMax) {
      const to = from + logBlocksMax - 1n;
      const logs = await client.getContractEvents({
        address: contracts[addressNames[contract]],
        abi: indexedAbis[contract] as Abi,
        eventName,
        fromBlock: from,
        toBlock: to < toBlock ? to : toBlock,
        strict: true,
      });
      for (const { args, blockNumber, logIndex, transactionHash } of logs)
        events.push({ args, blockNumber, logIndex, txHash: transactionHash });
    }
    if (toBlock > before.toBlock) known.set(key, { toBlock, events });
    // viem decoded them by the ABI of this event.
    return events.filter(({ blockNumber }) => blockNumber <= toBlock) as never;
  };
}

/**
 * A payload by its certificate. Wrong bytes break the link, and so does a certificate or blob that is none; a relay that
 * does not answer, refuses or is not one leaves it open.
 * @throws BrokenLink, CannotCheck
 */
export async function retrievePayload(
  sources: Sources,
  certificate: Hex,
  link: LinkName,
): Promise<Uint8Array> {
  try {
    return await sources.retrieve(certificate);
  } catch (error) {
    if (!(error instanceof EigenDaError)) throw error;
    if (error.kind === "mismatch") throw new WrongBytes(link, error.message);
    if (isRelaysFault(error))
      throw new UnansweredError(`${link}: DA does not answer: ${error.message}`, error);
    if (error.message.includes("longer than the SRS"))
      throw new CannotCheck(`${link}: ${error.message}`, error);
    throw new BrokenLink(link, error.message);
  }
}

/** What certificate or blob lack has no cause; what a relay did has. */
function isRelaysFault({ retryable, cause }: EigenDaError): boolean {
  return retryable || cause !== undefined;
}
