import type { Abi, AbiParameter, ContractEventName, DecodeEventLogReturnType } from "viem";
import { attributionLedgerAbi } from "./abi/attribution-ledger.ts";
import { channelEscrowAbi } from "./abi/channel-escrow.ts";
import { curveFactoryAbi } from "./abi/curve-factory.ts";
import { daCertMirrorAbi } from "./abi/da-cert-mirror.ts";
import { datanetDaoAbi } from "./abi/datanet-dao.ts";
import { datanetDaoFactoryAbi } from "./abi/datanet-dao-factory.ts";
import { datanetRegistryAbi } from "./abi/datanet-registry.ts";
import { modelCurveAbi } from "./abi/model-curve.ts";
import { modelProposalsAbi } from "./abi/model-proposals.ts";
import { modelRegistryAbi } from "./abi/model-registry.ts";
import { permissionsAbi } from "./abi/permissions.ts";
import { rewardDistributorAbi } from "./abi/reward-distributor.ts";
import { settlementHubAbi } from "./abi/settlement-hub.ts";
import { stakeVaultAbi } from "./abi/stake-vault.ts";
import { timelockAbi } from "./abi/timelock.ts";
import { tributaryGovernorAbi } from "./abi/tributary-governor.ts";
import { wrappedOpenAbi } from "./abi/wrapped-open.ts";
import { invariant } from "./errors.ts";
import type { event } from "./onchain/10-events.ts";

/** Contracts whose events are indexed, by the name used in `onchain.event.contract`. */
export const indexedAbis = {
  StakeVault: stakeVaultAbi,
  DatanetRegistry: datanetRegistryAbi,
  ModelRegistry: modelRegistryAbi,
  ChannelEscrow: channelEscrowAbi,
  SettlementHub: settlementHubAbi,
  AttributionLedger: attributionLedgerAbi,
  RewardDistributor: rewardDistributorAbi,
  DaCertMirror: daCertMirrorAbi,
  DatanetDaoFactory: datanetDaoFactoryAbi,
  /** Each DAO that the factory made. */
  DatanetDao: datanetDaoAbi,
  ModelProposals: modelProposalsAbi,
  CurveFactory: curveFactoryAbi,
  /** Each curve that the factory made. */
  ModelCurve: modelCurveAbi,
  /** With the events of a wrapper, for chains where OPEN is gas. */
  OpenToken: wrappedOpenAbi,
  Permissions: permissionsAbi,
  Timelock: timelockAbi,
  TributaryGovernor: tributaryGovernorAbi,
} as const;

export type IndexedContract = keyof typeof indexedAbis;
export type EventName<C extends IndexedContract> = ContractEventName<(typeof indexedAbis)[C]>;
export type EventRow = typeof event.$inferSelect;

/** Arguments as viem decodes them (number up to 48 bits, bigint above, objects for tuples), but addresses in lower case. */
export type EventArgs<C extends IndexedContract, N extends EventName<C>> = DecodeEventLogReturnType<
  (typeof indexedAbis)[C],
  N
>["args"];

type Json = string | boolean | Json[] | { [key: string]: Json };

/**
 * Decoded arguments → what `onchain.event.args` holds: integers as decimal strings, in the order of the ABI. NUL is
 * left out of text, as Ponder leaves it out of text columns: PostgreSQL cannot hold it, and anyone can post it.
 */
export function encodeArgs(value: unknown): Json {
  if (value === undefined) return {}; // An event without arguments has none at all.
  if (typeof value === "bigint" || typeof value === "number") return value.toString();
  if (typeof value === "string") return value.replaceAll("\0", "");
  if (typeof value === "boolean") return value;
  if (Array.isArray(value)) return value.map(encodeArgs);
  invariant(typeof value === "object" && value !== null, `an event argument of type ${typeof value}`);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, encodeArgs(inner)]));
}

/**
 * Arguments of `row` if it is the event `contract`.`name`, otherwise undefined.
 *
 *     const args = readEvent(row, "SettlementHub", "BatchSettled");
 *     if (args) await enqueue(args.batchId);
 */
export function readEvent<C extends IndexedContract, N extends EventName<C>>(
  row: Pick<EventRow, "contract" | "name" | "args">,
  contract: C,
  name: N,
): EventArgs<C, N> | undefined {
  if (row.contract !== contract || row.name !== name) return undefined;
  const abi: Abi = indexedAbis[contract];
  const item = abi.find((candidate) => candidate.type === "event" && candidate.name === name);
  invariant(item?.type === "event", `${contract} has no event ${name}`);
  return decodeTuple(item.inputs, row.args as Json) as EventArgs<C, N>;
}

function decodeTuple(parameters: readonly AbiParameter[], value: Json): Record<string, unknown> {
  const fields = value as Record<string, Json>;
  return Object.fromEntries(
    parameters.map((parameter) => [parameter.name, decodeValue(parameter, fields[parameter.name!]!)]),
  );
}

function decodeValue(parameter: AbiParameter, value: Json): unknown {
  const array = /^(.*)\[\d*\]$/.exec(parameter.type);
  if (array) return (value as Json[]).map((inner) => decodeValue({ ...parameter, type: array[1]! }, inner));
  if ("components" in parameter) return decodeTuple(parameter.components, value);
  const integer = /^u?int(\d*)$/.exec(parameter.type);
  if (!integer) return value;
  return Number(integer[1] || 256) > numberBitsMax ? BigInt(value as string) : Number(value);
}

/** Widest integer that viem decodes to a number. */
const numberBitsMax = 48;
