import { join } from "node:path";
import { bytesToHex } from "viem";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Archive, directoryStore, retrievePayload, verifyCertificate } from "#eigenda/index";
import { samplePayload, startTestDisperser } from "#eigenda/testing/disperser";
import { until } from "#schema/testing/stack";
import { keepArchive, type Named, takenTrainings } from "./archivist.ts";
import { createMetrics } from "./metrics.ts";

let setup: Awaited<ReturnType<typeof startTestDisperser>>;

beforeAll(async () => {
  setup = await startTestDisperser();
});
afterAll(() => setup[Symbol.asyncDispose]());

it("archives what the chain names, passes over what is no certificate, and tells what it could not keep", async () => {
  const [kept, late] = await Promise.all([1, 2].map((size) => setup.client.disperse(samplePayload(size))));
  const named: Named[] = [{ certificate: "0x00", block: 1n }, namedBy(kept!.certificate)];
  const metrics = createMetrics();
  const errors: string[] = [];
  const { srs, relay } = setup;
  await using archive = new Archive({
    stores: [directoryStore(join(setup.folder, "archive"))],
    srs,
    source: relay,
  });
  const stop = new AbortController();
  const work = keepArchive(
    {
      named: async () => named,
      client: { getBlock: async () => ({ timestamp: 1_000n }) as never },
      archive,
      source: relay,
      check: (certificate) => verifyCertificate(certificate, { level: "inclusion+signature", srs }),
      metrics,
      log: { info: () => undefined, error: (message) => void errors.push(message) },
      sweepMs: 1,
      lookMs: 20,
    },
    stop.signal,
  );
  const figure = async (name: string) =>
    new RegExp(`^tributary_engine_archive_${name} (\\d+)$`, "m").exec(await metrics.registry.metrics())?.[1];
  await until("it was swept", async () => (await figure("copies_good")) === "1");
  expect([await figure("missing"), await figure("alarms"), await figure("lost")]).toEqual(["0", "0", "0"]);
  expect(errors).toEqual([]);

  setup.server.faults.add("not-found");
  const fromArchive = await retrievePayload(kept!.certificate, [relay, archive]);
  expect(fromArchive).toMatchObject({
    payload: samplePayload(1),
    servedBy: expect.stringContaining("archive"),
  });
  named.push(namedBy(late!.certificate));
  await until("the other is missed", async () => (await figure("missing")) === "1");
  expect(errors.some((message) => message.includes(late!.certificateHash))).toBe(true);
  setup.server.faults.clear();
  await until("the other is kept too", async () => (await figure("blobs")) === "2");
  expect(await archive.certificateHashes()).toEqual([kept!.certificateHash, late!.certificateHash].sort());
  // By the block's time the network has forgotten both: a copy that goes bad now is an alarm, and lost once no relay has it.
  setup.server.faults.add("not-found");
  await directoryStore(join(setup.folder, "archive")).put(await blobName(), Buffer.alloc(64));
  await until("the alarm is raised", async () => (await figure("lost")) === "1");
  expect(errors.some((message) => message.startsWith("ALARM: a blob is lost"))).toBe(true);
  stop.abort();
  await work;
});

it("takes trainings of paid models and the oldest of others, the first manifest of each in two blobs", () => {
  const published = ["a", "b", "a", "c", "a", "d", "a"].map((model, at) => ({
    modelId: `0x${model}` as const,
    // The third of a is another manifest: it does not count.
    manifestHash: at === 4 ? ("0x2" as const) : ("0x1" as const),
    ...{ certificate: `0x0${at}` as const, block: BigInt(at) },
  }));
  const of = (...paid: `0x${string}`[]) => {
    const { taken, leftOut } = takenTrainings(published, new Set(paid), 2);
    return [taken.map(({ certificate }) => certificate).join(), leftOut];
  };
  expect(of()).toEqual(["0x00,0x02,0x01", 2]);
  expect(of("0xa")).toEqual(["0x00,0x02,0x01,0x03", 1]);
  expect(of("0xa", "0xd")).toEqual(["0x00,0x02,0x01,0x03,0x05", 0]);
  expect(takenTrainings(published.slice(0, 2), new Set(), 2).leftOut).toBe(0);
});

function namedBy(certificate: Uint8Array): Named {
  return { certificate: bytesToHex(certificate), block: 1n };
}

async function blobName(): Promise<string> {
  const [name] = await directoryStore(join(setup.folder, "archive")).list("blob/");
  return name!;
}
