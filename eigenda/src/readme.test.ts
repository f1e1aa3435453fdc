import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import * as library from "./index.ts";
import {
  Archive,
  DisperserClient,
  developmentSrs,
  directoryStore,
  ProxyClient,
  RelayClient,
  retrievePayload,
  s3Store,
  sweepMetrics,
  verifyCertificate,
} from "./index.ts";
import { accountKey, samplePayload, startTestDisperser } from "./testing/disperser.ts";
import { startProxyStandIn } from "./testing/proxy-server.ts";
import { s3Credentials, startS3StandIn } from "./testing/s3-server.ts";

const readme = await readFile(join(import.meta.dirname, "../README.md"), "utf8");
const [use = "", contents = "", retrieval = ""] = [...readme.matchAll(/```ts\n(.*?)```/gs)].map(
  ([, code]) => code,
);

it("runs the README's examples as they are printed there", async () => {
  await using setup = await startTestDisperser();
  const { folder } = setup;
  const { url } = setup.server;
  const certificate = await example(folder, url, samplePayload(100));
  await using s3 = await startS3StandIn();
  await using proxyServer = await startProxyStandIn(setup.client);
  const given = { ...s3Credentials, bucketUrl: s3.url, proxyUrl: proxyServer.url, folder };
  expect(await secondExample(setup.srs, setup.relay, certificate, given)).toEqual(samplePayload(100));
  await expectPrinted(use);
  await expectPrinted(retrieval);
});

it("has everything that the README's interface names", () => {
  const named = [...contents.matchAll(/^(?:class )?(\w+)\(|^class (\w+)|^(\w+), (\w+): SrsAnchor/gm)];
  const names = named.flatMap((match) => match.slice(1).filter((name) => name !== undefined));
  expect(names.length).toBeGreaterThan(15);
  expect(names.filter((name) => !(name in library))).toEqual([]);
});

/** As many as the test's disperser has derived already. */
const symbolsMax = 64;

async function example(folder: string, url: string, payload: Uint8Array): Promise<Uint8Array> {
  const srs = await developmentSrs({ folder, symbolsMax });
  await using disperser = new DisperserClient({ url, accountKey, chainId: 31337n, srs });
  const { certificate, certificateHash, blobKey } = await disperser.disperse(payload);

  const verdict = await verifyCertificate(certificate, { level: "inclusion+signature", srs });

  await using relay = new RelayClient({ relayUrl: () => url, srs });
  const same = await relay.retrieve(certificate);

  expect(verdict).toMatchObject({ ok: true, blobKey, isSignerKeyProven: true });
  expect(library.certificateHash(certificate)).toBe(certificateHash);
  expect(same).toEqual(payload);
  return certificate;
}

async function secondExample(
  srs: library.Srs,
  relay: RelayClient,
  certificate: Uint8Array,
  given: typeof s3Credentials & { bucketUrl: string; proxyUrl: string; folder: string },
): Promise<Uint8Array> {
  const { folder, bucketUrl, region, accessKeyId, secretAccessKey, proxyUrl } = given;

  await using archive = new Archive({
    stores: [directoryStore(folder), s3Store({ url: bucketUrl, region, accessKeyId, secretAccessKey })],
    srs,
    source: relay, // asked where no copy is good
  });
  await archive.add(certificate); // or with { blob }; without it the next sweep fetches it
  const sweep = await archive.sweep(); // daily: every copy's commitment recomputed, bad copies replaced
  const metrics = sweepMetrics(sweep); // Prometheus text; sweep.alarms, lost, unlisted and unreadable call for a person

  await using proxy = new ProxyClient({ url: proxyUrl, srs }); // eigenda-proxy: put(payload), get(certificate)

  // Each of the three returns a blob only after recomputing its commitment; servedBy says who had it: "relay 0", "archive folder …", "proxy".
  const { payload, servedBy } = await retrievePayload(certificate, [relay, archive, proxy]);

  expect(metrics).toContain("eigenda_archive_copies_good 2\n");
  expect(servedBy).toBe("relay 0");
  return payload;
}

/** What the block imports is exported, and its statements stand in this file. */
async function expectPrinted(block: string): Promise<void> {
  const lines = (text: string) => text.split("\n").map((line) => line.trim());
  const source = lines(await readFile(import.meta.filename, "utf8")).join("\n");
  const [imports = "", ...body] = block.trim().split("\n");
  const [, names = ""] = /^import \{ (.*) \} from "@tributary\/eigenda";$/.exec(imports) ?? [];
  for (const name of names.split(", ")) expect(library).toHaveProperty(name);
  expect(source).toContain(lines(body.join("\n").trim()).join("\n"));
}
