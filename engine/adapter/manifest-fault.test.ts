import { createHash } from "node:crypto";
import { encodeAbiParameters, type Hex, hexToBytes, keccak256, parseAbiParameters, toHex } from "viem";
import { describe, expect, it } from "vitest";
import type { SnapshotRecord } from "#schema/snapshot";
import * as manifest from "#settlement/blob/training/manifest";
import { draw } from "#settlement/blob/training/rows";
import * as settings from "#settlement/blob/training/settings";
import { type Base, hashFiles, type ModelOnChain, modelFault, rowsFault } from "./manifest-fault.ts";

const h = (seed: string): Hex => keccak256(toHex(seed));
const owner: Hex = `0x${"ab".repeat(20)}`;
const given = {
  ...{ version: 2, name: "harbour", rank: 8, alpha: 16, isRankStabilized: false, targetModules: ["q_proj"] },
  schedule: { kind: "cosine", peak: 0.01, warmupSteps: 2, stepsMax: 20 },
  ...{ gradientNormMax: 1, rowTokens: 256, rowCount: 2, runsPerStep: 1, seed: 1, waypoints: 0 },
  ...{ template: "quote-closed-book-1", trainRecordsMax: 100, gateRecords: 2, damping: 0.1 },
} as settings.Settings;
const records: SnapshotRecord[] = Array.from({ length: 9 }, (_, i) => ({
  chunkId: h(`chunk ${i}`),
  firstChunkId: h(`chunk ${i === 8 ? 0 : i}`),
  datanetId: i < 5 ? 1n : 2n,
  source: "a.md",
  text: "Some text.",
}));
const files = manifest.fileNames.map((name) => ({ name, content: toHex(name) }));
const adapterHash = hashFiles(files);
const rows = draw(records, h("block"), given)!;
const good: manifest.Manifest = {
  ...{ baseModelId: h("base"), baseArtifactHash: h("base files"), adapterHash },
  ...{ snapshotBlock: 9n, snapshotBlockHash: h("block"), datanetIds: [1n, 2n] },
  ...{ settings: settings.encode(given), trainRows: rows.train, gateRows: rows.gate, files, waypoints: [] },
};
const named = new Set([...rows.train, ...rows.gate]);
const model: ModelOnChain = {
  modelId: keccak256(
    encodeAbiParameters(parseAbiParameters("address, bytes32, string"), [owner, adapterHash, "harbour"]),
  ),
  ...{ owner, kind: 2, artifactHash: adapterHash, parentIds: [h("base")], publishedBlock: 12n },
  snapshots: [1n, 2n].map((datanetId) => ({
    datanetId,
    snapshotRoot: manifest.snapshotRoot(
      records.filter((r) => r.datanetId === datanetId && named.has(r.chunkId)).map(({ chunkId }) => chunkId),
    ),
  })),
};
const base: Base = {
  ...{ registeredHash: h("base files"), replayedHash: h("base files"), adaptableModules: ["q_proj"] },
};
const { trainRows, gateRows } = good;

describe("a training manifest", () => {
  it("fits the chain it was published on", () => {
    expect(modelFault(good, model, base)).toBeNull();
    expect(rowsFault(good, model, h("block"), records)).toBeNull();
    expect(modelFault({ ...good, files: [] }, model, base)).toBeNull();
  });

  it.each<[string, Partial<manifest.Manifest>, Partial<ModelOnChain>, Partial<Base>]>([
    ["not_an_adapter", {}, { kind: 1 }, {}],
    ["adapter_mismatch", { adapterHash: h("other") }, {}, {}],
    ["adapter_mismatch", { files: files.map((file) => ({ ...file, content: "0x00" as Hex })) }, {}, {}],
    ["name_mismatch", { settings: settings.encode({ ...given, name: "other" }) }, {}, {}],
    ["base_mismatch", { baseModelId: h("other") }, {}, {}],
    ["base_mismatch", {}, { parentIds: [h("base"), h("second")] }, {}],
    ["base_mismatch", {}, {}, { registeredHash: null }],
    ["base_unknown", {}, {}, { replayedHash: h("another") }],
    ["modules_unsupported", {}, {}, { adaptableModules: ["v_proj"] }],
    ["snapshot_mismatch", { snapshotBlock: 12n }, {}, {}],
  ])("is refused as %s", (code, ofManifest, ofModel, ofBase) => {
    const fault = modelFault({ ...good, ...ofManifest }, { ...model, ...ofModel }, { ...base, ...ofBase });
    expect(fault?.code).toBe(code);
  });

  it.each<[string, Partial<manifest.Manifest>, Hex, SnapshotRecord[]]>([
    ["snapshot_mismatch", {}, h("another block"), records],
    ["rows_mismatch", { trainRows: trainRows.slice(1) }, h("block"), records],
    ["rows_mismatch", { trainRows: trainRows.toReversed() }, h("block"), records],
    ["rows_mismatch", { gateRows: gateRows.toReversed() }, h("block"), records],
    ["rows_mismatch", { trainRows: [gateRows[0]!], gateRows: trainRows }, h("block"), records],
    ["rows_mismatch", {}, h("block"), records.slice(1)],
    ["rows_mismatch", {}, h("block"), []],
  ])("is refused as %s where its rows are not those of the snapshot", (code, change, hash, stood) => {
    expect(rowsFault({ ...good, ...change }, model, hash, stood)?.code).toBe(code);
  });

  it("is refused where a state on the way has other files than it names", () => {
    const sha = (hex: Hex): Hex => `0x${createHash("sha256").update(hexToBytes(hex)).digest("hex")}`;
    const [weights, optimizer] = [toHex("earlier"), toHex("means")];
    const early = hashFiles([files[0]!, { ...files[1]!, content: weights }]);
    const waypoints: manifest.Waypoint[] = [
      { step: 10, adapterHash: early, optimizerHash: sha(optimizer), weights, optimizer },
      { step: 20, adapterHash, optimizerHash: sha(optimizer), weights: "0x", optimizer },
    ];
    expect(modelFault({ ...good, waypoints }, model, base)).toBeNull();
    for (const change of [{ weights: toHex("other") }, { optimizer: toHex("other") }]) {
      const spoilt = { ...good, waypoints: [{ ...waypoints[0]!, ...change }, waypoints[1]!] };
      expect(modelFault(spoilt, model, base)?.code).toBe("adapter_mismatch");
    }
  });

  it("is refused where the roots on chain are others, missing or more", () => {
    const [first, second] = model.snapshots;
    for (const snapshots of [[], [first!], [first!, { ...second!, snapshotRoot: h("x") }]])
      expect(rowsFault(good, { snapshots }, h("block"), records)?.code).toBe("root_mismatch");
    expect(rowsFault(good, { snapshots: [second!, first!, first!] }, h("block"), records)).toBeNull();
  });
});

it("hashes an adapter's files as sha256sum does", () => {
  const line = files.map(({ name, content }) => {
    const sha = createHash("sha256").update(hexToBytes(content)).digest("hex");
    return `${sha}  ${name}\n`;
  });
  expect(adapterHash).toBe(`0x${createHash("sha256").update(line.join("")).digest("hex")}`);
});
