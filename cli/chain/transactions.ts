import { setTimeout as sleep } from "node:timers/promises";
import {
  type Abi,
  type Address,
  createPublicClient,
  encodeFunctionData,
  type Hex,
  http,
  type LocalAccount,
  type PublicClient,
  type TransactionReceipt,
  TransactionReceiptNotFoundError,
} from "viem";
import { type Deployment, readDeployment } from "#schema/deployment";
import { PipelineError } from "#schema/errors";

/** A chain with our contracts on it. */
export type Chain = { rpcUrl: string; client: PublicClient; deployment: Deployment };

/** One transaction to send: `account` calls `functionName` of the contract at `to`. */
export type Call = {
  account: LocalAccount;
  to: Address;
  abi: Abi;
  functionName: string;
  args: readonly unknown[];
};

/** Time a transaction may take to be mined, in ms, and between two looks. */
const minedMsMax = 30_000;
const minedPollMs = 100;
/** Times a goal is tried before it counts as out of reach: a chain that was killed loses what it had not saved. */
const attemptsMax = 12;
/** Wait before the next try after a failed one, in ms: twice the last, up to the most. */
const retryMs = 100;
const retryMsMax = 5_000;
/** Gas given, in percent of the estimate: earlier calls of the same turn may make a later one dearer. */
const gasFactorPercent = 200n;
/** Transactions of one batch of `reach`: keeps a block's gas within its limit. */
const callsPerTurn = 50;

export function openChain(rpcUrl: string, addressesFile: string): Chain {
  const client = createPublicClient({ transport: http(rpcUrl, { batch: true }), cacheTime: 0 });
  return { rpcUrl, client: client as PublicClient, deployment: readDeployment(addressesFile) };
}

/**
 * Sends what is missing until nothing is. `missing` reads the chain, so that a second run, or one after a crash,
 * sends only the rest; the calls of one answer are independent of each other and arrive in their order.
 * @throws GoalOutOfReachError after `attemptsMax` answers that still miss something.
 */
export async function reach(chain: Chain, goal: string, missing: () => Promise<Call[]>): Promise<number> {
  let sentCount = 0;
  let cause: unknown;
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    try {
      const calls = await missing();
      if (calls.length === 0) return sentCount;
      for (let at = 0; at < calls.length; at += callsPerTurn) {
        const receipts = await sendAll(chain, calls.slice(at, at + callsPerTurn));
        sentCount += receipts.length;
      }
    } catch (error) {
      if (error instanceof TransactionFailedError) throw error;
      cause = error;
      await sleep(Math.min(retryMs * 2 ** attempt, retryMsMax));
    }
  }
  const rest = await missing();
  if (rest.length === 0) return sentCount;
  throw new GoalOutOfReachError(goal, rest.length, cause);
}

/**
 * Sends calls in order and waits until all are mined.
 * @throws TransactionFailedError if one reverts; TransactionLostError if one is not mined in time.
 */
export async function sendAll(chain: Chain, calls: readonly Call[]): Promise<TransactionReceipt[]> {
  const [nonces, gas, fees] = await Promise.all([
    readNonces(chain, calls),
    Promise.all(calls.map((call) => estimateGas(chain, call))),
    chain.client.estimateFeesPerGas(),
  ]);
  const hashes: Hex[] = [];
  for (const [index, { account, to, abi, functionName, args }] of calls.entries()) {
    const nonce = nonces.get(account.address)!;
    nonces.set(account.address, nonce + 1);
    const serializedTransaction = await account.signTransaction({
      ...{ type: "eip1559", chainId: chain.deployment.chainId, nonce, gas: gas[index]!, ...fees },
      ...{ to, data: encodeFunctionData({ abi, functionName, args }) },
    });
    hashes.push(await chain.client.sendRawTransaction({ serializedTransaction }));
  }
  const receipts: TransactionReceipt[] = [];
  for (const [index, hash] of hashes.entries()) {
    const receipt = await waitUntilMined(chain, hash);
    if (receipt.status !== "success") throw new TransactionFailedError(calls[index]!.functionName, hash);
    receipts.push(receipt);
  }
  return receipts;
}

async function readNonces(chain: Chain, calls: readonly Call[]): Promise<Map<Address, number>> {
  const addresses = [...new Set(calls.map(({ account }) => account.address))];
  const nonces = await Promise.all(
    addresses.map((address) => chain.client.getTransactionCount({ address, blockTag: "pending" })),
  );
  return new Map(addresses.map((address, index) => [address, nonces[index]!]));
}

async function estimateGas(chain: Chain, { account, to, abi, functionName, args }: Call): Promise<bigint> {
  const call = { address: to, abi, functionName, args, account } as Parameters<
    typeof chain.client.estimateContractGas
  >[0];
  return ((await chain.client.estimateContractGas(call)) * gasFactorPercent) / 100n;
}

async function waitUntilMined(chain: Chain, hash: Hex): Promise<TransactionReceipt> {
  for (const deadline = Date.now() + minedMsMax; Date.now() < deadline; await sleep(minedPollMs)) {
    try {
      return await chain.client.getTransactionReceipt({ hash });
    } catch (error) {
      if (!(error instanceof TransactionReceiptNotFoundError)) throw error;
    }
  }
  throw new TransactionLostError(hash);
}

export class TransactionFailedError extends PipelineError {
  override readonly name = "TransactionFailedError";
  constructor(functionName: string, hash: Hex) {
    super(`${functionName} reverted in ${hash}.`, { code: "transaction_failed", retryable: false });
  }
}

export class TransactionLostError extends PipelineError {
  override readonly name = "TransactionLostError";
  constructor(hash: Hex) {
    super(`${hash} was not mined within ${minedMsMax} ms.`, { code: "transaction_lost", retryable: true });
  }
}

export class GoalOutOfReachError extends PipelineError {
  override readonly name = "GoalOutOfReachError";
  constructor(goal: string, restCount: number, cause: unknown) {
    const reason = cause instanceof Error ? ` Last reason: ${cause.message}` : "";
    super(`${goal}: ${restCount} transactions still missing after ${attemptsMax} attempts.${reason}`, {
      code: "goal_out_of_reach",
      retryable: true,
      cause,
    });
  }
}
