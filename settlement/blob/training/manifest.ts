import { type Hex, parseAbiParameters } from "viem";
import type { Decoded } from "#schema/errors";
import * as tree from "../../tree/tree.ts";
import { codec } from "../codec.ts";
import * as payload from "../payload.ts";
import * as settings from "./settings.ts";

/**
 * Kind 4: what an adapter was trained on and how, and the adapter itself. Rows are chunk ids. Whoever holds the chain and
 * the chunks finds the same rows (rows.ts) and the same examples (examples.ts).
 */
export type Manifest = {
  baseModelId: Hex;
  baseArtifactHash: Hex;
  /** Hash of the adapter's files, the model's artifact hash on chain. */
  adapterHash: Hex;
  snapshotBlock: bigint;
  snapshotBlockHash: Hex;
  /** Ascending. */
  datanetIds: readonly bigint[];
  /** Canonical JSON of `settings.Settings`. */
  settings: string;
  /** What is learned, in the order of training. */
  trainRows: readonly Hex[];
  /** What is held out to judge the others by, in the order of the draw. */
  gateRows: readonly Hex[];
  /** The PEFT folder's files by name; empty where they fit into no blob, and are found by `adapterHash`. */
  files: readonly AdapterFile[];
  /** States on the way, ascending by step: those of `settings.waypointSteps`. */
  waypoints: readonly Waypoint[];
};

/**
 * The training after `step` updates. `weights` is the adapter's safetensors file then, `adapterHash` the hash of a PEFT folder
 * that holds it; the last is the adapter itself and has no `weights`. `optimizer` holds AdamW's running means, its SHA-256
 * `optimizerHash`. Both are empty in all waypoints where they fit into no blob, and are found by their hashes.
 */
export type Waypoint = {
  step: number;
  adapterHash: Hex;
  optimizerHash: Hex;
  weights: Hex;
  optimizer: Hex;
};

/** One file of an adapter; `content` in hex. */
export type AdapterFile = { name: string; content: Hex };

/** Names of an adapter's files, in the order in which they are hashed. */
export const fileNames = ["adapter_config.json", "adapter_model.safetensors"] as const;

/** Most Datanets of one training. */
export const datanetsMax = 64;

export function encode(manifest: Manifest): Uint8Array {
  return payload.encode("training", body, manifest);
}

/** Refuses also what no training can be: no rows, rows twice, Datanets out of order, other files, settings that are none. */
export function decode(bytes: Uint8Array): Decoded<Manifest> {
  const decoded = payload.decode("training", body, bytes);
  if (!decoded.ok) return decoded;
  const reason = faultOf(decoded.value);
  return reason === null ? decoded : { ok: false, reason };
}

/** Root over the chunk ids of rows, `snapshotRoot` of DatanetUsed: those of one Datanet, learned and held out. */
export function snapshotRoot(chunkIds: readonly Hex[]): Hex {
  return tree.rootOf(chunkIds);
}

function faultOf(of: Manifest): string | null {
  const { datanetIds, trainRows, gateRows, files, settings: text } = of;
  const counts: [string, number, number][] = [
    ["Datanets", datanetIds.length, datanetsMax],
    ["rows", trainRows.length, settings.trainRowsMax],
    ["rows held out", gateRows.length, settings.gateRowsMax],
  ];
  for (const [what, given, max] of counts)
    if (given < 1 || given > max) return `${given} ${what}, 1 to ${max} are possible`;
  if (datanetIds.some((id, i) => i > 0 && id <= datanetIds[i - 1]!)) return "the Datanets are not ascending";
  if (new Set([...trainRows, ...gateRows]).size < trainRows.length + gateRows.length)
    return "a row stands twice";
  const names = files.map(({ name }) => name);
  if (names.length > 0 && names.join() !== fileNames.join()) return `files are ${fileNames.join(" and ")}`;
  const read = settings.decode(text);
  return read.ok ? waypointsFault(of, read.value) : `settings: ${read.reason}`;
}

function waypointsFault({ waypoints, adapterHash, files }: Manifest, of: settings.Settings): string | null {
  const steps = settings.waypointSteps(of);
  const given = waypoints.map(({ step }) => step);
  if (given.join() !== steps.join()) return `waypoints after steps ${given}, the settings say ${steps}`;
  const last = waypoints.at(-1);
  if (last === undefined) return null;
  if (last.adapterHash !== adapterHash) return "the last waypoint is not the adapter";
  const isKept = last.optimizer !== "0x";
  if (isKept && files.length === 0) return "waypoints of an adapter whose own files are not there";
  const isRight = waypoints.every(({ weights, optimizer }, index) => {
    const hasWeights = isKept && index < waypoints.length - 1;
    return (weights !== "0x") === hasWeights && (optimizer !== "0x") === isKept;
  });
  return isRight ? null : "waypoints have all of their files, the last no weights, or none has any";
}

const body = codec(
  parseAbiParameters([
    "Body body",
    "struct Body { bytes32 baseModelId; bytes32 baseArtifactHash; bytes32 adapterHash; uint64 snapshotBlock; bytes32 snapshotBlockHash; uint64[] datanetIds; string settings; bytes32[] trainRows; bytes32[] gateRows; File[] files; Waypoint[] waypoints; }",
    "struct File { string name; bytes content; }",
    "struct Waypoint { uint32 step; bytes32 adapterHash; bytes32 optimizerHash; bytes weights; bytes optimizer; }",
  ]),
);
