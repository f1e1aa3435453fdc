/** A chain dense with `Staked` events, made by real transactions of the contracts. */
import { encodeFunctionData, keccak256, maxUint256, numberToHex, stringToHex } from "viem";
import { stakeVaultAbi } from "#schema/abi/stake-vault";
import { invariant } from "#schema/errors";
import { chainClient, devAccount, type TestDeployment } from "#schema/testing/stack";
import { newSender } from "../indexer/test/life.ts";

/** Blocks that Ponder follows live on this chain; what lies deeper is backfill, which the benchmark measures. */
const liveBlocks = 64;
const holder = 9;
const gasPerStake = 400_000n;
const feePerGasWei = 10n ** 10n;

/** Of anvil: room for a few hundred transactions in a block. */
export const denseFlags = ["--gas-limit", "1000000000"];

/** Stakes 1 wei for each of `accountCount` accounts in turn, one event per transaction, then mines empty blocks. */
export async function stakeDensely(
  rpcUrl: string,
  deployment: TestDeployment,
  shape: { blockCount: number; eventsPerBlock: number; accountCount: number },
): Promise<void> {
  const { stakeVault } = deployment.contracts;
  const client = chainClient(rpcUrl);
  await newSender(rpcUrl, deployment).send(holder, "openToken", "approve", [stakeVault, maxUint256]);
  const from = devAccount(holder).address;
  const scope = keccak256(stringToHex("benchmark"));
  let nonce = await client.getTransactionCount({ address: from });
  await client.setAutomine(false);
  for (let block = 0; block < shape.blockCount; block++) {
    const transactions = Array.from({ length: shape.eventsPerBlock }, (_, index) => {
      const account = numberToHex(1 + ((block * shape.eventsPerBlock + index) % shape.accountCount), {
        size: 20,
      });
      const data = encodeFunctionData({
        abi: stakeVaultAbi,
        functionName: "stakeFor",
        args: [scope, account, 1n],
      });
      return {
        from,
        to: stakeVault,
        data,
        nonce: numberToHex(nonce++),
        gas: numberToHex(gasPerStake),
        gasPrice: numberToHex(feePerGasWei),
      };
    });
    await sendAll(rpcUrl, transactions);
    await client.mine({ blocks: 1 });
  }
  await client.setAutomine(true);
  await client.mine({ blocks: liveBlocks });
}

/** One request for all: anvil signs for its development accounts. */
async function sendAll(rpcUrl: string, transactions: object[]): Promise<void> {
  const body = JSON.stringify(
    transactions.map((transaction, id) => ({
      jsonrpc: "2.0",
      id,
      method: "eth_sendTransaction",
      params: [transaction],
    })),
  );
  const response = await fetch(rpcUrl, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  const replies = (await response.json()) as { error?: { message: string } }[];
  const refused = replies.find(({ error }) => error !== undefined);
  invariant(refused === undefined, `anvil refused a transaction: ${refused?.error?.message}`);
}
