/**
 * A life of all contracts in which nobody planned anything: a seed decides who does what, and when. What the contracts
 * refuse, they must refuse by a named error; that is counted, and nothing else is forgiven.
 */
import {
  type Abi,
  type AbiParameter,
  type Address,
  BaseError,
  ContractFunctionRevertedError,
  createTestClient,
  encodeFunctionData,
  type Hex,
  http,
  keccak256,
  maxUint256,
  parseEther,
  publicActions,
  toHex,
  zeroHash,
} from "viem";
import { abis, type ContractName } from "#contracts/deploy";
import { invariant } from "#schema/errors";
import { devAccount, type TestDeployment } from "#schema/testing/stack";
import type { World } from "../life.ts";

/** Development accounts: 1 to 6 do everything, 8 is poster, arbiter and guardian, 9 deployed and holds the rest. */
export const actors = [1, 2, 3, 4, 5, 6] as const;
export const [poster, holder] = [8, 9] as const;

/** Numbers that follow from a seed alone. */
export class Draw {
  readonly #seed: string;
  #count = 0;

  constructor(seed: string) {
    this.#seed = seed;
  }

  bytes32(): Hex {
    return keccak256(toHex(`${this.#seed}/${this.#count++}`));
  }

  /** 0 … max - 1 */
  below(max: number): number {
    return Number(BigInt(this.bytes32()) % BigInt(max));
  }

  /** 1 … max */
  wei(max: bigint): bigint {
    return 1n + (BigInt(this.bytes32()) % max);
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  /** @returns undefined of an empty list. */
  pick<T>(list: readonly T[]): T | undefined {
    return list[this.below(Math.max(list.length, 1))];
  }

  actor(): number {
    return this.pick(actors)!;
  }
}

/** One transaction. `contract` by name, or a curve or DAO by its address and ABI; `who` an account, or a contract without key. */
export type Call = {
  who: number | Address;
  contract: ContractName | { address: Address; abi: Abi };
  functionName: string;
  args: unknown[];
  /** Run once it has been mined. */
  after?: () => void | Promise<void>;
};

/** Something that may happen; null where the world is not so far yet. */
export type Happening = (life: Life) => Promise<Call | null> | Call | null;

export type Tally = { done: Map<string, number>; refused: Map<string, number> };

export type Life = ReturnType<typeof connect>;

const callGas = 8_000_000n;

/** Every error any of the contracts has, so that one's refusal of a call within a call has its name too. */
const errors = Object.values(abis).flatMap((abi) => (abi as Abi).filter(({ type }) => type === "error"));
const distinctErrors = [...new Map(errors.map((item) => [signatureOf(item), item])).values()];

/** @param draw What the seed says next. */
export function connect({ rpcUrl, deployment }: World, draw: Draw) {
  const client = createTestClient({ mode: "anvil", transport: http(rpcUrl), pollingInterval: 4 }).extend(
    publicActions,
  );
  const tally: Tally = { done: new Map(), refused: new Map() };
  return { rpcUrl, client, deployment, draw, tally, memory: newMemory() };
}

/** What people remember and no getter tells. */
function newMemory() {
  return {
    channels: [] as Channel[],
    receipts: [] as Receipt[],
    modelIds: [] as Hex[],
    headers: new Map<bigint, Header>(),
    trees: new Map<Hex, RewardLeaf[]>(),
    earned: new Map<Address, bigint>(),
    /** Arguments by which the Governor knows them. */
    decisions: [] as unknown[][],
    specs: new Map<bigint, Record<string, unknown>>(),
    daos: [] as { dao: Address; datanetId: bigint }[],
    daoDecisions: [] as { dao: Address; datanetId: bigint; args: unknown[] }[],
  };
}

export type Channel = { config: ChannelConfig; channelId: Hex; payer: number; node: number };
export type ChannelConfig = {
  payer: Address;
  payerAuthorizer: Address;
  receiver: Address;
  receiverAuthorizer: Address;
  token: Address;
  withdrawDelay: number;
  salt: Hex;
};
/** `root` is null and `proof` empty where the receipt is in no batch. */
export type Receipt = {
  receipt: Record<string, unknown>;
  hash: Hex;
  signature: Hex;
  root: Hex | null;
  proof: Hex[];
};
export type Header = Record<string, unknown> & { rewardRoot: Hex; daRef: Hex };
export type RewardLeaf = { account: Address; cumulative: bigint; proof: Hex[] };

/**
 * Gives the actors a twentieth of the supply each, votes with it, lets the contracts take their tokens, and makes nodes of
 * them.
 */
export async function settleIn(life: Life): Promise<void> {
  const { contracts } = life.deployment;
  const share = parseEther("50000000");
  const spenders = [
    contracts.stakeVault,
    contracts.rewardDistributor,
    contracts.channelEscrow,
    contracts.settlementHub,
    contracts.attributionLedger,
    contracts.modelProposals,
  ];
  for (const who of [...actors, poster]) {
    const to = devAccount(who).address;
    await must(life, {
      who: holder,
      contract: "openToken",
      functionName: "transfer",
      args: [to, share],
    });
    await must(life, { who, contract: "openToken", functionName: "delegate", args: [to] });
    for (const spender of spenders) {
      await must(life, { who, contract: "openToken", functionName: "approve", args: [spender, maxUint256] });
    }
    const args = [to, zeroHash, "http://node"];
    await must(life, { who, contract: "modelRegistry", functionName: "registerServingNode", args });
  }
}

/** @throws where it is refused. */
export async function must(life: Life, call: Call): Promise<void> {
  const refusal = await attempt(life, call);
  invariant(refusal === null, `${labelOf(call)}: ${refusal}`);
}

/**
 * Sends the call and waits.
 * @returns null, or the name of the error by which it was refused. @throws where it failed without a name.
 */
export async function attempt(life: Life, call: Call): Promise<string | null> {
  const refusal = await send(life, call);
  const [counts, key] =
    refusal === null
      ? [life.tally.done, labelOf(call)]
      : [life.tally.refused, `${labelOf(call)}: ${refusal}`];
  counts.set(key, (counts.get(key) ?? 0) + 1);
  if (refusal === null) await call.after?.();
  return refusal;
}

async function send({ client, deployment }: Life, call: Call): Promise<string | null> {
  const { address, abi } = targetOf(deployment, call);
  const { functionName, args } = call;
  const from = typeof call.who === "number" ? devAccount(call.who).address : call.who;
  const withErrors = [...abi.filter(({ type }) => type !== "error"), ...distinctErrors] as Abi;
  try {
    await client.simulateContract({ account: from, address, abi: withErrors, functionName, args });
  } catch (error) {
    return nameOf(error);
  }
  const data = encodeFunctionData({ abi, functionName, args });
  const params = [{ from, to: address, data, gas: toHex(callGas) }] as const;
  if (typeof call.who !== "number") await client.impersonateAccount({ address: from });
  const hash = await client.request({ method: "eth_sendTransaction", params } as never);
  const { status } = await client.waitForTransactionReceipt({ hash: hash as Hex });
  // The block it came into is a second later than the one it was tried on: a window may have closed in between.
  return status === "success" ? null : "a second later";
}

/** @throws where the contract gave no name: a panic, or nothing at all. */
function nameOf(error: unknown): string {
  const cause = error instanceof BaseError ? error.walk(isRevert) : null;
  const data = cause instanceof ContractFunctionRevertedError ? cause.data : undefined;
  if (data === undefined || data.errorName === "Panic" || data.errorName === "Error") throw error;
  return data.errorName;
}

function isRevert(error: unknown): boolean {
  return error instanceof ContractFunctionRevertedError;
}

function targetOf({ contracts }: TestDeployment, { contract }: Call): { address: Address; abi: Abi } {
  if (typeof contract !== "string") return contract;
  return { address: contracts[contract], abi: abis[contract] as Abi };
}

function labelOf({ contract, functionName }: Call): string {
  return `${typeof contract === "string" ? contract : "clone"}.${functionName}`;
}

function signatureOf(item: Abi[number]): string {
  const { name, inputs } = item as { name: string; inputs: readonly AbiParameter[] };
  return `${name}(${inputs.map(({ type }) => type).join()})`;
}

/** 1 … count; mostly one of the newest, with which more is still to be done. */
export function idUpTo(draw: Draw, count: bigint): bigint {
  const newest = draw.chance(75) && count > 4n ? 4 : Number(count);
  return count - BigInt(draw.below(newest));
}

/** Reads a getter of a contract. */
export async function read<T>(
  life: Life,
  contract: Call["contract"],
  functionName: string,
  args: unknown[] = [],
) {
  const { address, abi } = targetOf(life.deployment, { who: 0, contract, functionName, args });
  return (await life.client.readContract({ address, abi, functionName, args })) as T;
}

/** Time of day of the newest block, and later: a moment, or long enough for windows and cooldowns to end. */
export async function pass(life: Life): Promise<void> {
  const { timestamp } = await life.client.getBlock();
  const seconds = life.draw.chance(70) ? life.draw.below(10) : life.draw.below(120);
  await life.client.setNextBlockTimestamp({ timestamp: timestamp + 1n + BigInt(seconds) });
  await life.client.mine({ blocks: 1 + life.draw.below(3) });
}

/** Lets `steps` of `happenings` happen, with time passing in between. */
export async function liveOn(
  life: Life,
  happenings: [weight: number, happening: Happening][],
  steps: number,
): Promise<void> {
  const drawn = happenings.flatMap(([weight, happening]) => Array(weight).fill(happening) as Happening[]);
  for (let step = 0; step < steps; step++) {
    if (life.draw.chance(20)) await pass(life);
    const call = await life.draw.pick(drawn)!(life);
    if (call !== null) await attempt(life, call);
  }
}
