import { cp, mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toHex, zeroHash } from "viem";
import { afterEach, beforeEach, expect, it } from "vitest";
import { hashAdapter } from "#runtime/index";
import { fileNames, type Manifest } from "#settlement/blob/training/manifest";
import { adapterFiles } from "./files.ts";

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
    ...{ trainRows: [zeroHash], gateRows: [], files: await Promise.all(files) },
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
