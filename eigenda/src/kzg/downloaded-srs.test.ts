import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { startRangeServer } from "../testing/range-server.ts";
import { ceremonyFiles, compressedLists, type SrsLists } from "../testing/srs-files.ts";
import { hasVectors, vectorPath } from "../testing/vectors.ts";
import { developmentSrs, developmentSrsAnchor } from "./development-srs.ts";
import { downloadedSrs, type SrsDownload } from "./downloaded-srs.ts";
import { type Srs, srsOrder } from "./srs.ts";

const symbols = 16;
let root: string;
let folder: string;
let srs: Srs;
let lists: SrsLists;
let server: Awaited<ReturnType<typeof startRangeServer>>;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "eigenda-downloaded-srs-"));
  srs = await developmentSrs({ folder: root, symbolsMax: symbols });
  lists = compressedLists(srs);
});
afterAll(() => rm(root, { recursive: true, force: true }));

beforeEach(async () => {
  folder = await mkdtemp(join(root, "kept-"));
  server = await startRangeServer(ceremonyFiles(lists));
});
afterEach(() => server[Symbol.asyncDispose]());

it("fetches no more than the part that is needed, and needs no server the second time", async () => {
  await expectSame(await downloadedSrs(options()));
  const end = 64 * srsOrder - 1;
  expect(server.requests).toEqual([
    "/g1.point bytes=0-511",
    "/g2.point bytes=0-1023",
    `/g2.point bytes=${end + 1 - 1024}-${end}`,
  ]);
  server.control.status = 500;
  await expectSame(await downloadedSrs(options()));
  expect(server.requests).toHaveLength(3);
  const part = await downloadedSrs({ ...options(), hasG2: false });
  expect(part.points).toMatchObject({ g2: null, g2Trailing: null });
});

it("goes on where a download broke off, in the same call and in the next process", async () => {
  server.control.breakAfter = { bytes: 100, times: 2 };
  await expectSame(await downloadedSrs(options()));
  expect(server.requests.slice(0, 3)).toEqual([
    "/g1.point bytes=0-511",
    "/g1.point bytes=100-511",
    "/g1.point bytes=200-511",
  ]);
  await rm(folder, { recursive: true });
  await downloadedSrs({ ...options(), hasG2: false });
  await rm(join(folder, "g1-16.point"));
  await writeFile(join(folder, "g1-16.point.partial"), lists.g1.subarray(0, 300));
  await expectSame(await downloadedSrs(options()));
  expect(server.requests).toContain("/g1.point bytes=300-511");
});

it("gives up a server that keeps breaking off with failover, and leaves when told to", async () => {
  server.control.status = 503;
  const leave = new AbortController();
  const reason = new Error("left");
  const given = downloadedSrs({ ...options(), signal: leave.signal });
  setTimeout(() => leave.abort(reason), 50);
  await expect(given).rejects.toBe(reason);
  const nowhere = { ...options(), url: "http://127.0.0.1:1", requestMsMax: 100 };
  await expect(downloadedSrs(nowhere)).rejects.toMatchObject({ kind: "failover" });
}, 60_000);

it("refuses wrong checksums, changed points and another ceremony's, and keeps none of them", async () => {
  const sha256 = { g1: createHash("sha256").update(lists.g1).digest("hex"), g2: "00" };
  await expect(downloadedSrs({ ...options(), sha256 })).rejects.toMatchObject({
    kind: "invalid",
    message: expect.stringContaining("another checksum"),
  });
  server.control.change = (bytes) => Buffer.concat([bytes.subarray(0, 32), bytes.subarray(0, -32)]);
  await rm(join(folder, "g1-16.point"));
  await expect(downloadedSrs(options())).rejects.toThrow("The SRS files are wrong");
  expect(await readdir(folder)).toEqual([]);
  server.control.change = (bytes) => bytes;
  const { anchor: _, ...asCeremony } = options();
  await expect(downloadedSrs(asCeremony)).rejects.toThrow("is not that of the EigenDA mainnet SRS");
  await expectSame(await downloadedSrs(options()));
});

it("refuses a server that ignores ranges, sends others, too much, or has no such file", async () => {
  const refused = (kind: string) => expect(downloadedSrs(options())).rejects.toMatchObject({ kind });
  server.control.ignoresRanges = true;
  await refused("invalid");
  server.control.ignoresRanges = false;
  server.control.status = 404;
  await refused("invalid");
  server.control.status = 0;
  server.control.contentRange = () => "bytes 5-516/1000";
  await refused("mismatch");
  server.control.contentRange = (right) => right;
  server.control.change = (bytes) => Buffer.concat([bytes, bytes]);
  await refused("mismatch");
  expect(await readdir(folder)).toEqual([]);
  await expect(downloadedSrs({ ...options(), url: "http://files.example" })).rejects.toThrow("Plaintext");
});

it.skipIf(!hasVectors)(
  "fetches real points of the ceremony, from a server that has only so many",
  async () => {
    const real = await readFile(vectorPath("g1.3000.point"));
    await using ceremony = await startRangeServer({
      "g1.point": { bytes: real.length, pieces: [{ at: 0, bytes: real }] },
    });
    const { symbolsMax, isForgeable } = await downloadedSrs({
      url: ceremony.url,
      folder,
      symbolsMax: 2048,
      hasG2: false,
    });
    expect([symbolsMax, isForgeable]).toEqual([2048, false]);
  },
);

function options(): SrsDownload {
  return { url: server.url, folder, symbolsMax: symbols, anchor: developmentSrsAnchor };
}

async function expectSame({ points }: Srs): Promise<void> {
  for (const name of ["g1", "g2", "g2Trailing"] as const)
    expect(Buffer.compare(points[name]!, srs.points[name]!)).toBe(0);
}
