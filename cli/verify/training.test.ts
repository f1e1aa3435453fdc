import { bytesToHex, type Hex, keccak256, toHex, zeroAddress } from "viem";
import { expect, it } from "vitest";
import { settingsFor } from "#factory/settings";
import { roles } from "#settlement/blob/codes";
import * as payload from "#settlement/blob/payload";
import * as manifest from "#settlement/blob/training/manifest";
import * as settings from "#settlement/blob/training/settings";
import { nothingChecked } from "./checked.ts";
import { BrokenLink, CannotCheck, type Link } from "./link.ts";
import type { Sources } from "./sources.ts";
import { checkRecords, type PaidRecord } from "./training.ts";

const h = (text: string): Hex => keccak256(toHex(text));
const modelId = h("model");

const trained: manifest.Manifest = {
  ...{ baseModelId: h("base"), baseArtifactHash: h("artifact"), adapterHash: h("adapter") },
  ...{ snapshotBlock: 3n, snapshotBlockHash: h("block"), datanetIds: [1n] },
  settings: settings.encode(settingsFor({ name: "harbour" }, 2)),
  ...{ trainRows: [h("row"), h("other row")], gateRows: [h("held out")], files: [], waypoints: [] },
};
const bytes = manifest.encode(trained);

it("finds a paid row among those of the payload on chain, and reads it once for all", async () => {
  const links: Link[] = [];
  const given = { toBlock: 20n, report: (link: Link) => void links.push(link), checked: nothingChecked() };
  await checkRecords(chain(), [paid("row")], given);
  await checkRecords(chain(), [paid("other row")], given);
  expect(links.every(({ ok }) => ok)).toBe(true);
  expect(links.map(({ name }) => name)).toEqual([
    ...["training certificate", "training blob", "training manifest", "training row", "training row"],
  ]);
  expect(links[1]!.hash).toBe(payload.contentHash(bytes));
});

it.each<[string, RegExp, Partial<Lies>, string?]>([
  ["training row", /does not stand among the 2 rows/, {}, "held out"],
  ["training row", /does not stand/, {}, "a stranger's"],
  ["training manifest", /published no training/, { manifests: [] }],
  ["training manifest", /published its training after batch 1/, { publishedBlock: 11n }],
  ["training manifest", /which model .* is not/, { adapterHash: h("another") }],
  ["training manifest", /which model .* is not/, { parent: h("another") }],
  ["training blob", /commitment recomputed/, { bytes: bytes.slice(1) }],
  ["training certificate", /forged/, { manifests: ["forged"] }],
])("breaks at the link %s: %s", async (link, reason, lies, row = "row") => {
  const failed = await checkRecords(chain(lies), [paid(row)], silent()).catch((error) => error);
  expect(failed).toBeInstanceOf(BrokenLink);
  expect(failed.link).toBe(link);
  expect(failed.message).toMatch(reason);
});

it("takes another blob of the same payload where the first cannot be had, and else cannot check", async () => {
  await checkRecords(chain({ manifests: ["lost", "good"] }), [paid("row")], silent());
  const checking = checkRecords(chain({ manifests: ["lost", "lost"] }), [paid("row")], silent());
  await expect(checking).rejects.toThrow(CannotCheck);
});

function silent() {
  return { toBlock: 20n, report: () => undefined, checked: nothingChecked() };
}

function paid(row: string): PaidRecord {
  const entry = { role: roles.recordContributor, subject: h(row), contributionBatchId: 1n, reason: 0 };
  return {
    entry: { ...entry, account: zeroAddress, scoreWad: 1n, amountWei: 1n },
    receipt: { batchId: 1n, modelId },
  };
}

/** What of the chain and DA is other than it should be. `manifests` are the certificates published, by what they are. */
type Lies = {
  manifests: string[];
  publishedBlock: bigint;
  adapterHash: Hex;
  parent: Hex;
  bytes: Uint8Array;
};

/** A chain with one adapter whose training stands in block 5, its batch in block 10. */
function chain(lies: Partial<Lies> = {}): Sources {
  const { manifests = ["good"], publishedBlock = 5n, adapterHash = trained.adapterHash } = lies;
  const published = manifests.map((name, logIndex) => {
    const daCommitment = bytesToHex(Buffer.from(name));
    const args = { modelId, manifestHash: payload.contentHash(bytes), daCommitment };
    return { args: { ...args, daRef: keccak256(daCommitment) }, blockNumber: publishedBlock, logIndex };
  });
  const logs: Record<string, object[]> = {
    TrainingManifestPublished: published,
    BatchSettled: [{ args: { batchId: 1n }, blockNumber: 10n, logIndex: 0 }],
    ModelRegistered: [{ args: { modelId, params: { artifactHash: adapterHash } } }],
    LineageEdge: [{ args: { childId: modelId, parentId: lies.parent ?? trained.baseModelId } }],
  };
  const nameOf = (certificate: Hex) => Buffer.from(certificate.slice(2), "hex").toString();
  return {
    events: async (_: string, name: string) => logs[name]!,
    checkCertificate: async (certificate: Hex) =>
      nameOf(certificate) === "forged" ? { ok: false, reason: "forged" } : { ok: true },
    retrieve: async (certificate: Hex) => {
      if (nameOf(certificate) === "lost") throw new CannotCheck("no relay has it");
      return lies.bytes ?? bytes;
    },
  } as unknown as Sources;
}
