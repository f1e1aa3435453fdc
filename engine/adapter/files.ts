import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { eq } from "drizzle-orm";
import { type Hex, hexToBytes } from "viem";
import { hashAdapter, ModelRuntimeError } from "#runtime/index";
import type { Drizzle } from "#schema/database";
import { invariant, PipelineError } from "#schema/errors";
import { payload as payloads } from "#schema/offchain/index";
import * as manifest from "#settlement/blob/training/manifest";

/** An adapter the engine may load: its folder holds the files the chain names. */
export type AdapterFiles = { hash: Hex; folder: string };

/** Where adapters lie on this machine. `adaptersFolder` holds those too large for a payload, each under its hash. */
export type AdapterPlaces = { engineFolder: string; adaptersFolder: string | null };

/** Manifests in memory, the ones asked for last: one of 30,000 rows takes a second to decode. */
const manifestsMax = 16;
const manifests = new Map<Hex, manifest.Manifest>();

/** The training manifest behind a content hash, as it was fetched and checked. */
export async function readManifest(db: Drizzle, contentHash: Hex): Promise<manifest.Manifest> {
  const found = manifests.get(contentHash) ?? (await decodeManifest(db, contentHash));
  manifests.delete(contentHash);
  manifests.set(contentHash, found);
  if (manifests.size > manifestsMax) manifests.delete(manifests.keys().next().value!);
  return found;
}

async function decodeManifest(db: Drizzle, contentHash: Hex): Promise<manifest.Manifest> {
  const [row] = await db.select().from(payloads).where(eq(payloads.contentHash, contentHash));
  invariant(row !== undefined, `the payload ${contentHash} of an adapter was kept`);
  const decoded = manifest.decode(row.bytes);
  invariant(decoded.ok, "a kept payload was decoded before");
  return decoded.value;
}

/**
 * An adapter's files on this machine, written from its payload where they are missing or are others. The hash of what lies
 * there is compared each time: files may be swapped under a running engine.
 * @throws AdapterFilesMissingError where the payload has none, and neither has the folder of large ones.
 */
export async function adapterFiles(places: AdapterPlaces, of: manifest.Manifest): Promise<AdapterFiles> {
  const hash = of.adapterHash;
  if (of.files.length === 0) {
    const folder = places.adaptersFolder === null ? null : join(places.adaptersFolder, hash);
    if (folder === null || (await hashOf(folder)) !== hash) throw new AdapterFilesMissingError(hash);
    return { hash, folder };
  }
  const folder = join(folderOf(places, hash), "files");
  await once(folder, async () => {
    if ((await hashOf(folder)) !== hash) await writeFiles(folder, of.files);
  });
  return { hash, folder };
}

/** One state on a training's way, on this machine. */
export type WaypointFiles = { step: number; adapter: AdapterFiles; optimizerPath: string };

/**
 * The same of its waypoints, in their order; the last is the adapter with its optimizer's means.
 * @throws AdapterFilesMissingError
 */
export async function waypointFiles(places: AdapterPlaces, of: manifest.Manifest): Promise<WaypointFiles[]> {
  const found: WaypointFiles[] = [];
  for (const waypoint of of.waypoints) {
    const folder = await waypointFolder(places, of, waypoint);
    const adapter = { hash: waypoint.adapterHash, folder };
    found.push({ step: waypoint.step, adapter, optimizerPath: join(folder, optimizerFile) });
  }
  return found;
}

async function waypointFolder(
  places: AdapterPlaces,
  of: manifest.Manifest,
  waypoint: manifest.Waypoint,
): Promise<string> {
  const { step, adapterHash, optimizerHash, optimizer } = waypoint;
  const isWhole = async (folder: string) =>
    (await hashOf(folder)) === adapterHash && (await sha256Of(join(folder, optimizerFile))) === optimizerHash;
  if (optimizer === "0x") {
    const { adaptersFolder } = places;
    const folder = adaptersFolder && join(adaptersFolder, of.adapterHash, "waypoints", `${step}`);
    if (!folder || !(await isWhole(folder)))
      throw new AdapterFilesMissingError(of.adapterHash, `waypoints/${step}`);
    return folder;
  }
  const folder = join(folderOf(places, of.adapterHash), "waypoints", `${adapterHash}-${optimizerHash}`);
  const write = async () => {
    if (await isWhole(folder)) return;
    const [config, weights] = of.files;
    const own = { ...weights!, content: waypoint.weights === "0x" ? weights!.content : waypoint.weights };
    await writeFiles(folder, [config!, own, { name: optimizerFile, content: optimizer }]);
  };
  await once(folder, write);
  return folder;
}

/** Name of the optimizer's means in a waypoint's folder. */
const optimizerFile = "optimizer.safetensors";

/** What this process is at, by folder: several models may name the same files, and are opened side by side. */
const ensuring = new Map<string, Promise<void>>();

function once(folder: string, ensure: () => Promise<void>): Promise<void> {
  const running = ensuring.get(folder) ?? ensure().finally(() => ensuring.delete(folder));
  ensuring.set(folder, running);
  return running;
}

/** What the engine keeps of an adapter on this machine: its files, its stores. All of it can be made again. */
export function folderOf({ engineFolder }: AdapterPlaces, hash: Hex): string {
  return join(engineFolder, "adapters", hash);
}

async function hashOf(folder: string): Promise<Hex | null> {
  try {
    return await hashAdapter(folder);
  } catch (error) {
    // Not there, or not an adapter: whoever asked writes it anew or says what is missing.
    if (error instanceof ModelRuntimeError) return null;
    throw error;
  }
}

async function sha256Of(path: string): Promise<Hex | null> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  return bytes && `0x${createHash("sha256").update(bytes).digest("hex")}`;
}

/** Whole or not at all. What a killed engine left half written goes; another that is just writing the same tries again. */
async function writeFiles(folder: string, files: readonly manifest.AdapterFile[]): Promise<void> {
  const partial = `${folder}.${process.pid}.partial`;
  await mkdir(dirname(folder), { recursive: true });
  const halves = (await readdir(dirname(folder))).filter((name) => name.endsWith(".partial"));
  for (const half of halves) await rm(join(dirname(folder), half), { recursive: true, force: true });
  await mkdir(partial);
  for (const { name, content } of files) {
    await writeFile(join(partial, name), hexToBytes(content), { flush: true });
  }
  await rm(folder, { recursive: true, force: true });
  await rename(partial, folder);
}

export class AdapterFilesMissingError extends PipelineError {
  override readonly name = "AdapterFilesMissingError";
  /** @param below Folder below the adapter's, where they belong there. */
  constructor(hash: Hex, below?: string) {
    const folder = below === undefined ? "a folder of that name" : `${hash}/${below}`;
    super(
      `the files of adapter ${hash} are not in its payload. Put them into ${folder} in ADAPTERS_FOLDER.`,
      { code: "adapter_unavailable", retryable: true },
    );
  }
}
