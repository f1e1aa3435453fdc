import { createHash } from "node:crypto";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toHex, zeroHash } from "viem";
import { afterEach, beforeEach, expect, it } from "vitest";
import { hashAdapter } from "#runtime/index";
import { fileNames, type Manifest } from "#settlement/blob/training/manifest";
import { AdapterFilesMissingError, adapterFiles, waypointFiles } from "./files.ts";

const fixture = join(import.meta.dirname, "../../runtime/lora/fixtures/plain");
let engineFolder: string;
let of: Manifest;

beforeEach(async () => {
  engineFolder = await mkdtemp(join(tmpdir(), "tributary-files-"));
  const files = fileNames.map(async (name) => ({
    name,
    content: toHex(await readFile(join(fixture, name))),
  }));
  of = {
    ...{ baseModelId: zeroHash, baseArtifactHash: zeroHash, adapterHash: await hashAdapter(fixture) },
    ...{ snapshotBlock: 1n, snapshotBlockHash: zeroHash, datanetIds: [1n], settings: "" },
    ...{ trainRows: [zeroHash], gateRows: [], files: await Promise.all(files), waypoints: [] },
  };
});
afterEach(() => rm(engineFolder, { recursive: true, force: true }));

it("writes an adapter's files once for all who ask at the same time, over what a killed engine left", async () => {
  const parent = join(engineFolder, "adapters", of.adapterHash);
  await mkdir(parent, { recursive: true });
  await cp(fixture, join(parent, "files.1.partial"), { recursive: true });
  const places = { engineFolder, adaptersFolder: null };
  const found = await Promise.all(Array.from({ length: 8 }, () => adapterFiles(places, of)));
  expect(new Set(found.map(({ folder }) => folder)).size).toBe(1);
  expect(await hashAdapter(found[0]!.folder)).toBe(of.adapterHash);
  expect(await readdir(parent)).toEqual(["files"]);
});

it("writes the states on a training's way, each whole, and finds those too large for a payload by their hashes", async () => {
  const optimizer = toHex("the means");
  const optimizerHash = `0x${createHash("sha256").update("the means").digest("hex")}` as const;
  const last = { step: 8, adapterHash: of.adapterHash, optimizerHash, weights: "0x", optimizer } as const;
  const placed = { engineFolder, adaptersFolder: join(engineFolder, "large") };
  const [found] = await waypointFiles(placed, { ...of, waypoints: [last] });
  expect(found).toMatchObject({ step: 8, adapter: { hash: of.adapterHash } });
  expect(await readFile(found!.optimizerPath, "utf8")).toBe("the means");
  await writeFile(found!.optimizerPath, "others");
  await waypointFiles(placed, { ...of, waypoints: [last] });
  expect(await readFile(found!.optimizerPath, "utf8")).toBe("the means");
  const large = { ...of, waypoints: [{ ...last, optimizer: "0x" as const }] };
  await expect(waypointFiles(placed, large)).rejects.toThrow(AdapterFilesMissingError);
  await cp(found!.adapter.folder, join(placed.adaptersFolder, of.adapterHash, "waypoints/8"), {
    recursive: true,
  });
  expect(await waypointFiles(placed, large)).toMatchObject([{ adapter: { hash: of.adapterHash } }]);
  await writeFile(join(placed.adaptersFolder, of.adapterHash, "waypoints/8/optimizer.safetensors"), "others");
  await expect(waypointFiles(placed, large)).rejects.toThrow(AdapterFilesMissingError);
});
