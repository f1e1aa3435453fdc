import { parseArgs } from "node:util";
import { type Address, formatEther, type Hex, type LocalAccount } from "viem";
import { z } from "zod";
import { rewardDistributorAbi } from "#schema/abi/reward-distributor";
import { PipelineError } from "#schema/errors";
import { type Chain, openChain, sendAll } from "./chain/transactions.ts";
import { readRunningConfig } from "./running.ts";
import { accountOf } from "./up/stack.ts";

/** What one account can claim: the arguments of one item of claimMany. */
export type Claimable = { account: Address; cumulativeWei: bigint; claimableWei: bigint; proof: Hex[] };

/** What the bot did. `paidWei` is what the chain paid out in these transactions. */
export type Claiming = { accounts: number; paidWei: bigint; transactions: Hex[] };

/** Accounts paid by one transaction: keeps its gas within a block. */
export const itemsMax = 25;
/** Pages read of the API at most, and leaves per page (the API's own maximum). */
const pagesMax = 1_000;
const pageLeaves = 100;

const help = `npm run tributary -- bot [--api <url>]
  Claims for every account that is owed something, as anyone may. Safe to repeat: paid accounts are left out.
  --api <url>   GraphQL API, default http://127.0.0.1:<API_PORT>/graphql`;

export async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: { api: { type: "string" }, help: { type: "boolean" } } });
  if (values.help) {
    console.log(help);
    return 0;
  }
  const config = readRunningConfig();
  const rpcUrl = config.rpcUrl ?? `http://127.0.0.1:${config.ports.chain}`;
  const chain = openChain(rpcUrl, config.addressesFile ?? `${config.folder}/addresses.json`);
  const apiUrl = values.api ?? `http://127.0.0.1:${config.ports.api}/graphql`;
  const { accounts, paidWei, transactions } = await claimAll(chain, apiUrl, accountOf("bot"));
  for (const hash of transactions) console.log(hash);
  console.log(
    `${accounts} accounts paid ${formatEther(paidWei)} OPEN in ${transactions.length} transactions`,
  );
  return 0;
}

/**
 * Pushes every claimable reward to its account, in the order of the accounts. Each transaction is simulated before it
 * is sent. @throws ApiFailedError; TransactionFailedError.
 */
export async function claimAll(chain: Chain, apiUrl: string, account: LocalAccount): Promise<Claiming> {
  const address = chain.deployment.contracts.rewardDistributor;
  const distributor = { address, abi: rewardDistributorAbi } as const;
  const before = await chain.client.readContract({ ...distributor, functionName: "totalClaimed" });
  const plan = planClaims(await unpaid(chain, await readClaimable(apiUrl)));
  const transactions: Hex[] = [];
  for (const items of plan) {
    const args = [
      items.map((item) => ({ account: item.account, cumulative: item.cumulativeWei, proof: item.proof })),
    ] as const;
    await chain.client.simulateContract({ ...distributor, functionName: "claimMany", args, account });
    const call = { account, to: address, abi: rewardDistributorAbi, functionName: "claimMany", args };
    const [receipt] = await sendAll(chain, [call]);
    transactions.push(receipt!.transactionHash);
  }
  const after = await chain.client.readContract({ ...distributor, functionName: "totalClaimed" });
  return { accounts: plan.flat().length, paidWei: after - before, transactions };
}

/** Transactions to send: accounts ascending, at most `itemsMax` in each. Pure. */
export function planClaims(claimable: readonly Claimable[]): Claimable[][] {
  const ordered = [...claimable].sort((a, b) => (a.account.toLowerCase() < b.account.toLowerCase() ? -1 : 1));
  const plan: Claimable[][] = [];
  for (let at = 0; at < ordered.length; at += itemsMax) plan.push(ordered.slice(at, at + itemsMax));
  return plan;
}

/** Leaves out what the chain has paid since the API looked. */
async function unpaid(chain: Chain, claimable: Claimable[]): Promise<Claimable[]> {
  const distributor = {
    address: chain.deployment.contracts.rewardDistributor,
    abi: rewardDistributorAbi,
  } as const;
  const claimed = await Promise.all(
    claimable.map(({ account }) =>
      chain.client.readContract({ ...distributor, functionName: "claimed", args: [account] }),
    ),
  );
  return claimable.filter(({ cumulativeWei }, index) => cumulativeWei > claimed[index]!);
}

const answer = z.object({
  data: z.object({
    claimable: z.object({
      endCursor: z.string().nullable(),
      hasNextPage: z.boolean(),
      nodes: z.array(
        z.object({
          account: z.object({ account: z.custom<Address>() }),
          cumulativeWei: z.coerce.bigint(),
          claimableWei: z.coerce.bigint(),
          proof: z.array(z.custom<Hex>()),
        }),
      ),
    }),
  }),
});

const query = `query Claimable($first: Int, $after: String) {
  claimable(first: $first, after: $after) {
    endCursor hasNextPage nodes { account { account } cumulativeWei claimableWei proof }
  }
}`;

async function readClaimable(apiUrl: string): Promise<Claimable[]> {
  const claimable: Claimable[] = [];
  let after: string | null = null;
  for (let page = 0; page < pagesMax; page++) {
    const { nodes, endCursor, hasNextPage } = await readPage(apiUrl, after);
    claimable.push(...nodes.map((node) => ({ ...node, account: node.account.account })));
    if (!hasNextPage) break;
    after = endCursor;
  }
  return claimable;
}

async function readPage(apiUrl: string, after: string | null) {
  let text = "";
  try {
    const response = await fetch(apiUrl, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ query, variables: { first: pageLeaves, after } }),
    });
    text = await response.text();
    return answer.parse(JSON.parse(text)).data.claimable;
  } catch (cause) {
    throw new ApiFailedError(apiUrl, text, cause);
  }
}

export class ApiFailedError extends PipelineError {
  override readonly name = "ApiFailedError";
  constructor(url: string, text: string, cause: unknown) {
    super(`${url} did not list what can be claimed: ${text === "" ? String(cause) : text.slice(0, 300)}`, {
      code: "api_failed",
      retryable: true,
      cause,
    });
  }
}
