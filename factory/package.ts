import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { bytesToHex, encodeAbiParameters, type Hex, keccak256, parseAbiParameters } from "viem";
import * as payload from "#settlement/blob/payload";
import * as manifest from "#settlement/blob/training/manifest";
import type { Plan } from "./plan.ts";
import { type KeptWaypoint, optimizerFile, type Trained } from "./training.ts";

/** What goes to DA, and what the registry is told. */
export type Package = {
  bytes: Uint8Array;
  manifestHash: Hex;
  /** Whether the adapter's files are in the payload, and those of its waypoints. */
  hasFiles: boolean;
  hasWaypoints: boolean;
  /** Root over the rows of each Datanet, ascending by Datanet. */
  snapshots: { datanetId: bigint; snapshotRoot: Hex }[];
};

/**
 * The training payload of a trained adapter. Files that would make it larger than `bytesMax` are left out, those of waypoints
 * first: who attributes then needs them from elsewhere, by their hash.
 */
export async function packageTraining(
  plan: Plan,
  trained: Pick<Trained, "adapterFolder" | "adapterHash" | "waypoints">,
  datanetOf: ReadonlyMap<Hex, bigint>,
  bytesMax: number,
): Promise<Package> {
  const files = await Promise.all(
    manifest.fileNames.map(async (name) => ({
      name,
      content: bytesToHex(await readFile(join(trained.adapterFolder, name))),
    })),
  );
  const { adapterHash } = trained;
  const last = trained.waypoints.at(-1);
  const waypoints = await Promise.all(trained.waypoints.map((one) => readWaypoint(one, one === last)));
  const named = waypoints.map((one) => ({ ...one, weights: "0x", optimizer: "0x" }) as const);
  const whole: manifest.Manifest = { ...plan, adapterHash, files, waypoints };
  const smaller = [whole, { ...whole, waypoints: named }];
  const fitting = smaller.find((one) => manifest.encode(one).length <= bytesMax);
  const chosen = fitting ?? { ...whole, files: [], waypoints: named };
  const bytes = manifest.encode(chosen);
  const hasFiles = chosen.files.length > 0;
  const hasWaypoints = chosen.waypoints === waypoints;
  const rows = [...plan.trainRows, ...plan.gateRows];
  const snapshots = plan.datanetIds.map((datanetId) => ({
    datanetId,
    snapshotRoot: manifest.snapshotRoot(rows.filter((chunkId) => datanetOf.get(chunkId) === datanetId)),
  }));
  return { bytes, manifestHash: payload.contentHash(bytes), hasFiles, hasWaypoints, snapshots };
}

/** The last is the adapter, and has no weights of its own. */
async function readWaypoint(
  { step, folder, adapterHash }: KeptWaypoint,
  isLast: boolean,
): Promise<manifest.Waypoint> {
  const optimizer = await readFile(join(folder, optimizerFile));
  const weights = await readFile(join(folder, manifest.fileNames[1]));
  return {
    ...{ step, adapterHash, optimizer: bytesToHex(optimizer) },
    optimizerHash: `0x${createHash("sha256").update(optimizer).digest("hex")}`,
    weights: isLast ? "0x" : bytesToHex(weights),
  };
}

/** Id of the model that `owner` registers: ModelRegistry.registerModel. */
export function modelIdOf(owner: Hex, artifactHash: Hex, name: string): Hex {
  return keccak256(encodeAbiParameters(idParameters, [owner, artifactHash, name]));
}

const idParameters = parseAbiParameters("address owner, bytes32 artifactHash, string name");
