import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, cp, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { asc } from "drizzle-orm";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { onchain } from "#schema/bind";
import { sourceChecksum } from "#schema/checksum";
import { CursorLostError, consumeFinal } from "#schema/consume";
import { DeepReorgError, finalBlock, findOrphan } from "#schema/finality";
import { until } from "#schema/testing/stack";
import { contributor, firstHalf, fund, newSender, type Sender, submit, thief } from "./life.ts";
import { placedContracts } from "./placed-contracts.ts";
import { type Indexer, openWorld, type World } from "./world.ts";

const consumerPath = fileURLToPath(new URL("consumer.ts", import.meta.url));
const rootDir = fileURLToPath(new URL("../..", import.meta.url));

let world: World;
let sender: Sender;
let indexer: Indexer;

beforeAll(async () => {
  world = await openWorld();
  sender = newSender(world.rpcUrl, world.deployment);
  await fund(sender);
  await firstHalf(sender);
  indexer = await world.startIndexer();
  await world.caughtUp();
});

afterEach(({ task }) => {
  if (task.result?.state === "fail") console.error(indexer?.output());
});

afterAll(async () => {
  await indexer?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

it("consumes final events exactly once through reorganisations and deaths inside the transaction", async () => {
  const { client } = world;
  const consumers = keepConsuming([1, 40, 5]);
  const reorgDepths: number[] = [];
  for (let round = 0; round < 3; round++) {
    const snapshot = await client.snapshot();
    await load(6);
    // The orphaned branch must have been indexed for its removal to mean anything.
    await world.caughtUp();
    await client.revert({ id: snapshot });
    await load(3);
    await world.caughtUp();
    const depth = 3 + round;
    await client.request({ method: "anvil_reorg", params: [depth, []] } as never);
    reorgDepths.push(depth);
    await load(4);
    await client.mine({ blocks: 20 });
    await world.caughtUp();
  }
  await client.mine({ blocks: 62 });
  await expectConsumed();
  const deaths = await consumers.stop();
  expect(reorgDepths).toEqual([3, 4, 5]);
  expect(deaths).toBe(3);
  await expectLogEqualsChain();
});

it("goes on where it was after the indexer is killed under load, without waiting for its own stale lock", async () => {
  const loading = load(15);
  await sleep(400);
  indexer.process.kill("SIGKILL");
  expect(await indexer.ended).toBe("SIGKILL");
  await loading;
  const startedAt = Date.now();
  indexer = await world.startIndexer();
  await world.caughtUp();
  expect(indexer.output()).toContain("cleared the lock");
  console.log(`restart after kill -9: ${Date.now() - startedAt} ms`);
  await expectLogEqualsChain();
});

it("lets only one indexer write a schema: the second ends with 75 and says so", async () => {
  await using second = await world.startIndexer();
  expect(await second.ended).toBe(75);
  expect(second.output()).toContain("Another indexer writes ponder_");
});

it("reports a reorganisation deeper than the indexer can undo, with the first event that is gone", async () => {
  const { client, database } = world;
  await load(1);
  const snapshot = await client.snapshot();
  const forkBlock = await client.getBlockNumber({ cacheTime: 0 });
  await load(2);
  await client.mine({ blocks: 70 });
  await world.caughtUp();
  const reader = { db: database.db, client };
  await until(
    "the events are final",
    async () => ((await finalBlock(reader))?.blockNumber ?? 0n) > forkBlock + 2n,
  );
  const signal = new AbortController().signal;
  const options = { database, client, name: "deep", signal, apply: () => Promise.resolve() };
  expect(await consumeFinal(options)).toBeGreaterThan(0);

  await client.revert({ id: snapshot });
  await load(2);
  await client.mine({ blocks: 80 });
  await expect(finalBlock(reader)).rejects.toThrow(DeepReorgError);
  await expect(consumeFinal(options)).rejects.toThrow(`block ${forkBlock + 1n}`);
  expect((await findOrphan(reader, forkBlock + 70n))?.blockNumber).toBe(forkBlock + 1n);

  // What `rebuild` meets if it forgets the cursor: the new log does not hold the event the cursor stands on.
  await indexer[Symbol.asyncDispose]();
  indexer = await world.startIndexer({ DATABASE_SCHEMA: "anew" });
  await indexer.ready();
  await until(
    "the new schema is published",
    async () => (await findOrphan(reader, forkBlock + 2n)) === undefined,
  );
  await until(
    "its finality has passed the cursor",
    async () => ((await finalBlock(reader))?.indexedBlock ?? 0n) > forkBlock + 2n,
  );
  expect(indexer.output()).toContain("it is fetched anew");
  await expect(consumeFinal(options)).rejects.toThrow(CursorLostError);
});

it("refuses to resume on changed code", async () => {
  await indexer[Symbol.asyncDispose]();
  const [row] = await world.database.sql<{ name: string }[]>`
    select nspname as name from pg_namespace where nspname like 'ponder\\_%' and nspname <> 'ponder_sync'`;
  const copy = await copySources();
  try {
    const before = sourceChecksum(copy);
    expect(before).toBe(sourceChecksum());
    await writeFile(join(copy, "schema/abi/stake-vault.ts"), "\n// One more line.\n", { flag: "a" });
    expect(sourceChecksum(copy)).not.toBe(before);
    const child = spawn(process.execPath, [join(copy, "indexer/start.ts")], {
      env: { ...process.env, ...world.environment, DATABASE_SCHEMA: row!.name, INDEXER_PORT: "42070" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
    const [code] = await once(child, "exit");
    expect(output).toContain("previously used by a different Ponder app");
    expect(code).toBe(1);
  } finally {
    await rm(copy, { recursive: true });
  }
});

/** Sends `count` contributions, two of three in blocks with others. */
async function load(count: number): Promise<void> {
  for (let index = 0; index < count; index++)
    await submit(sender, index % 2 ? thief : contributor, 1n, index + 1);
}

/** Starts a consumer, and another whenever it dies, each after as many events as `lifetimes` says; the last one lives. */
function keepConsuming(lifetimes: number[]) {
  let isStopping = false;
  let deaths = 0;
  let child: ReturnType<typeof spawn>;
  const failures: string[] = [];
  const running = (async () => {
    while (!isStopping) {
      child = spawn(
        process.execPath,
        [consumerPath, world.url, world.rpcUrl, String(lifetimes[deaths] ?? 0)],
        {
          stdio: ["ignore", "ignore", "pipe"],
        },
      );
      let errors = "";
      child.stderr?.on("data", (chunk) => (errors += chunk));
      const [code, signal] = await once(child, "exit");
      if (signal === "SIGKILL") deaths += 1;
      else if (code !== 0 && signal !== "SIGINT") failures.push(`${code} ${signal} ${errors}`);
      if (failures.length > 3) return;
    }
  })();
  return {
    async stop() {
      isStopping = true;
      child.kill("SIGINT");
      await running;
      expect(failures).toEqual([]);
      return deaths;
    },
  };
}

/** Every final event, once, in order, with its job; none of a block that is gone. */
async function expectConsumed(): Promise<void> {
  const { database, client } = world;
  const final = await until("finality has passed the load", async () => {
    const found = await finalBlock({ db: database.db, client });
    const head = await client.getBlockNumber({ cacheTime: 0 });
    return found && found.blockNumber >= head - 62n && found;
  });
  const expected = (await database.db.select().from(onchain.event).orderBy(asc(onchain.event.id)))
    .filter(({ blockNumber }) => blockNumber <= final.blockNumber)
    .map(({ id, blockHash }) => `${id} ${blockHash}`);
  expect(expected.length).toBeGreaterThan(50);
  const readSeen = () =>
    database.sql<{ eventId: string; blockHash: string }[]>`
      select event_id as "eventId", block_hash as "blockHash" from test.seen order by event_id`;
  await until("all are consumed", async () => (await readSeen()).length >= expected.length, 60_000);
  expect((await readSeen()).map(({ eventId, blockHash }) => `${eventId} ${blockHash}`)).toEqual(expected);
  const [jobs] = await database.sql`
    select count(*)::int as total, count(distinct data ->> 'eventId')::int as different
    from pgboss.job where name = 'seen'`;
  expect(jobs).toEqual({ total: expected.length, different: expected.length });
}

async function expectLogEqualsChain(): Promise<void> {
  const address = (await placedContracts(world)).map((placed) => placed.address);
  const logs = await world.client.getLogs({ address, fromBlock: 0n });
  const rows = await world.database.db.select().from(onchain.event).orderBy(asc(onchain.event.id));
  expect(rows.map(({ blockHash, logIndex }) => `${blockHash} ${logIndex}`)).toEqual(
    logs.map(({ blockHash, logIndex }) => `${blockHash} ${logIndex}`),
  );
  const contributions = await world.database.db.select().from(onchain.contribution);
  expect(BigInt(contributions.length)).toBe(await sender.read("datanetRegistry", "batchCount"));
}

/** The sources the indexer needs, beside the same packages. */
async function copySources(): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), "tributary-copy-"));
  for (const file of ["package.json", "tsconfig.json", "ponder.config.ts"])
    await copyFile(join(rootDir, file), join(copy, file));
  for (const folder of ["schema", "indexer"])
    await cp(join(rootDir, folder), join(copy, folder), { recursive: true });
  await symlink(join(rootDir, "node_modules"), join(copy, "node_modules"));
  return copy;
}
