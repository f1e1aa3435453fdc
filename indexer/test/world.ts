/** One PostgreSQL, one chain with the contracts on it and an indexer that tests may start, kill and start again. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sql } from "drizzle-orm";
import type { Database } from "#schema/database";
import { openDatabase } from "#schema/database";
import { isNotIndexedYet } from "#schema/finality";
import { migrate } from "#schema/migrate";
import {
  chainClient,
  deployContracts,
  freePort,
  startAnvil,
  startPostgres,
  stop,
  type TestDeployment,
  until,
} from "#schema/testing/stack";

const startPath = fileURLToPath(new URL("../start.ts", import.meta.url));

export type Indexer = AsyncDisposable & {
  process: ChildProcess;
  /** Exit code, or the signal that ended it. */
  ended: Promise<number | NodeJS.Signals | null>;
  /** Waits until it has caught up and follows the chain. */
  ready(): Promise<void>;
  output(): string;
};

export type World = Awaited<ReturnType<typeof openWorld>>;

/** @param chain Flags of anvil; a block per transaction where no block time is given. */
export async function openWorld(chain: Parameters<typeof startAnvil>[0] = {}) {
  await using parts = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "tributary-indexer-"));
  parts.defer(() => rm(folder, { recursive: true, force: true }));
  const [postgres, anvil] = await Promise.all([startPostgres(), startAnvil(chain)]);
  parts.use(postgres);
  parts.use(anvil);
  const url = await postgres.url("tributary");
  await Promise.all([migrate(url), migrate(url)]);
  const deployment = await deployContracts({ rpcUrl: anvil.rpcUrl, folder });
  const database = parts.use(openDatabase({ url, applicationName: "indexer-test" }));
  const environment = { DATABASE_URL: url, RPC_URL: anvil.rpcUrl, ADDRESSES_FILE: deployment.addressesFile };
  const owned = parts.move();
  return {
    folder,
    url,
    rpcUrl: anvil.rpcUrl,
    deployment,
    database,
    client: chainClient(anvil.rpcUrl),
    environment,
    startIndexer: (overrides: Record<string, string> = {}) => startIndexer({ ...environment, ...overrides }),
    /** Waits until the indexer has committed the chain's head. */
    caughtUp: () => caughtUp(database, anvil.rpcUrl),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function startIndexer(environment: Record<string, string>): Promise<Indexer> {
  const port = await freePort();
  const child = spawn(process.execPath, [startPath], {
    env: {
      ...process.env,
      INDEXER_PORT: String(port),
      POLLING_INTERVAL_MS: "100",
      ...environment,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => (output += chunk));
  const ended = once(child, "exit").then(([code, signal]) => (signal ?? code) as number | NodeJS.Signals);
  return {
    process: child,
    ended,
    output: () => output,
    ready: () =>
      until(`the indexer is ready; it says: ${output}`, async () => {
        const response = await fetch(`http://127.0.0.1:${port}/ready`).catch(() => undefined);
        return response?.ok ?? false;
      }).then(() => undefined),
    [Symbol.asyncDispose]: () => stop(child),
  };
}

async function caughtUp(database: Database, rpcUrl: string): Promise<void> {
  const client = chainClient(rpcUrl);
  const head = await client.getBlockNumber({ cacheTime: 0 });
  const isIndexed = async () => ((await indexedHead(database)) ?? -1n) >= head;
  await until(`block ${head} is indexed`, isIndexed);
}

/** Last block Ponder has committed; undefined before it has caught up for the first time. */
export async function indexedHead({ db }: Database): Promise<bigint | undefined> {
  try {
    const [row] = await db.execute<{ block: string }>(
      sql`select substr(latest_checkpoint, 27, 16)::numeric as block from onchain._ponder_checkpoint`,
    );
    return row && BigInt(row.block);
  } catch (error) {
    if (isNotIndexedYet(error)) return undefined;
    throw error;
  }
}

export type { TestDeployment };
