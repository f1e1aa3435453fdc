import { once } from "node:events";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { certificateHash, decodeCertificate } from "../certificate/certificate.ts";
import { retrievePayload } from "../client/blob-source.ts";
import { messageBytesMax } from "../client/channel.ts";
import type { Dispersal } from "../client/disperser-client.ts";
import { samplePayload, startTestDisperser } from "../testing/disperser.ts";
import { s3Credentials, startS3StandIn } from "../testing/s3-server.ts";
import { Archive, dayMs, sweepMetrics } from "./archive.ts";
import { directoryStore, type ObjectStore, s3Store } from "./object-store.ts";

let setup: Awaited<ReturnType<typeof startTestDisperser>>;
let s3: Awaited<ReturnType<typeof startS3StandIn>>;
let stores: [ObjectStore, ObjectStore];
let dispersal: Dispersal;
const payload = samplePayload(333);
const start = Date.UTC(2026, 0, 1);
let now = start;

beforeAll(async () => {
  [setup, s3] = await Promise.all([startTestDisperser(), startS3StandIn()]);
  dispersal = await setup.client.disperse(payload);
});
afterAll(async () => {
  await setup[Symbol.asyncDispose]();
  await s3[Symbol.asyncDispose]();
});
beforeEach(async () => {
  now = start;
  setup.server.faults.clear();
  s3.objects.clear();
  await rm(folder(), { recursive: true, force: true });
  stores = [directoryStore(folder()), s3Store({ url: s3.url, ...s3Credentials })];
});

it("reads from the relay first, and from the archive once the relay has forgotten, and says which", async () => {
  await using archive = newArchive();
  await archive.add(dispersal.certificate);
  expect((await archive.sweep()).entries).toMatchObject([{ missing: [], archivedAtMs: start }]);
  const read = () => retrievePayload(dispersal.certificate, [setup.relay, archive]);
  expect(await read()).toMatchObject({ payload, servedBy: "relay 0" });
  setup.server.faults.add("not-found");
  expect(await read()).toMatchObject({ payload, servedBy: `archive folder ${folder()}` });
  await rm(folder(), { recursive: true });
  expect((await read()).servedBy).toBe(`archive bucket ${s3.url}`);
  s3.objects.clear();
  await expect(read()).rejects.toMatchObject({ kind: "failover" });
});

it("repairs a wrong copy from a good one, and reports what it did", async () => {
  await using archive = newArchive();
  await archive.add(dispersal.certificate);
  await archive.sweep();
  setup.server.faults.add("not-found");
  const path = join(folder(), "blob", (await readdir(join(folder(), "blob")))[0]!);
  const good = await readFile(path);
  for (const bad of [
    Buffer.concat([good.subarray(0, -1), Buffer.from([7])]),
    good.subarray(0, 32),
    Buffer.alloc(0),
  ]) {
    await writeFile(path, bad);
    const { entries } = await archive.sweep();
    expect(entries).toMatchObject([{ repaired: [stores[0].name], missing: [] }]);
    expect(await readFile(path)).toEqual(good);
  }
  s3.objects.clear();
  expect((await archive.sweep()).entries).toMatchObject([{ repaired: [stores[1].name], missing: [] }]);
  expect(s3.objects.size).toBe(3);
});

it("raises an alarm before the network forgets a blob that is not in every store, and tells a lost one", async () => {
  setup.server.faults.add("not-found");
  await using archive = newArchive();
  const entry = await archive.add(dispersal.certificate, { dispersedAtMs: start });
  expect(entry).toMatchObject({ expiresAtMs: start + 14 * dayMs, archivedAtMs: null });
  now = start + 9 * dayMs;
  expect(await archive.sweep()).toMatchObject({ alarms: [], lost: [], entries: [{ copies: [] }] });
  now = start + 10 * dayMs;
  const alarmed = await archive.sweep();
  expect(alarmed).toMatchObject({ alarms: [{ certificateHash: dispersal.certificateHash }], lost: [] });
  expect(sweepMetrics(alarmed)).toContain("\neigenda_archive_alarms 1\n");
  now = start + 14 * dayMs;
  expect((await archive.sweep()).lost).toHaveLength(1);
  setup.server.faults.clear();
  expect(await archive.sweep()).toMatchObject({ alarms: [], lost: [], entries: [{ archivedAtMs: now }] });
});

it("reports a store that cannot list, and still sweeps what the others list", async () => {
  const down: ObjectStore = {
    ...stores[1],
    name: "down",
    list: () => Promise.reject(new Error("no listing")),
  };
  await using archive = new Archive({ ...options(), stores: [stores[0], down] });
  await archive.add(dispersal.certificate);
  const sweep = await archive.sweep();
  expect(sweep).toMatchObject({
    unlisted: [{ store: "down", reason: "no listing" }],
    entries: [{ copies: [stores[0].name, "down"] }],
  });
  expect(sweepMetrics(sweep)).toContain("\neigenda_archive_stores_unlisted 1\n");
  await using blind = new Archive({ ...options(), stores: [down] });
  expect(await blind.sweep()).toMatchObject({ entries: [], unlisted: [{ store: "down" }] });
});

it("goes on past stray files and damaged certificates, and names them", async () => {
  await using archive = newArchive();
  await archive.add(dispersal.certificate);
  const noCertificate = Buffer.from("none");
  const strays = ["notes.txt", `0x${"11".repeat(32)}`, certificateHash(noCertificate)];
  for (const name of strays) await stores[0].put(`certificate/${name}`, noCertificate);
  const sweep = await archive.sweep();
  expect(sweep.entries).toMatchObject([{ certificateHash: dispersal.certificateHash, missing: [] }]);
  expect(sweep.unreadable.map(({ name }) => name).sort()).toEqual(strays.sort());
  expect(sweepMetrics(sweep)).toContain("\neigenda_archive_unreadable 3\n");
});

it("keeps the first date of expiry when a blob is added again, and puts it in the stores that work", async () => {
  await using archive = newArchive();
  const { blob } = await setup.relay.retrieveBlob(certificateOf(dispersal), {});
  const first = await archive.add(dispersal.certificate);
  now += 5 * dayMs;
  expect(await archive.add(dispersal.certificate, { blob })).toEqual({ ...first, archivedAtMs: now });
  const archivedAtMs = now;
  now += dayMs;
  expect(await archive.add(dispersal.certificate, { blob })).toEqual({ ...first, archivedAtMs });
  s3.objects.clear();
  const full: ObjectStore = { ...stores[0], name: "full", put: () => Promise.reject(new Error("disk full")) };
  await using half = new Archive({ ...options(), stores: [full, stores[1]] });
  await expect(half.add(dispersal.certificate, { blob })).rejects.toThrow("disk full");
  expect(s3.objects.size).toBe(3);
});

it("takes in a blob only with the certificate's commitment", async () => {
  await using archive = newArchive();
  const { blob } = await setup.relay.retrieveBlob(certificateOf(dispersal), {});
  const other = Uint8Array.from(blob);
  other[40] = other[40]! ^ 1;
  await expect(archive.add(dispersal.certificate, { blob: other })).rejects.toMatchObject({
    kind: "mismatch",
  });
  await expect(archive.add(new Uint8Array(9))).rejects.toMatchObject({ kind: "invalid" });
  expect(await archive.add(dispersal.certificate, { blob })).toMatchObject({ archivedAtMs: start });
});

it("notices a store that does not keep what it takes, and goes on with the others", async () => {
  const forgetful: ObjectStore = { ...stores[1], name: "forgetful", get: async () => null };
  const down: ObjectStore = { ...stores[1], name: "down", put: () => Promise.reject(new Error("down")) };
  await using archive = new Archive({ ...options(), stores: [stores[0], forgetful, down] });
  await new Archive(options()).add(dispersal.certificate);
  const { entries } = await archive.sweep();
  expect(entries[0]).toMatchObject({ copies: [stores[0].name], archivedAtMs: null });
  expect(entries[0]!.missing.map(({ store }) => store)).toEqual(["forgetful", "down"]);
});

it("goes on to the next source whatever one throws, unless aborted", async () => {
  await using archive = newArchive();
  const { blob } = await setup.relay.retrieveBlob(certificateOf(dispersal), {});
  await archive.add(dispersal.certificate, { blob });
  const broken = { retrieveBlob: () => Promise.reject(new TypeError("a bug elsewhere")) };
  expect((await retrievePayload(dispersal.certificate, [broken, archive])).payload).toEqual(payload);
  await expect(retrievePayload(dispersal.certificate, [broken])).rejects.toMatchObject({
    kind: "failover",
    message: expect.stringContaining("source 1 of 1: TypeError: a bug elsewhere"),
  });
  const reason = new Error("left");
  const signal = AbortSignal.abort(reason);
  await expect(archive.retrieveBlob(certificateOf(dispersal), { signal })).rejects.toBe(reason);
});

it("says failover to a bucket that stops midway or does not answer, and mismatch to one that never ends", async () => {
  const answers: Record<string, RequestListener> = {
    "/cut": (_, response) => {
      response.writeHead(200, { "content-length": "100" });
      response.write("half", () => response.destroy());
    },
    "/silent": () => undefined,
    "/endless": (_, response) => void response.end(Buffer.alloc(messageBytesMax + 1)),
  };
  const server = createServer((request, response) => answers[request.url!]!(request, response));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const bucket = s3Store({ url, ...s3Credentials, callMsMax: 1_000 });
  await expect(bucket.get("cut")).rejects.toMatchObject({ kind: "failover" });
  await expect(bucket.get("silent")).rejects.toMatchObject({ kind: "failover" });
  const patient = s3Store({ url, ...s3Credentials });
  await expect(patient.get("endless")).rejects.toMatchObject({ kind: "mismatch" });
  const leave = new AbortController();
  const given = patient.get("silent", { signal: leave.signal });
  const reason = new Error("left");
  leave.abort(reason);
  await expect(given).rejects.toBe(reason);
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
});

it("lists page by page, and says auth to a wrong key", async () => {
  const [, bucket] = stores;
  for (const name of ["x/1", "x/2", "x/3", "x/4", "x/5", "y/1"]) await bucket.put(name, Buffer.from(name));
  expect(await bucket.list("x/")).toEqual(["x/1", "x/2", "x/3", "x/4", "x/5"]);
  const wrong = s3Store({ url: s3.url, ...s3Credentials, secretAccessKey: "wrong" });
  await expect(wrong.get("x/1")).rejects.toMatchObject({ kind: "auth" });
  const gone = s3Store({ url: "http://127.0.0.1:1/archive", ...s3Credentials });
  await expect(gone.get("x/1")).rejects.toMatchObject({ kind: "failover" });
});

function certificateOf({ certificate }: Dispersal) {
  const decoded = decodeCertificate(certificate);
  if (!decoded.ok) throw new Error(decoded.reason);
  return decoded.value;
}

function options() {
  return { stores, srs: setup.srs, source: setup.relay, nowMs: () => now } as const;
}

function newArchive(): Archive {
  return new Archive(options());
}

function folder(): string {
  return join(setup.folder, "archive");
}
