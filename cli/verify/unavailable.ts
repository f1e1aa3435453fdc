import type { Hex } from "viem";
import { isUnscored } from "#settlement/allocation/facts";
import type { CheckedEpoch } from "./epoch.ts";
import { BrokenLink, type Report } from "./link.ts";
import { retrievePayload, type Sources } from "./sources.ts";

/** `outcome` of ContributionResolved that makes a contribution's chunks retrievable. */
const acceptedOutcome = 2;

/**
 * Each contribution and each training that the epoch left out because its blob could not be had is one that the epoch
 * would have counted: accepted in its blocks and paid nowhere in it, or of a model with unscored receipts. That the blob
 * could not be had is the poster's word, taken as it is; whether it can be had now is told beside it.
 */
export async function checkUnavailable(
  sources: Sources,
  { provenance: given, header }: CheckedEpoch,
  report: Report,
): Promise<void> {
  for (const { subject, code } of given.unavailable) {
    const [kind, id] = subject.split(":") as [string, string];
    const blob =
      kind === "contribution"
        ? await leftOutContribution(sources, { given, header }, BigInt(id))
        : await leftOutTraining(sources, { given, header }, id as Hex);
    const isThere = await retrievePayload(sources, blob.daCommitment, "unavailable").then(
      () => true,
      () => false,
    );
    const now = isThere ? "its blob can be had now" : "its blob cannot be had here either";
    const detail = `${subject} left out as ${code}: the poster's word, taken as it is; ${now}`;
    report({ name: "unavailable", ok: true, hash: blob.contentHash, detail });
  }
}

type Epoch = { given: CheckedEpoch["provenance"]; header: CheckedEpoch["header"] };
type Blob = { daCommitment: Hex; contentHash: Hex };

async function leftOutContribution(sources: Sources, { given, header }: Epoch, id: bigint): Promise<Blob> {
  const [resolved, submitted] = await Promise.all([
    sources.events("DatanetRegistry", "ContributionResolved", header.toBlock),
    sources.events("DatanetRegistry", "ContributionSubmitted", header.toBlock),
  ]);
  const accepted = resolved.find(
    ({ args, blockNumber }) =>
      args.batchId === id && args.outcome === acceptedOutcome && blockNumber > header.fromBlock,
  );
  const blob = submitted.find(({ args }) => args.batchId === id)?.args;
  if (accepted === undefined || blob === undefined)
    throw new BrokenLink("unavailable", `contribution ${id} was not accepted in the blocks of the epoch`);
  const entries = given.receipts.flatMap((receipt) => receipt.entries);
  if (entries.some(({ contributionBatchId }) => contributionBatchId === id))
    throw new BrokenLink("unavailable", `contribution ${id} is left out, and yet has entries`);
  return blob;
}

async function leftOutTraining(sources: Sources, { given, header }: Epoch, modelId: Hex): Promise<Blob> {
  const published = await sources.events("ModelRegistry", "TrainingManifestPublished", header.toBlock);
  const first = published.find(({ args }) => args.modelId === modelId)?.args;
  if (first === undefined)
    throw new BrokenLink("unavailable", `model ${modelId} published no training in or before the epoch`);
  if (!given.receipts.some((receipt) => receipt.modelId === modelId && isUnscored(receipt)))
    throw new BrokenLink(
      "unavailable",
      `the training of model ${modelId} is left out, and no receipt for it`,
    );
  return { daCommitment: first.daCommitment, contentHash: first.manifestHash };
}
