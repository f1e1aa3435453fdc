import { spawn } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { invariant } from "#schema/errors";
import { freePort, stop, until } from "#schema/testing/stack";
import { openWorld, type World } from "../indexer/test/world.ts";
import { type Benchmark, compare, median } from "./report.ts";
import { denseFlags, stakeDensely } from "./staked-chain.ts";

const shape = { blockCount: 40, eventsPerBlock: 400, accountCount: 4_000 };
const eventCount = shape.blockCount * shape.eventsPerBlock;
const rounds = 5;
const peerName = "minimal app, Ponder 0.17.7";
const minimalFolder = join(import.meta.dirname, "minimal-ponder");
const ponderPath = fileURLToPath(new URL("./bin/ponder.js", import.meta.resolve("ponder")));

/** `indexMs` is Ponder's own time for the backfill, `wholeMs` from the start of the process until it is ready. */
type Run = { indexMs: number; wholeMs: number };

export const benchmark: Benchmark = {
  name: "index",
  title: "Events indexed per second: ours (event row and its own row) against one insert per event",
  conditions: [
    `${eventCount} Staked events of ${shape.accountCount} accounts in ${shape.blockCount} blocks, one per transaction`,
    `${rounds} alternating rounds, medians, each into new tables of the same PostgreSQL (fsync off)`,
    "warm: one uncounted run of each has filled ponder_sync; backfill only",
    "indexing = what Ponder reports for extract and transform (read cache, handlers, write, commit), no start-up",
    "whole = process start to ready, with module loading, indexes, triggers and views",
  ].join("; "),
  run: async () => {
    await using world = await openWorld({ flags: denseFlags });
    await stakeDensely(world.rpcUrl, world.deployment, shape);
    const ours: Run[] = [];
    const peer: Run[] = [];
    for (let round = 0; round <= rounds; round++) {
      ours.push(await runOurs(world, `ours_${round}`));
      peer.push(await runMinimal(world, `minimal_${round}`));
    }
    const perSecond = (runs: Run[], of: keyof Run) =>
      (eventCount / median(runs.slice(1).map((run) => run[of]))) * 1000;
    const row = (work: string, of: keyof Run) =>
      compare(work, "events/s", perSecond(ours, of), perSecond(peer, of), peerName, 0.5);
    return [row("indexing", "indexMs"), row("whole, start to ready", "wholeMs")];
  },
};

async function runOurs(world: World, schema: string): Promise<Run> {
  const port = await freePort();
  const start = performance.now();
  await using indexer = await world.startIndexer({ INDEXER_PORT: String(port), DATABASE_SCHEMA: schema });
  await until(`our indexer is ready; it says: ${indexer.output()}`, () => isReady(port));
  const wholeMs = performance.now() - start;
  await expectRows(world, `${schema}.event`, eventCount);
  await expectRows(world, `${schema}.stake`, shape.accountCount);
  return { wholeMs, indexMs: await reportedMs(port) };
}

async function runMinimal(world: World, schema: string): Promise<Run> {
  const port = await freePort();
  const start = performance.now();
  const parameters = ["start", "--root", minimalFolder, "--schema", schema, "--hostname", "127.0.0.1"];
  const child = spawn(
    process.execPath,
    [ponderPath, ...parameters, "--port", String(port), "--log-level", "error"],
    { env: { ...process.env, ...minimalEnvironment(world) }, stdio: ["ignore", "inherit", "inherit"] },
  );
  await using stack = new AsyncDisposableStack();
  // Ponder writes its types into the app's folder; ours stand in `indexer/` and there may be one.
  stack.defer(() => rm(join(minimalFolder, "ponder-env.d.ts"), { force: true }));
  stack.defer(() => stop(child));
  await until("the minimal app is ready", () => {
    invariant(child.exitCode === null, `the minimal app ended with ${child.exitCode}`);
    return isReady(port);
  });
  const wholeMs = performance.now() - start;
  await expectRows(world, `${schema}.staked`, eventCount);
  return { wholeMs, indexMs: await reportedMs(port) };
}

function minimalEnvironment({ url, rpcUrl, deployment }: World): Record<string, string> {
  return {
    DATABASE_URL: url,
    RPC_URL: rpcUrl,
    CHAIN_ID: String(deployment.chainId),
    STAKE_VAULT: deployment.contracts.stakeVault,
    START_BLOCK: String(deployment.deployBlock),
  };
}

async function isReady(port: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/ready`).catch(() => undefined);
  return response?.ok ?? false;
}

/** Extract: waiting for the next events; transform: handling and writing them. One after the other, in ms. */
async function reportedMs(port: number): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return ["extract", "transform"]
    .map((group) => {
      const found = text.match(
        new RegExp(`^ponder_historical_concurrency_group_duration\\{group="${group}"\\} (\\S+)$`, "m"),
      );
      invariant(found?.[1], `Ponder reports the time of ${group}`);
      return Number(found[1]);
    })
    .reduce((sum, ms) => sum + ms);
}

async function expectRows({ database }: World, table: string, wanted: number): Promise<void> {
  const [row] = await database.sql`select count(*)::int as count from ${database.sql(table)}`;
  invariant(row?.count === wanted, `${table} holds ${row?.count} rows, not ${wanted}`);
}
