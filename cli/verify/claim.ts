import { decodeFunctionData, type Hex } from "viem";
import { rewardDistributorAbi } from "#schema/abi/reward-distributor";
import * as leaf from "#settlement/tree/leaf";
import * as tree from "#settlement/tree/tree";
import { BrokenLink, CannotCheck, check, type Report } from "./link.ts";
import type { Event, Sources } from "./sources.ts";

export type ClaimEvent = Event<"RewardDistributor", "Claimed">;

/** A payout, and the epoch of the account's previous one (0 without any): the epochs between made this amount. */
export type Payout = { claim: ClaimEvent; previousEpoch: bigint; leafHash: Hex };

/**
 * The payouts of a transaction: each claimed amount must be what its cumulative amount adds to the account's last,
 * and each leaf must lead to the active root by the proof in the call.
 */
export async function checkClaims(sources: Sources, txHash: Hex, report: Report): Promise<Payout[]> {
  const transaction = await sources.transaction(txHash);
  if (transaction === null)
    throw new CannotCheck(
      `The chain has no transaction ${txHash}. Is it of another chain, or not mined yet?`,
    );
  const claims = await sources.events("RewardDistributor", "Claimed", transaction.blockNumber);
  const paid = claims.filter((claim) => claim.txHash === txHash);
  if (paid.length === 0)
    throw new CannotCheck(
      `Transaction ${txHash} claims nothing from distributor ${sources.contracts.rewardDistributor}. Is it a claim, and the addresses file of this deployment?`,
    );
  const roots = await sources.events("RewardDistributor", "RootActivated", transaction.blockNumber);
  return paid.map((claim) => {
    const { account, epoch, amount, cumulative } = claim.args;
    const previous = claims.filter((c) => c.args.account === account && isBefore(c, claim)).at(-1)?.args;
    const beforeWei = previous?.cumulative ?? 0n;
    const sumText = `${beforeWei} + ${amount} = ${cumulative} wei for ${account}`;
    check(report, "claim", txHash, beforeWei + amount === cumulative, sumText);
    const distributor = sources.contracts.rewardDistributor;
    const leafHash = leaf.reward({
      chainId: sources.chainId,
      distributor,
      account,
      cumulativeWei: cumulative,
    });
    report({
      name: "leaf",
      ok: true,
      hash: leafHash,
      detail: `keccak(keccak(chain, distributor, account, ${cumulative}))`,
    });
    const root = roots.find((r) => r.args.epoch === epoch)?.args.root;
    checkProof(transaction.input, { leafHash, root, account }, report);
    return { claim, previousEpoch: previous?.epoch ?? 0n, leafHash };
  });
}

/** The proof of the call itself, where the distributor was called directly. */
function checkProof(
  input: Hex,
  given: { leafHash: Hex; root: Hex | undefined; account: Hex },
  report: Report,
): void {
  const proof = proofFromCall(input, given.account);
  if (given.root === undefined) {
    throw new BrokenLink("proof", `the root of the epoch that ${given.account} claimed was never activated`);
  }
  if (proof === null) {
    report({
      name: "proof",
      ok: true,
      hash: given.root,
      detail: "claimed through another contract; checked with the tree below",
    });
    return;
  }
  const isHeld = tree.verify(given.root, given.leafHash, proof);
  check(report, "proof", given.root, isHeld, `${proof.length} hashes from the leaf to the active root`);
}

function proofFromCall(input: Hex, account: Hex): readonly Hex[] | null {
  try {
    const call = decodeFunctionData({ abi: rewardDistributorAbi, data: input });
    if (call.functionName === "claim") return call.args[2];
    if (call.functionName === "claimTo") return call.args[3];
    if (call.functionName !== "claimMany") return null;
    return call.args[0].find((item) => item.account.toLowerCase() === account.toLowerCase())?.proof ?? null;
  } catch {
    // Input of another contract: viem finds no such function.
    return null;
  }
}

function isBefore(a: ClaimEvent, b: ClaimEvent): boolean {
  return a.blockNumber === b.blockNumber ? a.logIndex < b.logIndex : a.blockNumber < b.blockNumber;
}
