import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { asc, eq } from "drizzle-orm";
import { type Hex, hexToBytes, keccak256, parseEther, toHex } from "viem";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { attributionLedgerAbi } from "#schema/abi/attribution-ledger";
import { sum } from "#schema/apportion";
import { onchain } from "#schema/bind";
import { candidate, refusal } from "#schema/offchain/40-engine";
import { carried, entry, epochRun, reward } from "#schema/offchain/50-settlement";
import { contributor, label, payer, poster } from "../indexer/test/life.ts";
import { devAccount, freePort, stop, until } from "../schema/testing/stack.ts";
import { usageOf } from "./allocation/usage.ts";
import { reasons, roles } from "./blob/codes.ts";
import * as payload from "./blob/payload.ts";
import * as provenance from "./blob/provenance.ts";
import { advance } from "./lifecycle.ts";
import { batchesIn, loadBatchFacts } from "./loaders/batches.ts";
import { loadFacts } from "./loaders/facts.ts";
import { type EpochRun, entriesOf, runTables } from "./loaders/runs.ts";
import { contentOf, EpochMismatchError, RootAboveFundsError, ZeroRootError } from "./proposal.ts";
import { openSettledWorld, type SettledWorld } from "./testing/settled-world.ts";
import * as tree from "./tree/tree.ts";

/** Time for one life of the process on a busy machine, in ms. */
const killMsMax = 60_000;
/** The arbitration timeout of the deployment in schema/testing/stack.ts. */
const arbitrationSeconds = 60;

let world: SettledWorld;

beforeAll(async () => {
  world = await openSettledWorld();
  await world.answer(6);
});

afterAll(() => world?.[Symbol.asyncDispose]());

describe("settlement", () => {
  it("computes an epoch whose rows, roots and payload say the same and lose no wei", async () => {
    expect(await world.drive(/^computed/)).toMatchObject({ did: "moved", epochId: 1n });
    const run = await readRun(1n);
    const decoded = provenance.decode(hexToBytes(run.payload));
    if (!decoded.ok) throw new Error(decoded.reason);
    const { receipts, rewards } = decoded.value;
    expect(run.contentHash).toBe(payload.contentHash(hexToBytes(run.payload)));
    expect(run.attributionRoot).toBe(tree.rootOf(provenance.attributionLeaves(receipts)));
    expect(run.feesWei).toBe(parseEther("2"));
    expect(run.splitsWei).toBe(parseEther("0.5"));
    expect(run.feesWei).toBe(run.splitsWei + run.rootTotalWei + run.carriedWei);
    expect(sum(rewards.map((r) => r.cumulativeWei))).toBe(run.rootTotalWei);
    const entries = await db().select().from(entry).where(eq(entry.epochId, 1n));
    expect(sum(entries.map((e) => e.amountWei))).toBe(parseEther("1.5"));
    for (const { receiptDigest, entries: given } of receipts) {
      const retrieved = await db()
        .select()
        .from(candidate)
        .where(eq(candidate.receiptDigest, receiptDigest))
        .orderBy(asc(candidate.rank));
      const own = given.filter((e) => e.role === roles.contributor);
      expect(own.map((e) => e.subject)).toEqual(retrieved.map((c) => c.chunkId));
      expect(own.map((e) => e.reason !== reasons.belowCut)).toEqual(retrieved.map((c) => c.inContext));
    }
  });

  it("waits for a batch that says it has no calls until the engine has decided it", async () => {
    const [row] = await batchesIn(db(), 0n, 1n << 62n);
    const undecided = { ...row!, id: 999n, eventId: "none", calls: 0 };
    expect(await loadBatchFacts(db(), [undecided], null)).toEqual({
      ready: false,
      missing: "receipts of batch 999",
    });
  });

  it("refuses to post a zero root or a root above the funds, and so does the contract", async () => {
    const { rewardRoot, rootTotalWei } = await readRun(1n);
    await change({ rewardRoot: tree.zeroRoot });
    await expect(advance(world.context)).rejects.toThrow(ZeroRootError);
    await change({ rewardRoot, rootTotalWei: parseEther("1000") });
    await expect(advance(world.context)).rejects.toThrow(RootAboveFundsError);
    await change({ rootTotalWei });
    const header = { ...contentOf(await readRun(1n)), daRef: keccak256("0x") };
    const propose = (wrong: object) =>
      world.sender.client.simulateContract({
        address: world.world.deployment.contracts.attributionLedger,
        abi: attributionLedgerAbi,
        functionName: "propose",
        args: [1n, { ...header, ...wrong }, "0x"],
        account: devAccount(poster),
      });
    await expect(propose({ rewardRoot: tree.zeroRoot })).rejects.toThrow(/ZeroRoot/);
    await expect(propose({ rootTotal: parseEther("1000") })).rejects.toThrow(/RootTotalAboveFunds/);
  });

  it("proposes again what a reorg took away", async () => {
    await world.drive(/^dispersed/);
    const before = await world.sender.client.snapshot();
    const { what: first } = await world.drive(/^proposed in/);
    await world.sender.client.revert({ id: before });
    await world.drive(/lost in a reorg/);
    const { what: second } = await world.drive(/^proposed in/);
    expect(second).toMatch(/^proposed in 0x/);
    expect(first).toMatch(/^proposed in 0x/);
    expect((await world.context.ledger.epochOf(1n)).status).toBe(1);
  });

  it("adopts its own proposal after a crash between sending and writing, and sends nothing more", async () => {
    const { proposeTx } = await readRun(1n);
    await change({ state: "dispersed", proposeTx: null });
    const sentCount = await nonceOfPoster();
    await world.drive(/adopted from/);
    expect((await readRun(1n)).proposeTx).toBe(proposeTx);
    expect(await nonceOfPoster()).toBe(sentCount);
  });

  it("stops at an epoch on chain that it computes otherwise, naming the field", async () => {
    const { rewardRoot } = await readRun(1n);
    await change({ state: "dispersed", rewardRoot: label("another root") });
    const stopped = advance(world.context);
    await expect(stopped).rejects.toThrow(EpochMismatchError);
    await expect(stopped).rejects.toThrow(/differs from the chain in rewardRoot/);
    await change({ state: "proposed", rewardRoot });
  });

  it("finalises after the window, records what each Datanet's chunks did, and calls it final when the chain does", async () => {
    await world.drive(/^finalised in/);
    await world.drive(/^usage of 1 Datanets recorded in 0x/);
    await world.world.caughtUp();
    const [usage] = await db().select().from(onchain.datanetUsage);
    const { receipts } = await entriesOf(db(), 1n);
    expect(usage).toMatchObject({ epochId: 1n, datanetId: 1n });
    expect(usage?.usageRoot).toBe(usageOf(1n, receipts, () => 1n)[0]?.usageRoot);
    expect((await readRun(1n)).state).toBe("proposed");
    await world.drive(/^final$/);
    expect((await readRun(1n)).state).toBe("final");
  });

  it("computes a rejected epoch again and proposes it again", async () => {
    await world.drive(/^proposed in/);
    expect((await readRun(2n)).fromBlock).toBe((await readRun(1n)).toBlock);
    await world.sender.send(payer, "attributionLedger", "dispute", [2n, 1, "0x"]);
    expect(await advance(world.context)).toMatchObject({
      did: "waiting",
      what: expect.stringMatching(/^the arbiter, to \d+$/),
    });
    await world.sender.send(poster, "attributionLedger", "resolveDispute", [2n, true]);
    await world.drive(/^rejected/);
    await world.drive(/^proposed in/);
  });

  it("rejects an epoch that the arbiter does not rule on in time, and goes on from there", async () => {
    await world.sender.send(payer, "attributionLedger", "dispute", [2n, 1, "0x"]);
    await world.drive(/^the arbiter, to/);
    await world.sender.warp(arbitrationSeconds);
    expect(await advance({ ...world.context, poster: null })).toMatchObject({ what: "its rejection" });
    await world.drive(/^not ruled on in time, rejected in 0x/);
    await world.drive(/^rejected, to be computed again/);
    await world.drive(/^final$/);
    const run = await readRun(2n);
    expect(run.feesWei).toBe(run.splitsWei + run.rootTotalWei + run.carriedWei);
    const [indexed] = await db().select().from(onchain.epoch).where(eq(onchain.epoch.id, 2n));
    expect(indexed).toMatchObject({ status: 4, rewardRoot: run.rewardRoot, contentHash: run.contentHash });
  });

  it("rebuilds the same rows from chain and scores as a follower that cannot post", async () => {
    const before = await readAll();
    for (const table of runTables) await db().delete(table);
    const follower = { ...world.context, poster: null };
    await world.drive(/^final$/, follower);
    await world.drive(/^final$/, follower);
    expect(await readAll()).toEqual(before);
    expect(await advance(follower)).toMatchObject({ did: "waiting", epochId: 3n });
  });

  it("is killed as a process in state after state, and still takes the epoch to its end, once", async () => {
    const { client } = world.sender;
    for (const states of [["computed", "dispersed", "proposed"], ["proposed"], ["final"]]) {
      await using settlement = startSettlement({});
      await until(
        `epoch 3 is ${states[0]}`,
        async () => {
          await client.mine({ blocks: 1 });
          return states.includes((await findRun(3n))?.state ?? "");
        },
        killMsMax,
      );
      settlement.process.kill("SIGKILL");
    }
    const { attributionLedger } = world.world.deployment.contracts;
    const proposed = await client.getContractEvents({
      address: attributionLedger,
      abi: attributionLedgerAbi,
      eventName: "EpochProposed",
      args: { epoch: 3n },
      fromBlock: 0n,
    });
    expect(proposed).toHaveLength(1);
    const run = await readRun(3n);
    expect(run.feesWei).toBe(parseEther("6"));
    expect(run.feesWei).toBe(run.splitsWei + run.rootTotalWei + run.carriedWei);
  }, 200_000);

  it("follows as a process, answers its health and stops cleanly", async () => {
    for (const table of runTables) await db().delete(table);
    await using settlement = startSettlement({
      FOLLOW_ONLY: "1",
      POSTER_KEY: "",
      METRICS_PORT: String(await freePort()),
    });
    await until(
      "all three epochs are followed",
      async () => (await findRun(3n))?.state === "final",
      killMsMax,
    );
    const health = await fetch(`http://127.0.0.1:${settlement.metricsPort}/health`);
    expect(await health.json()).toMatchObject({ ok: true });
    settlement.process.kill("SIGTERM");
    expect(await settlement.ended).toBe(0);
  });

  it("adopts the poster's word on a batch whose blob turned up again, and says so", async () => {
    await world.answer(4);
    const [hidden] = await batchesIn(db(), (await readRun(3n)).toBlock, 1n << 62n);
    const { eventId, id: batchId } = hidden!;
    const code = "da_unavailable";
    await db()
      .insert(refusal)
      .values({ eventId, subject: `batch:${batchId}`, code, reason: "nobody serves it" });
    await world.drive(/^final$/);
    const decoded = provenance.decode(hexToBytes((await readRun(4n)).payload));
    if (!decoded.ok) throw new Error(decoded.reason);
    expect(decoded.value.leftOut).toEqual([{ batchId, code }]);
    const before = await readAll();
    await db().delete(refusal).where(eq(refusal.eventId, eventId));
    for (const table of runTables) await db().delete(table);
    const follower = { ...world.context, poster: null };
    for (let epochId = 1n; epochId < 4n; epochId++) await world.drive(/^final$/, follower);
    const said = await world.drive(/^computed/, follower);
    expect(said.what).toContain(`batch ${batchId} left out by the poster's judgement`);
    await world.drive(/^final$/, follower);
    expect(await readAll()).toEqual(before);
    for (const table of runTables) await db().delete(table);
    const alone = { ...follower, retrieve: null };
    for (let epochId = 1n; epochId < 4n; epochId++) await world.drive(/^final$/, alone);
    await expect(world.drive(/^final$/, alone)).rejects.toThrow(EpochMismatchError);
  }, 200_000);

  it("withholds from a contribution from the block on in which it is retracted", async () => {
    const { blockNumber } = await world.sender.send(contributor, "datanetRegistry", "retract", [
      1n,
      label("gone"),
    ]);
    await world.world.caughtUp();
    const rows = await batchesIn(db(), 0n, blockNumber);
    const scored = await loadBatchFacts(db(), rows, null);
    if (!scored.ready) throw new Error(scored.missing);
    const { chunkId } = scored.batches[0]!.receipts[0]!.candidates[0]!;
    const factsAt = async (toBlock: bigint) =>
      (await loadFacts(db(), { batches: scored.batches, unavailable: [] }, toBlock)).contributionOf(chunkId);
    expect(await factsAt(blockNumber - 1n)).toMatchObject({ isRetracted: false, contributionBatchId: 1n });
    expect(await factsAt(blockNumber)).toMatchObject({ isRetracted: true });
  });
});

function db() {
  return world.world.database.db;
}

async function readRun(epochId: bigint): Promise<EpochRun> {
  return (await findRun(epochId))!;
}

async function findRun(epochId: bigint): Promise<EpochRun | undefined> {
  const [run] = await db().select().from(epochRun).where(eq(epochRun.epochId, epochId));
  return run;
}

/** The stage as its own process. */
function startSettlement(overrides: Record<string, string>) {
  const env: Record<string, string | undefined> = {
    ...process.env,
    ...world.environment,
    POSTER_KEY: toHex(devAccount(poster).getHdKey().privateKey!),
    EPOCH_BATCHES: "1",
    POLL_MS: "50",
    ...overrides,
  };
  const child = spawn(process.execPath, [fileURLToPath(new URL("main.ts", import.meta.url))], {
    env,
    stdio: "ignore",
  });
  const ended = once(child, "exit").then(([code]) => code as number | null);
  return { process: child, ended, metricsPort: env.METRICS_PORT, [Symbol.asyncDispose]: () => stop(child) };
}

/** Leaves the row as a crash or a bug would have. */
async function change(values: Partial<EpochRun>): Promise<void> {
  await db().update(epochRun).set(values).where(eq(epochRun.epochId, 1n));
}

function nonceOfPoster(): Promise<number> {
  return world.sender.client.getTransactionCount({ address: devAccount(poster).address as Hex });
}

async function readAll() {
  const runs = await db().select().from(epochRun).orderBy(asc(epochRun.epochId));
  return {
    runs: runs.map(({ updatedAt: _, ...run }) => run),
    entries: await db()
      .select()
      .from(entry)
      .orderBy(asc(entry.epochId), asc(entry.receiptDigest), asc(entry.index)),
    rewards: await db().select().from(reward).orderBy(asc(reward.epochId), asc(reward.account)),
    carried: await db().select().from(carried).orderBy(asc(carried.epochId), asc(carried.modelId)),
  };
}
