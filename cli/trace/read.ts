import type { Address, Hex } from "viem";
import { PipelineError } from "#schema/errors";
import { queryApi } from "./api-client.ts";
import {
  type ClaimNode,
  type EntryNode,
  type PayoutNode,
  payoutQuery,
  payoutsQuery,
  type ReceiptNode,
  type ReceiptWithEntries,
  receiptQuery,
} from "./query.ts";

/** What is known by a hash: the payouts of a transaction, largest first, and one of them told; or a receipt. */
export type Trace = {
  payouts: PayoutNode[];
  payout: ClaimNode | null;
  receipt: ReceiptWithEntries | null;
};

type Asked = { hash: Hex; account: Address | null; entriesMax: number };
type Page<T> = { nodes: T[]; endCursor: string | null; hasNextPage: boolean };

/** Nodes per page (the API's own maximum), and pages read at most. */
const pageNodes = 100;
const pagesMax = 100;

/**
 * Asks for the payouts first and then, page by page, for one of them: no request grows with the transaction. A claim
 * transaction and a receipt digest look alike, so the receipt is asked for where there are no payouts.
 * @throws ApiUnreachableError, ApiRefusedError; NotPaidError where the transaction does not pay `account`.
 */
export async function readTrace(url: string, { hash, account, entriesMax }: Asked): Promise<Trace> {
  const payouts = await readPayouts(url, hash);
  if (payouts.length === 0) {
    const { receipt } = await queryApi<{ receipt: Trace["receipt"] }>(url, receiptQuery, { hash });
    return { payouts, payout: null, receipt };
  }
  payouts.sort((a, b) => (BigInt(a.amountWei) > BigInt(b.amountWei) ? -1 : 1));
  const chosen = account === null ? payouts[0] : payouts.find((payout) => payout.account.account === account);
  if (chosen === undefined) throw new NotPaidError(hash, account!, payouts.length);
  return { payouts, payout: await readPayout(url, hash, chosen, entriesMax), receipt: null };
}

async function readPayouts(url: string, hash: Hex): Promise<PayoutNode[]> {
  return readPages(pagesMax * pageNodes, async (first, after) => {
    const { claims } = await queryApi<{ claims: Page<PayoutNode> }>(url, payoutsQuery, {
      hash,
      first,
      after,
    });
    return claims;
  });
}

async function readPayout(url: string, hash: Hex, chosen: PayoutNode, entriesMax: number) {
  const { account } = chosen.account;
  let claim: ClaimNode | undefined;
  const entries = await readPages<EntryNode & { receipt: ReceiptNode }>(entriesMax, async (first, after) => {
    const { claims } = await queryApi<{ claims: Page<ClaimNode> }>(url, payoutQuery, {
      hash,
      account,
      first,
      after,
    });
    claim ??= claims.nodes[0];
    // A payout that was there a moment ago may be gone in a reorg.
    return claims.nodes[0]?.entries ?? { nodes: [], endCursor: null, hasNextPage: false };
  });
  return claim === undefined ? null : { ...claim, entries: { ...claim.entries, nodes: entries } };
}

async function readPages<T>(
  countMax: number,
  read: (first: number, after: string | null) => Promise<Page<T>>,
): Promise<T[]> {
  const nodes: T[] = [];
  let after: string | null = null;
  for (let page = 0; page < pagesMax && nodes.length < countMax; page++) {
    const found = await read(Math.min(pageNodes, countMax - nodes.length), after);
    nodes.push(...found.nodes);
    if (!found.hasNextPage) break;
    after = found.endCursor;
  }
  return nodes;
}

export class NotPaidError extends PipelineError {
  override readonly name = "NotPaidError";
  constructor(hash: Hex, account: Address, payoutCount: number) {
    super(
      `Transaction ${hash} pays nothing to ${account}. Without --account it lists the ${payoutCount} it pays.`,
      {
        code: "not_paid",
        retryable: false,
      },
    );
  }
}
