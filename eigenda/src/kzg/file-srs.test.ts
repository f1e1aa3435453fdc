import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { compressedLists, type SrsLists } from "../testing/srs-files.ts";
import { developmentSrs, developmentSrsAnchor } from "./development-srs.ts";
import { fileSrs, type SrsFile, type SrsFiles } from "./file-srs.ts";
import type { Srs } from "./srs.ts";

const symbols = 16;
let folder: string;
let srs: Srs;
let lists: SrsLists;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "eigenda-file-srs-"));
  srs = await developmentSrs({ folder, symbolsMax: symbols });
  lists = compressedLists(srs);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it("reads all three lists, or the part of them that is asked for", async () => {
  const whole = await fileSrs(await filesOf(lists));
  expect(whole.symbolsMax).toBe(symbols);
  for (const name of ["g1", "g2", "g2Trailing"] as const) {
    expect(Buffer.compare(whole.points[name]!, srs.points[name]!)).toBe(0);
  }
  const part = await fileSrs({ ...(await filesOf(lists)), symbolsMax: 4 });
  expect(Buffer.compare(part.points.g1, srs.points.g1.subarray(0, 4 * 64))).toBe(0);
  expect(Buffer.compare(part.points.g2Trailing!, srs.points.g2Trailing!.subarray(-4 * 128))).toBe(0);
});

it("keeps the points it checked, and makes them anew from the files when the cache is damaged", async () => {
  const cacheFolder = join(folder, "cache");
  const files = { ...(await filesOf(lists)), cacheFolder };
  await fileSrs(files);
  const gone = { ...files, g1: { ...files.g1, path: join(folder, "gone") } };
  const cached = await fileSrs(gone);
  for (const name of ["g1", "g2", "g2Trailing"] as const) {
    expect(Buffer.compare(cached.points[name]!, srs.points[name]!)).toBe(0);
  }
  await expect(fileSrs({ ...gone, symbolsMax: 4 })).rejects.toMatchObject({ kind: "invalid" });
  const [name] = await readdir(cacheFolder);
  const bytes = await readFile(join(cacheFolder, name!));
  bytes[99] = bytes[99]! ^ 1;
  await writeFile(join(cacheFolder, name!), bytes);
  await expect(fileSrs(gone)).rejects.toMatchObject({ kind: "invalid" });
  expect(Buffer.compare((await fileSrs(files)).points.g1, srs.points.g1)).toBe(0);
});

it("refuses another ceremony's points, shifted lists and swapped files", async () => {
  const files = await filesOf(lists);
  const { anchor: _, ...asCeremony } = files;
  await expect(fileSrs(asCeremony)).rejects.toThrow("G1 point 1 is not that of the EigenDA mainnet SRS");
  const shifted = await filesOf({ ...lists, g1: lists.g1.subarray(32) });
  await expect(fileSrs(shifted)).rejects.toThrow("does not start with the generator");
  const swapped = await filesOf({ ...lists, prefix: lists.trailing, trailing: lists.prefix });
  await expect(fileSrs(swapped)).rejects.toMatchObject({ kind: "invalid" });
  const early = Buffer.concat([lists.trailing.subarray(64), lists.trailing.subarray(0, 64)]);
  await expect(fileSrs(await filesOf({ ...lists, trailing: early }))).rejects.toThrow("trailing G2 point");
});

it("refuses a wrong checksum, a missing file, odd sizes and malformed points", async () => {
  const files = await filesOf(lists);
  const refused = (change: Partial<SrsFiles>) => expect(fileSrs({ ...files, ...change })).rejects;
  await refused({ g1: { ...files.g1, sha256: "00" } }).toThrow("another checksum");
  await refused({ g1: { ...files.g1, path: join(folder, "absent") } }).toMatchObject({ kind: "invalid" });
  await refused({ g1: await fileOf("odd", lists.g1.subarray(0, 33)) }).toThrow("no list of 32-byte points");
  const malformed = Buffer.from(lists.g1);
  malformed[3 * 32] = 0xbf;
  malformed.fill(0xff, 3 * 32 + 1, 4 * 32);
  await refused({ g1: await fileOf("malformed", malformed) }).toThrow("G1 point 3 is malformed");
  const short = await filesOf({ ...lists, prefix: lists.prefix.subarray(0, 64) });
  await expect(fileSrs(short)).rejects.toThrow("fewer points");
});

async function filesOf({ g1, prefix, trailing }: typeof lists): Promise<SrsFiles> {
  return {
    g1: await fileOf("g1", g1),
    g2: { prefix: await fileOf("prefix", prefix), trailing: await fileOf("trailing", trailing) },
    anchor: developmentSrsAnchor,
  };
}

async function fileOf(name: string, bytes: Buffer): Promise<SrsFile> {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const path = join(folder, `${name}-${sha256.slice(0, 8)}.point`);
  await writeFile(path, bytes);
  return { path, sha256 };
}
