import { type Hex, keccak256 } from "viem";
import * as payload from "#settlement/blob/payload";
import type { Entry, ReceiptScore } from "#settlement/blob/provenance";
import * as manifest from "#settlement/blob/training/manifest";
import type { Checked } from "./checked.ts";
import { BrokenLink, CannotCheck, check, type Report } from "./link.ts";
import { type Event, retrievePayload, type Sources } from "./sources.ts";

type Published = Event<"ModelRegistry", "TrainingManifestPublished">;

/** An entry about a training record, and the receipt it is of. */
export type PaidRecord = { entry: Entry; receipt: Pick<ReceiptScore, "batchId" | "modelId"> };

type Given = { toBlock: bigint; report: Report; checked: Checked };

/**
 * Each training record that was paid for stands among the rows of the payload its adapter's owner published before the
 * batch, and that payload is about the adapter on chain. Which rows the snapshot's block draws takes every record of its
 * Datanets: `tributary rebuild` checks that.
 */
export async function checkRecords(
  sources: Sources,
  records: readonly PaidRecord[],
  { toBlock, report, checked }: Given,
): Promise<void> {
  if (records.length === 0) return;
  const [published, settled] = await Promise.all([
    sources.events("ModelRegistry", "TrainingManifestPublished", toBlock),
    sources.events("SettlementHub", "BatchSettled", toBlock),
  ]);
  const byModel = Map.groupBy(records, ({ receipt }) => receipt.modelId);
  for (const [modelId, own] of [...byModel].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const manifests = published.filter(({ args }) => args.modelId === modelId);
    const [first] = manifests;
    if (first === undefined)
      throw new BrokenLink("training manifest", `model ${modelId} published no training, and a row was paid`);
    const used = settled.filter(({ args }) => own.some(({ receipt }) => receipt.batchId === args.batchId));
    const early = used.find((batch) => !isBefore(first, batch));
    if (early !== undefined)
      throw new BrokenLink(
        "training manifest",
        `model ${modelId} published its training after batch ${early.args.batchId}`,
      );
    const same = manifests.filter(({ args }) => args.manifestHash === first.args.manifestHash);
    const rows = checked.trainings.get(modelId) ?? (await checkManifest(sources, same, toBlock, report));
    checked.trainings.set(modelId, rows);
    for (const subject of new Set(own.map(({ entry }) => entry.subject))) {
      const isHeld = rows.has(subject);
      const text = `${isHeld ? "stands" : "does not stand"} among the ${rows.size} rows of model ${modelId}`;
      check(report, "training row", subject, isHeld, text);
    }
  }
}

/** `published` are blobs of one payload, in log order: the first that can be had is read. @returns The rows learned. */
async function checkManifest(
  sources: Sources,
  published: readonly Published[],
  toBlock: bigint,
  report: Report,
): Promise<ReadonlySet<Hex>> {
  const { modelId, manifestHash } = published[0]!.args;
  const bytes = await retrieveFirst(sources, published, report);
  const isContent = payload.contentHash(bytes) === manifestHash;
  check(report, "training blob", manifestHash, isContent, `${bytes.length} bytes, commitment recomputed`);
  const decoded = manifest.decode(bytes);
  if (!decoded.ok) throw new BrokenLink("training blob", decoded.reason);
  const { adapterHash, baseModelId, trainRows } = decoded.value;
  const registered = await sources.events("ModelRegistry", "ModelRegistered", toBlock);
  const edges = await sources.events("ModelRegistry", "LineageEdge", toBlock);
  const model = registered.find(({ args }) => args.modelId === modelId)?.args;
  const parents = edges.filter(({ args }) => args.childId === modelId).map(({ args }) => args.parentId);
  const isOfModel = model?.params.artifactHash === adapterHash && parents.join() === baseModelId;
  const text = isOfModel
    ? `of adapter ${adapterHash}, as model ${modelId} is registered`
    : `of adapter ${adapterHash} of base ${baseModelId}, which model ${modelId} is not`;
  check(report, "training manifest", manifestHash, isOfModel, text);
  return new Set(trainRows);
}

/** @throws what the last of them had; a certificate that is none breaks the link. */
async function retrieveFirst(
  sources: Sources,
  published: readonly Published[],
  report: Report,
): Promise<Uint8Array> {
  let failed: unknown;
  for (const { args } of published) {
    const { daCommitment, daRef, modelId } = args;
    try {
      const verdict = await sources.checkCertificate(daCommitment);
      const isRef = keccak256(daCommitment) === daRef;
      const text = verdict.ok ? `of what model ${modelId} was trained on` : verdict.reason;
      const detail = isRef ? text : "daRef is another hash";
      if (!isRef || !verdict.ok) throw new BrokenLink("training certificate", detail);
      const bytes = await retrievePayload(sources, daCommitment, "training blob");
      report({ name: "training certificate", ok: true, hash: daRef, detail });
      return bytes;
    } catch (error) {
      if (!(error instanceof BrokenLink || error instanceof CannotCheck)) throw error;
      // A payload may have been dispersed again after its first blob was lost.
      failed = error;
    }
  }
  throw failed;
}

function isBefore(
  a: { blockNumber: bigint; logIndex: number },
  b: { blockNumber: bigint; logIndex: number },
): boolean {
  return a.blockNumber === b.blockNumber ? a.logIndex < b.logIndex : a.blockNumber < b.blockNumber;
}
