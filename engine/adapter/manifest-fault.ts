import { createHash } from "node:crypto";
import { encodeAbiParameters, type Hex, hexToBytes, keccak256, parseAbiParameters } from "viem";
import type { SnapshotRecord } from "#schema/snapshot";
import type { Fault } from "#settlement/blob/batch";
import * as manifest from "#settlement/blob/training/manifest";
import { draw } from "#settlement/blob/training/rows";
import * as settings from "#settlement/blob/training/settings";
import * as tree from "#settlement/tree/tree";

/** What the chain says of a model whose training manifest was published, before that event. */
export type ModelOnChain = {
  modelId: Hex;
  owner: Hex;
  /** As ModelRegistered: 2 is a LoRA. */
  kind: number;
  artifactHash: Hex;
  parentIds: readonly Hex[];
  /** Roots it declared of Datanets it was trained on, with this manifest. */
  snapshots: readonly { datanetId: bigint; snapshotRoot: Hex }[];
  publishedBlock: bigint;
};

/** The base as the manifest names it: what the chain has under its id, and what this engine replays and adapts. */
export type Base = { registeredHash: Hex | null; replayedHash: Hex; adaptableModules: readonly string[] };

const loraKind = 2;

/**
 * First thing in which a training manifest differs from the chain, but for its rows: the model, its base, its files. Pure. Files
 * that are not in the payload are whoever's to check who finds them.
 */
export function modelFault(of: manifest.Manifest, model: ModelOnChain, base: Base): Fault | null {
  const read = settings.decode(of.settings);
  if (!read.ok) return fault("malformed_payload", `settings: ${read.reason}`);
  if (model.kind !== loraKind) return fault("not_an_adapter", `the model is of kind ${model.kind}`);
  if (of.adapterHash !== model.artifactHash)
    return fault(
      "adapter_mismatch",
      `is about adapter ${of.adapterHash}, the chain has ${model.artifactHash}`,
    );
  if (modelIdOf(model.owner, model.artifactHash, read.value.name) !== model.modelId)
    return fault("name_mismatch", `${read.value.name} is not the name the model was registered under`);
  if (model.parentIds.join() !== of.baseModelId)
    return fault("base_mismatch", `base ${of.baseModelId}, the chain has ${model.parentIds.join()}`);
  if (of.baseArtifactHash !== base.registeredHash)
    return fault(
      "base_mismatch",
      `base artifact ${of.baseArtifactHash}, the chain has ${base.registeredHash}`,
    );
  if (of.baseArtifactHash !== base.replayedHash)
    return fault(
      "base_unknown",
      `this engine replays artifact ${base.replayedHash}, not ${of.baseArtifactHash}`,
    );
  const stray = read.value.targetModules.find((module) => !base.adaptableModules.includes(module));
  if (stray !== undefined) return fault("modules_unsupported", `this engine adapts no ${stray}`);
  if (of.snapshotBlock >= model.publishedBlock)
    return fault("snapshot_mismatch", `snapshot ${of.snapshotBlock} is not before ${model.publishedBlock}`);
  const filesHash = of.files.length === 0 ? of.adapterHash : hashFiles(of.files);
  if (filesHash !== of.adapterHash)
    return fault("adapter_mismatch", `its files hash to ${filesHash}, not ${of.adapterHash}`);
  return waypointsFault(of);
}

/** First of its waypoints whose files are others than it names. */
function waypointsFault({ files, waypoints }: manifest.Manifest): Fault | null {
  for (const { step, adapterHash, optimizerHash, weights, optimizer } of waypoints) {
    if (weights !== "0x" && hashFiles([files[0]!, { ...files[1]!, content: weights }]) !== adapterHash)
      return fault("adapter_mismatch", `its files after step ${step} do not hash to ${adapterHash}`);
    if (optimizer !== "0x" && sha256(hexToBytes(optimizer)) !== optimizerHash.slice(2))
      return fault("adapter_mismatch", `its optimizer after step ${step} does not hash to ${optimizerHash}`);
  }
  return null;
}

/**
 * First thing in which its rows differ from what stood at the snapshot: the block, the draw, the roots on chain. Pure.
 * `records` are those of its Datanets (schema/snapshot.ts).
 */
export function rowsFault(
  of: manifest.Manifest,
  model: Pick<ModelOnChain, "snapshots">,
  blockHash: Hex | null,
  records: readonly SnapshotRecord[],
): Fault | null {
  if (blockHash !== of.snapshotBlockHash)
    return fault(
      "snapshot_mismatch",
      `block ${of.snapshotBlock} is ${blockHash}, not ${of.snapshotBlockHash}`,
    );
  const read = settings.decode(of.settings);
  if (!read.ok) return fault("malformed_payload", `settings: ${read.reason}`);
  const rows = draw(records, of.snapshotBlockHash, read.value);
  if (rows === null) return fault("rows_mismatch", "nothing was there to learn at the snapshot");
  if (rows.train.join() !== of.trainRows.join() || rows.gate.join() !== of.gateRows.join())
    return fault("rows_mismatch", "the rows are not those drawn from the records of the snapshot");
  const named = new Set([...of.trainRows, ...of.gateRows]);
  const expected = of.datanetIds
    .map((datanetId) => {
      const own = records.filter((record) => record.datanetId === datanetId && named.has(record.chunkId));
      return { datanetId, snapshotRoot: manifest.snapshotRoot(own.map(({ chunkId }) => chunkId)) };
    })
    .filter(({ snapshotRoot }) => snapshotRoot !== tree.zeroRoot);
  return spell(expected) === spell(model.snapshots)
    ? null
    : fault("root_mismatch", "the roots on chain are not those of its rows");
}

/** Hash over an adapter's files, in the order of their names, as `sha256sum … | sha256sum` gives it. */
export function hashFiles(files: readonly manifest.AdapterFile[]): Hex {
  const lines = files.map(({ name, content }) => `${sha256(hexToBytes(content))}  ${name}\n`);
  return `0x${sha256(lines.join(""))}`;
}

function sha256(bytes: string | Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** ModelRegistry.registerModel. */
function modelIdOf(owner: Hex, artifactHash: Hex, name: string): Hex {
  return keccak256(encodeAbiParameters(idParameters, [owner, artifactHash, name]));
}

const idParameters = parseAbiParameters("address owner, bytes32 artifactHash, string name");

function spell(snapshots: readonly { datanetId: bigint; snapshotRoot: Hex }[]): string {
  return [...new Set(snapshots.map(({ datanetId, snapshotRoot }) => `${datanetId} ${snapshotRoot}`))]
    .sort()
    .join();
}

function fault(code: string, reason: string): Fault {
  return { code, reason };
}
