import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { bytesToHex, encodeAbiParameters, type Hex, keccak256, parseAbiParameters } from "viem";
import * as payload from "#settlement/blob/payload";
import * as manifest from "#settlement/blob/training/manifest";
import type { Plan } from "./plan.ts";
import type { Trained } from "./training.ts";

/** What goes to DA, and what the registry is told. */
export type Package = {
  bytes: Uint8Array;
  manifestHash: Hex;
  /** Whether the adapter's files are in the payload. */
  hasFiles: boolean;
  /** Root over the rows of each Datanet, ascending by Datanet. */
  snapshots: { datanetId: bigint; snapshotRoot: Hex }[];
};

/**
 * The training payload of a trained adapter. Files that would make it larger than `bytesMax` are left out: who attributes
 * then needs them from elsewhere, by their hash.
 */
export async function packageTraining(
  plan: Plan,
  trained: Pick<Trained, "adapterFolder" | "adapterHash">,
  datanetOf: ReadonlyMap<Hex, bigint>,
  bytesMax: number,
): Promise<Package> {
  const files = await Promise.all(
    manifest.fileNames.map(async (name) => ({
      name,
      content: bytesToHex(await readFile(join(trained.adapterFolder, name))),
    })),
  );
  const whole: manifest.Manifest = { ...plan, adapterHash: trained.adapterHash, files };
  const encoded = manifest.encode(whole);
  const hasFiles = encoded.length <= bytesMax;
  const bytes = hasFiles ? encoded : manifest.encode({ ...whole, files: [] });
  const rows = [...plan.trainRows, ...plan.gateRows];
  const snapshots = plan.datanetIds.map((datanetId) => ({
    datanetId,
    snapshotRoot: manifest.snapshotRoot(rows.filter((chunkId) => datanetOf.get(chunkId) === datanetId)),
  }));
  return { bytes, manifestHash: payload.contentHash(bytes), hasFiles, snapshots };
}

/** Id of the model that `owner` registers: ModelRegistry.registerModel. */
export function modelIdOf(owner: Hex, artifactHash: Hex, name: string): Hex {
  return keccak256(encodeAbiParameters(idParameters, [owner, artifactHash, name]));
}

const idParameters = parseAbiParameters("address owner, bytes32 artifactHash, string name");
