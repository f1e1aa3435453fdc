import { describe, expect, it } from "vitest";
import { buildGraphs } from "#runtime/decoder/inference-graphs";
import { fixture } from "#runtime/fixtures/folders";
import { readModelFolder } from "#runtime/weights/model-folder";
import { createPool } from "./pool.ts";
import type { ModelSpec } from "./session.ts";

const crashing = new URL("../fixtures/crashing-worker.ts", import.meta.url);
const task = { promptTokenIds: [5, 6, 7], tokensMax: 4, temperature: 0, seed: 0n, stopTokenIds: [] };
const batch = {
  kind: "padded" as const,
  paddedTokens: 64,
  chunk: 64,
  requests: [{ position: 0, request: { promptTokenIds: [5], answerTokenIds: [6] } }],
};

async function spec(): Promise<ModelSpec> {
  const read = await readModelFolder(fixture("tied"));
  return { folder: read.path, config: read.config, graphs: buildGraphs(read) };
}

describe("a pool", () => {
  it("reports a worker that exits or throws as a crash, and works on with a fresh one", async () => {
    const pool = await createPool(await spec(), { threads: 1, queueMax: 8, workerFile: crashing });
    await expect(pool.logProb(batch)).rejects.toMatchObject({ code: "worker-crashed", retryable: true });
    await expect(pool.generate(task, undefined, () => undefined)).rejects.toMatchObject({
      code: "worker-crashed",
    });
    expect(await pool.logProb({ kind: "padded" as const, paddedTokens: 0, chunk: 0, requests: [] })).toEqual(
      [],
    );
    await pool.close();
  });

  it("refuses a graph ONNX Runtime cannot load, with its code", async () => {
    const broken = { ...(await spec()), folder: "/nonexistent" };
    await expect(createPool(broken, { threads: 1, queueMax: 8 })).rejects.toMatchObject({
      code: "session-failed",
    });
  });

  it("refuses tasks beyond its queue and serves those within", async () => {
    const pool = await createPool(await spec(), { threads: 1, queueMax: 2 });
    const calls = Array.from({ length: 5 }, () => pool.logProb(batch));
    const settled = await Promise.allSettled(calls);
    const refused = settled.filter((call) => call.status === "rejected");
    expect(refused.map(({ reason }) => reason)).toEqual([
      expect.objectContaining({ code: "queue-full", retryable: true }),
      expect.objectContaining({ code: "queue-full", retryable: true }),
    ]);
    await pool.close();
  });

  it("fails waiting and later calls once closed", async () => {
    const pool = await createPool(await spec(), { threads: 1, queueMax: 8 });
    const waiting = Promise.allSettled([1, 2, 3].map(() => pool.generate(task, undefined, () => undefined)));
    await pool.close();
    const codes = (await waiting).map((call) => (call.status === "rejected" ? call.reason.code : "done"));
    expect(codes.at(-1)).toBe("model-closed");
    await expect(pool.logProb(batch)).rejects.toMatchObject({ code: "model-closed" });
  });
});
