import type { Hex } from "viem";
import { sum } from "#schema/apportion";
import { roles } from "../blob/codes.ts";
import type { Entry } from "../blob/provenance.ts";
import * as leaf from "../tree/leaf.ts";
import * as tree from "../tree/tree.ts";

/** What a Datanet's chunks did in an epoch: the root over its uses, and what they earned in all, in wei. */
export type Usage = { datanetId: bigint; usageRoot: Hex; amountWei: bigint };

/** One chunk's uses in an epoch: in how many receipts it has an entry, and what those paid for it, to whomever. */
type Use = { subject: Hex; receiptCount: number; amountWei: bigint };

/**
 * The usage of every Datanet that an epoch's entries name, ascending by id. What is carried was not earned.
 * Recorded on chain once the epoch is final; whoever has the epoch's payload and the log computes the same.
 */
export function usageOf(
  epoch: bigint,
  receipts: readonly { entries: readonly Entry[] }[],
  datanetOf: (contributionId: bigint) => bigint,
): Usage[] {
  const uses = new Map<bigint, Map<Hex, Use>>();
  for (const { entries } of receipts) {
    const seen = new Set<Hex>();
    for (const { contributionBatchId, subject, role, amountWei } of entries) {
      if (contributionBatchId === 0n) continue;
      const datanetId = datanetOf(contributionBatchId);
      const ofDatanet = uses.get(datanetId) ?? new Map<Hex, Use>();
      const use = ofDatanet.get(subject) ?? { subject, receiptCount: 0, amountWei: 0n };
      ofDatanet.set(subject, {
        subject,
        receiptCount: use.receiptCount + (seen.has(subject) ? 0 : 1),
        amountWei: use.amountWei + (role === roles.carried ? 0n : amountWei),
      });
      uses.set(datanetId, ofDatanet);
      seen.add(subject);
    }
  }
  return [...uses]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([datanetId, ofDatanet]) => {
      const list = [...ofDatanet.values()];
      const leaves = list.map((use) => leaf.usage({ epoch, datanetId, ...use }));
      return {
        datanetId,
        usageRoot: tree.rootOf(leaves),
        amountWei: sum(list.map(({ amountWei }) => amountWei)),
      };
    });
}
