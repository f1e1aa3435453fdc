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
import { kernelBackend } from "../kernel/backend.ts";
import { commitBlob } from "../kzg/commitment.ts";
import { developmentSrs, developmentTau } from "../kzg/development-srs.ts";
import { srsOrder } from "../kzg/srs.ts";
import { accountKey, samplePayload, startTestDisperser } from "../testing/disperser.ts";
import { expectMutationsRefused } from "../testing/mutated-frames.ts";
import { developmentChainId } from "./disperser.ts";
import { faultNames } from "./faults.ts";

const dispersalCount = 1000;
const concurrency = 16;
const seed = 7;

it("ends 1,000 dispersals under random faults with each payload retrievable or reported, none twice", async () => {
  const random = randomOf(seed);
  await using setup = await startTestDisperser(
    { stepMs: 20 },
    { attemptsMax: 8, pollMs: 20, completeMsMax: 5_000 },
  );
  const { faults } = setup.server;
  const weather = setInterval(() => {
    faults.clear();
    if (random() < 0.4) faults.add(faultNames[Math.floor(random() * faultNames.length)]!);
  }, 200);
  const results: (Dispersal | EigenDaError)[] = [];
  let next = 0;
  const work = async () => {
    while (next < dispersalCount) {
      const index = next++;
      results[index] = await setup.client.disperse(payloadOf(index)).catch((error) => {
        if (error instanceof EigenDaError) return error;
        throw error;
      });
    }
  };
  await Promise.all(Array.from({ length: concurrency }, work)).finally(() => clearInterval(weather));
  faults.clear();
  const kept = results.flatMap((result, index) =>
    result instanceof EigenDaError ? [] : [{ result, index }],
  );
  expect(results.filter((result) => result !== undefined)).toHaveLength(dispersalCount);
  expect(new Set(kept.map(({ result }) => result.blobKey)).size).toBe(kept.length);
  expect(kept.length).toBeGreaterThan(dispersalCount / 2);
  for (const { result, index } of kept) {
    expect(await setup.relay.retrieve(result.certificate)).toEqual(payloadOf(index));
  }
  const kinds = results.flatMap((result) => (result instanceof EigenDaError ? [result.kind] : []));
  console.log(
    `${kept.length} retrievable, ${kinds.length} reported:`,
    Object.groupBy(kinds, (kind) => kind),
  );
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
