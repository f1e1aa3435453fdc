import type { Address, Hex } from "viem";
import { chunkRoles } from "#settlement/blob/codes";
import * as contribution from "#settlement/blob/contribution";
import * as payload from "#settlement/blob/payload";
import type { Entry } from "#settlement/blob/provenance";
import type { Checked } from "./checked.ts";
import type { CheckedEpoch } from "./epoch.ts";
import { BrokenLink, check, type Report } from "./link.ts";
import { type Event, retrievePayload, type Sources } from "./sources.ts";
import { checkRecords } from "./training.ts";

/** Of entries about a chunk: as a passage, and as a training record. */
const rolesOfChunks: readonly number[] = Object.values(chunkRoles).flatMap((roles) => Object.values(roles));

const rolesOfRecords: readonly number[] = Object.values(chunkRoles.adapter);

type Paid = { account: Address; report: Report; checked: Checked };

/**
 * Each chunk the account was paid for stands in its contribution's blob, under the root its contributor submitted, and one
 * paid as a training record among the rows of its adapter's payload. A contribution is checked once, for whomever of
 * contributor, Datanet owner and validators comes first.
 */
export async function checkChunks(
  sources: Sources,
  epochs: readonly CheckedEpoch[],
  { account, report, checked }: Paid,
): Promise<void> {
  const given = epochs
    .flatMap(({ provenance }) => provenance.receipts)
    .flatMap((receipt) => receipt.entries.map((entry) => ({ entry, receipt })))
    .filter(({ entry: e }) => e.account === account.toLowerCase() && e.amountWei > 0n);
  const paid = given.map(({ entry }) => entry).filter(({ role }) => rolesOfChunks.includes(role));
  if (paid.length === 0) return;
  const toBlock = epochs.at(-1)!.header.toBlock;
  const records = given.filter(({ entry: { role } }) => rolesOfRecords.includes(role));
  await checkRecords(sources, records, { toBlock, report, checked });
  const submitted = await sources.events("DatanetRegistry", "ContributionSubmitted", toBlock);
  const chunksOf = Map.groupBy(paid, (entry) => entry.contributionBatchId);
  for (const [batchId, entries] of [...chunksOf].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const event = submitted.find(({ args }) => args.batchId === batchId);
    if (event === undefined) throw new BrokenLink("chunk", `contribution ${batchId} is not on chain`);
    const ids = checked.contributions.get(batchId) ?? (await checkContribution(sources, event, report));
    checked.contributions.set(batchId, ids);
    checkSubjects(batchId, ids, entries, report);
  }
}

/** @returns The ids of the chunks that the contribution's blob holds. */
async function checkContribution(
  sources: Sources,
  { args }: Event<"DatanetRegistry", "ContributionSubmitted">,
  report: Report,
): Promise<ReadonlySet<Hex>> {
  const { batchId, daCommitment, contentHash, dataRoot, contributor } = args;
  const verdict = await sources.checkCertificate(daCommitment);
  const text = verdict.ok ? `contribution ${batchId}` : verdict.reason;
  check(report, "contribution certificate", contentHash, verdict.ok, text);
  const bytes = await retrievePayload(sources, daCommitment, "contribution blob");
  const isContent = payload.contentHash(bytes) === contentHash;
  check(report, "contribution blob", contentHash, isContent, `${bytes.length} bytes, commitment recomputed`);
  const decoded = contribution.decode(bytes);
  if (!decoded.ok) throw new BrokenLink("contribution blob", decoded.reason);
  const { chunks } = decoded.value;
  const root = contribution.dataRoot(chunks);
  check(report, "data root", root, root === dataRoot, `${chunks.length} chunks submitted by ${contributor}`);
  return new Set<Hex>(
    chunks.map(({ text }, index) =>
      contribution.chunkId({ contributionBatchId: batchId, index, textHash: contribution.textHash(text) }),
    ),
  );
}

function checkSubjects(
  batchId: bigint,
  ids: ReadonlySet<Hex>,
  entries: readonly Entry[],
  report: Report,
): void {
  for (const subject of new Set(entries.map((entry) => entry.subject))) {
    const isHeld = ids.has(subject);
    check(
      report,
      "chunk",
      subject,
      isHeld,
      `${isHeld ? "stands" : "does not stand"} in contribution ${batchId}`,
    );
  }
}
