import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Hex } from "viem";
import { expect, it } from "vitest";
import { BlobStatus } from "../gen/disperser_pb.ts";
import { samplePayload, startTestDisperser } from "../testing/disperser.ts";
import { BlobStore } from "./blob-store.ts";

it("ends accepted blobs that it cannot read as FAILED, says so, and finishes the others", async () => {
  await using parts = new AsyncDisposableStack();
  const dataFolder = await mkdtemp(join(tmpdir(), "eigenda-life-cycle-"));
  parts.defer(() => rm(dataFolder, { recursive: true, force: true }));
  const damaged: Hex = `0x${"11".repeat(32)}`;
  const empty: Hex = `0x${"22".repeat(32)}`;
  await mkdir(join(dataFolder, "accepted"));
  await writeFile(join(dataFolder, "accepted", damaged.slice(2)), Uint8Array.of(0xff, 0xff, 0xff));
  await writeFile(join(dataFolder, "accepted", empty.slice(2)), "");
  const log: string[] = [];
  const setup = parts.use(await startTestDisperser({ dataFolder, log: (line) => log.push(line) }));

  const payload = samplePayload(50);
  const { certificate } = await setup.client.disperse(payload);
  expect(await setup.relay.retrieve(certificate)).toEqual(payload);
  const store = await BlobStore.open(dataFolder);
  for (const key of [damaged, empty]) {
    expect((await store.readSettled(key)).status).toBe(BlobStatus.FAILED);
    expect(log.filter((line) => line.includes(`blob ${key}`) && line.includes("FAILED"))).toHaveLength(1);
  }
});
