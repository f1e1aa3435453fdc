import { count } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { candidate, chunk, influence, receipt, refusal, score } from "#schema/offchain/index";
import { until } from "#schema/testing/stack";
import {
  ask,
  feeWei,
  finalise,
  openPipeline,
  type Pipeline,
  type Running,
  startEngine,
  startNode,
  texts,
} from "./testing/pipeline.ts";

let pipeline: Pipeline;
let engine: Running;
let node: Running;

beforeAll(async () => {
  pipeline = await openPipeline();
  engine = await startEngine(pipeline);
  node = await startNode(pipeline);
}, 180_000);

afterAll(async () => {
  await node?.[Symbol.asyncDispose]();
  await engine?.[Symbol.asyncDispose]();
  await pipeline?.[Symbol.asyncDispose]();
});

describe("one question all the way to its scores", () => {
  it("answers, settles, fetches and scores", async () => {
    const { db } = pipeline.world.database;
    await until("the node has its chunks", async () => {
      const health = await fetch(`${node.url}/health`);
      return health.ok && ((await health.json()) as { chunks: number }).chunks === texts.length;
    });
    const first = await ask(pipeline, node.url, {
      channelId: pipeline.channelId,
      maxWei: feeWei,
      question: "What burns green while the channel is open?",
    });
    const completion = await first.json();
    console.log(JSON.stringify(completion, null, 1));
    expect(first.status).toBe(200);
    const second = await ask(pipeline, node.url, {
      channelId: pipeline.channelId,
      maxWei: 2n * feeWei,
      question: "Where is salt stored in the stone barn?",
    });
    expect(second.status).toBe(200);
    await until(
      "the batch is on chain",
      async () => (await pipeline.sender.read<bigint>("settlementHub", "batchCount")) === 1n,
      60_000,
    ).catch((e) => {
      console.log(node.log.join("\n"));
      throw e;
    });
    await finalise(pipeline.world);
    await until(
      "both receipts are scored",
      async () => {
        const [row] = await db.select({ scores: count() }).from(score);
        return row?.scores === 2;
      },
      60_000,
    ).catch(async (e) => {
      console.log(engine.log.join("\n"), await db.select().from(refusal));
      throw e;
    });
    console.log(
      await db.select().from(score),
      await db.select().from(influence),
      await db.select().from(receipt),
      (await db.select().from(candidate)).length,
      (await db.select().from(chunk)).length,
      node.log,
      engine.log,
    );
  });
});
