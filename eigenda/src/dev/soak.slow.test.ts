import { join } from "node:path";
import { expect, it } from "vitest";
import { type Dispersal, DisperserClient } from "../client/disperser-client.ts";
import { RelayClient } from "../client/relay-client.ts";
import { blobSymbolsMax } from "../codec/blob.ts";
import { payloadBytesMax } from "../codec/payload.ts";
import { evaluatePolynomial, frModulus, powFr, writeSymbols } from "../curve/field.ts";
import { loadMcl } from "../curve/mcl.ts";
import { nobleBackend } from "../curve/noble.ts";
import { g1Generator, g2Generator } from "../curve/points.ts";
import { EigenDaError } from "../errors.ts";
import { BlobStatus } from "../gen/disperser_pb.ts";
import { kernelBackend } from "../kernel/backend.ts";
import { commitBlob } from "../kzg/commitment.ts";
import { developmentSrs, developmentTau } from "../kzg/development-srs.ts";
import { srsOrder } from "../kzg/srs.ts";
import { accountKey, samplePayload, startTestDisperser } from "../testing/disperser.ts";
import { expectMutationsRefused } from "../testing/mutated-frames.ts";
import { BlobStore } from "./blob-store.ts";
import { developmentChainId } from "./disperser.ts";
import { type FaultName, faultNames } from "./faults.ts";

const concurrency = 16;
const seed = 7;
const soaked = [{ stepMs: 20 }, { attemptsMax: 8, pollMs: 20, completeMsMax: 5_000 }] as const;

it("ends 1,000 dispersals under random faults with each payload retrievable or reported", async () => {
  await using setup = await startTestDisperser(...soaked);
  const results = await disperseUnder(setup, faultNames, 1_000);
  const kept = results.flatMap((result, index) =>
    result instanceof EigenDaError ? [] : [{ result, index }],
  );
  expect(results.filter((result) => result !== undefined)).toHaveLength(1_000);
  expect(kept.length).toBeGreaterThan(500);
  for (const { result, index } of kept) {
    expect(await setup.relay.retrieve(result.certificate)).toEqual(payloadOf(index));
  }
  const kinds = results.flatMap((result) => (result instanceof EigenDaError ? [result.kind] : []));
  console.log(
    `${kept.length} retrievable, ${kinds.length} reported:`,
    Object.groupBy(kinds, (kind) => kind),
  );
});

it("finishes no payload twice where the network does not lose it or leave it below the threshold", async () => {
  await using setup = await startTestDisperser(...soaked);
  const names = faultNames.filter((name) => name !== "lost" && name !== "below-threshold");
  const results = await disperseUnder(setup, names, 300);
  const keptCount = results.filter((result) => !(result instanceof EigenDaError)).length;
  const store = await BlobStore.open(join(setup.folder, "data"));
  const finished: string[] = [];
  for (const key of await store.settledKeys()) {
    const [{ status }, accepted] = [await store.readSettled(key), await store.readAccepted(key)];
    if (status !== BlobStatus.COMPLETE) continue;
    if (!accepted.ok) throw new Error(accepted.reason);
    finished.push(Buffer.from(accepted.value.blob).toString("hex"));
  }
  expect(new Set(finished).size).toBe(finished.length);
  expect(finished.length).toBeGreaterThanOrEqual(keptCount);
  expect(keptCount).toBeGreaterThan(150);
});

it("disperses and retrieves a payload of 1 MiB less its headers", async () => {
  await using setup = await startTestDisperser();
  const srs = await developmentSrs({ folder: setup.folder });
  const payload = samplePayload(payloadBytesMax(srs.symbolsMax));
  await using client = new DisperserClient({
    url: setup.server.url,
    accountKey,
    chainId: developmentChainId,
    srs,
  });
  await using relay = new RelayClient({ relayUrl: () => setup.server.url, srs });
  const { certificate, length } = await client.disperse(payload);
  expect(length).toBe(32_768);
  expect(Buffer.compare(await relay.retrieve(certificate), payload)).toBe(0);
  await expect(client.disperse(samplePayload(payload.length + 1))).rejects.toMatchObject({ kind: "invalid" });
});

it("disperses and retrieves a payload of 16 MiB less its headers, the largest there is", async () => {
  await using setup = await startTestDisperser();
  const srs = await developmentSrs({ folder: setup.folder, symbolsMax: blobSymbolsMax });
  const payload = samplePayload(payloadBytesMax(blobSymbolsMax));
  await using client = new DisperserClient({
    url: setup.server.url,
    accountKey,
    chainId: developmentChainId,
    srs,
    rpcMsMax: 600_000,
  });
  await using relay = new RelayClient({ relayUrl: () => setup.server.url, srs, rpcMsMax: 600_000 });
  const { certificate, length } = await client.disperse(payload);
  expect(length).toBe(blobSymbolsMax);
  expect(Buffer.compare(await relay.retrieve(certificate), payload)).toBe(0);
  console.log(
    `16 MiB: ${Math.round(process.memoryUsage.rss() / 2 ** 20)} MiB, client and server in one process`,
  );
});

it("commits to 2,000 random blobs as mcl and the known τ say, and every fiftieth as noble says", async () => {
  const random = randomOf(seed);
  await using setup = await startTestDisperser();
  const { points } = setup.srs;
  const [kernel, mcl] = [kernelBackend(), await loadMcl()];
  for (let index = 0; index < 2_000; index++) {
    const length = 2 ** Math.floor(random() * 7);
    const coefficients = Array.from({ length }, () => symbolOf(random));
    const blob = writeSymbols(coefficients);
    const commitment = commitBlob(kernel, points, blob);
    expect(commitBlob(mcl, points, blob)).toEqual(commitment);
    if (index % 50 === 0) expect(commitBlob(nobleBackend, points, blob)).toEqual(commitment);
    const value = evaluatePolynomial(coefficients, developmentTau);
    const shift = powFr(developmentTau, BigInt(srsOrder - length));
    expect(mcl.mulG1(g1Generator, value)).toEqual(commitment.commitment);
    expect(mcl.mulG2(g2Generator, value)).toEqual(commitment.lengthCommitment);
    expect(mcl.mulG2(g2Generator, (value * shift) % frModulus)).toEqual(commitment.lengthProof);
  }
});

it("refuses everything that travels with any one byte changed", async () => {
  await using setup = await startTestDisperser();
  await expectMutationsRefused(setup, 1, seed);
});

/** What each of `count` dispersals ended with, while every 200 ms one of the faults is shown or none. */
async function disperseUnder(
  { client, server: { faults } }: Awaited<ReturnType<typeof startTestDisperser>>,
  names: readonly FaultName[],
  count: number,
): Promise<(Dispersal | EigenDaError)[]> {
  const random = randomOf(seed);
  const weather = setInterval(() => {
    faults.clear();
    if (random() < 0.4) faults.add(names[Math.floor(random() * names.length)]!);
  }, 200);
  const results: (Dispersal | EigenDaError)[] = [];
  let next = 0;
  const work = async () => {
    while (next < count) {
      const index = next++;
      results[index] = await client.disperse(payloadOf(index)).catch((error) => {
        if (error instanceof EigenDaError) return error;
        throw error;
      });
    }
  };
  await Promise.all(Array.from({ length: concurrency }, work)).finally(() => clearInterval(weather));
  faults.clear();
  return results;
}

function payloadOf(index: number): Uint8Array {
  const payload = samplePayload(1 + (index % 400));
  const numbered = new Uint8Array(payload.length + 4);
  new DataView(numbered.buffer).setUint32(0, index);
  numbered.set(payload, 4);
  return numbered;
}

/** Mostly any value, sometimes one at an edge. */
function symbolOf(random: () => number): bigint {
  if (random() < 0.05) return [0n, 1n, frModulus - 1n][Math.floor(random() * 3)]!;
  let value = 0n;
  for (let word = 0; word < 8; word++) value = (value << 32n) | BigInt(Math.floor(random() * 2 ** 32));
  return value % frModulus;
}

/** A linear congruential generator in [0, 1), the same each time. */
function randomOf(start: number): () => number {
  let state = start;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
