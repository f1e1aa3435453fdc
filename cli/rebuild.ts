import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import postgres, { type Sql } from "postgres";
import { type Hex, zeroHash } from "viem";
import { attributionLedgerAbi } from "#schema/abi/attribution-ledger";
import { openDatabase } from "#schema/database";
import { PipelineError } from "#schema/errors";
import { finalBlock } from "#schema/finality";
import { migrate } from "#schema/migrate";
import { compareStates, stateHash } from "#schema/state-hash";
import { type Chain, openChain } from "./chain/transactions.ts";
import { readRunningConfig } from "./running.ts";
import { type Log, terminalLog } from "./up/log.ts";
import { freePortsFor } from "./up/ports.ts";
import { answers, createDatabase } from "./up/postgres.ts";
import { endLeftovers } from "./up/processes.ts";
import { stageServices } from "./up/services.ts";
import { resolveStack, type Stack } from "./up/stack.ts";
import { type Service, Supervisor } from "./up/supervisor.ts";
import { pace, stopOnSignal } from "./up/up.ts";

/** Longest a rebuild may take, in ms, and the time between two looks. */
const rebuildMsMax = 1_800_000;
const lookMs = 500;
/** Least time between two lines of progress, in ms. */
const tellMs = 5_000;
const rebuiltDatabase = "tributary_rebuild";
/** What is rebuilt, in order; serving and the API hold nothing that is. */
const rebuilders = ["indexer", "engine", "settlement"];

const help = `npm run tributary -- rebuild [--json] [--keep] [--verbose]
  Indexes the chain and fetches the blobs into an empty database beside the one in use, recomputes every epoch, then
  compares the state hash of both. The system must be up (or DATABASE_URL, RPC_URL, ADDRESSES_FILE, DISPERSER_URL set)
  and quiet meanwhile.
  --into <url>   the empty database (default: a new one on the same server, dropped at the end unless --keep)
  Exit code: 0 equal, 1 different (the first table is named), 2 cannot check (and why).`;

const options = {
  into: { type: "string" },
  keep: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  verbose: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

export async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options });
  if (values.help) {
    console.log(help);
    return 0;
  }
  try {
    return await rebuild({
      ...values,
      into: values.into ?? null,
      log: values.verbose ? terminalLog() : () => undefined,
    });
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error;
    console.error(`cannot check: ${error.message}`);
    return 2;
  }
}

type Options = { into: string | null; keep: boolean; json: boolean; log: Log };

async function rebuild({ into, keep, json, log }: Options): Promise<number> {
  const config = readRunningConfig();
  const live = await resolveStack(config, config.folder, config.ports, {
    ...pace,
    blockSeconds: config.blockSeconds,
  });
  if (!(await answers(live.databaseUrl))) throw new NotRunningError();
  await using target = into === null ? await emptyDatabase(live.databaseUrl, keep) : given(into);
  const stack: Stack = { ...live, databaseUrl: target.url, ports: await freePortsFor(config.ports) };
  const processesPath = join(config.folder, "rebuild-processes.json");
  await endLeftovers(processesPath);
  const stopping = stopOnSignal();
  await migrate(target.url);
  // Stores of adapters are made anew as well.
  const engineFolder = await mkdtemp(join(tmpdir(), "tributary-rebuild-"));
  await using _ = { [Symbol.asyncDispose]: () => rm(engineFolder, { recursive: true, force: true }) };
  await using supervisor = new Supervisor(processesPath, log);
  stopping.onSupervisor(supervisor);
  for (const service of rebuildServices(stack, engineFolder)) await supervisor.start(service);
  await Promise.race([untilCaughtUp(stack), supervisor.failed, stopping.signalled]);
  if (stopping.isSignalled()) return 2;
  return await compare(live.databaseUrl, target.url, json);
}

function rebuildServices(stack: Stack, engineFolder: string): Service[] {
  return stageServices(stack)
    .filter(({ name }) => rebuilders.includes(name))
    .map((service) => ({
      ...service,
      env: { ...service.env, FOLLOW_ONLY: "1", ENGINE_FOLDER: engineFolder },
    }));
}

/**
 * Until the rebuilt rows are final up to today's head and hold every score and every epoch the chain has. Tells on
 * stderr how far it is.
 */
async function untilCaughtUp(stack: Stack): Promise<void> {
  const chain = openChain(stack.rpcUrl, stack.addressesFile);
  await using database = openDatabase({ url: stack.databaseUrl, applicationName: "rebuild" });
  const head = await chain.client.getBlockNumber();
  const startedAt = Date.now();
  let seen = "nothing";
  for (let toldAt = 0; Date.now() < startedAt + rebuildMsMax; await sleep(lookMs)) {
    const final = await finalBlock({ db: database.db, client: chain.client });
    const gap =
      final === undefined || final.blockNumber < head
        ? `final up to block ${final?.blockNumber ?? 0n} of ${head}`
        : await findGap(chain, database.sql);
    if (gap === null) return;
    if (gap !== seen && Date.now() >= toldAt + tellMs) {
      toldAt = Date.now();
      console.error(`${Math.round((toldAt - startedAt) / 1_000)} s: ${gap}`);
    }
    seen = gap;
  }
  throw new RebuildTooLongError(seen);
}

/** What the rebuilt rows still miss, or null. */
async function findGap(chain: Chain, sql: Sql): Promise<string | null> {
  const epochCount = await chain.client.readContract({
    address: chain.deployment.contracts.attributionLedger,
    abi: attributionLedgerAbi,
    functionName: "epochCount",
  });
  const [row] = await sql`
    select (select count(*) from settlement.epoch_run where state = 'final')::int as epochs,
           (select coalesce(sum(calls), 0) from onchain.batch)::int as calls,
           (select count(*) from engine.receipt)::int as receipts,
           (select count(*) from engine.score)::int as scores,
           (select count(*) from engine.refusal)::int as refusals`;
  const { epochs, calls, receipts, scores, refusals } = row as Record<string, number>;
  if (refusals === 0 && receipts! < calls!) return `${receipts} of ${calls} receipts`;
  if (refusals === 0 && scores! < receipts!) return `${scores} of ${receipts} scores`;
  if (epochs! >= Number(epochCount)) return null;
  await assertOwnMethods(sql);
  return `${epochs} of ${epochCount} epochs`;
}

/** Once everything is scored here. @throws OtherMethodError */
async function assertOwnMethods(sql: Sql): Promise<void> {
  const [foreign] = await sql`
    select e.id::text as id, e.method_hash, s.method_hash as ours
    from onchain.epoch e, (select min(method_hash) as method_hash from engine.score) s
    where s.method_hash is not null and e.method_hash <> ${zeroHash}
      and e.method_hash not in (select method_hash from engine.score)
    order by e.id limit 1`;
  if (foreign !== undefined) throw new OtherMethodError(foreign.id, foreign.method_hash, foreign.ours);
}

async function compare(liveUrl: string, rebuiltUrl: string, json: boolean): Promise<number> {
  await using live = openDatabase({ url: liveUrl, applicationName: "rebuild" });
  await using rebuilt = openDatabase({ url: rebuiltUrl, applicationName: "rebuild" });
  const states = [await stateHash(live.sql, "full"), await stateHash(rebuilt.sql, "full")] as const;
  const roots = [await readRoots(live.sql), await readRoots(rebuilt.sql)] as const;
  const differences = compareStates(...states);
  const isEqual = differences.length === 0;
  if (json) {
    console.log(
      JSON.stringify({
        equal: isEqual,
        live: states[0].hash,
        rebuilt: states[1].hash,
        roots: roots[1],
        differences,
      }),
    );
    return isEqual ? 0 : 1;
  }
  for (const { epoch, rewardRoot, attributionRoot } of roots[1]) {
    console.log(`epoch ${epoch}  reward root ${rewardRoot}  attribution root ${attributionRoot}`);
  }
  console.log(`live     ${states[0].hash}\nrebuilt  ${states[1].hash}`);
  console.log(
    isEqual
      ? "equal: every row rebuilds from chain and blobs"
      : `different, first in ${differences.join("\n")}`,
  );
  return isEqual ? 0 : 1;
}

async function readRoots(sql: Sql): Promise<{ epoch: string; rewardRoot: Hex; attributionRoot: Hex }[]> {
  const rows = await sql`
    select epoch_id::text as epoch, reward_root, attribution_root from settlement.epoch_run order by epoch_id`;
  return rows.map((row) => ({
    epoch: row.epoch as string,
    rewardRoot: row.reward_root as Hex,
    attributionRoot: row.attribution_root as Hex,
  }));
}

type Target = { url: string; [Symbol.asyncDispose](): Promise<void> };

function given(url: string): Target {
  return { url, [Symbol.asyncDispose]: async () => undefined };
}

/** A new database on the same server, dropped at the end unless kept; one left by a killed rebuild is dropped first. */
async function emptyDatabase(liveUrl: string, keep: boolean): Promise<Target> {
  await dropDatabase(liveUrl);
  await createDatabase(liveUrl, rebuiltDatabase);
  const url = new URL(liveUrl);
  url.pathname = `/${rebuiltDatabase}`;
  return { url: url.href, [Symbol.asyncDispose]: async () => (keep ? undefined : dropDatabase(liveUrl)) };
}

async function dropDatabase(liveUrl: string): Promise<void> {
  const sql = postgres(liveUrl, { max: 1, fetch_types: false, onnotice: () => undefined });
  try {
    await sql`drop database if exists ${sql(rebuiltDatabase)} with (force)`;
  } finally {
    await sql.end();
  }
}

export class NotRunningError extends PipelineError {
  override readonly name = "NotRunningError";
  constructor() {
    super("the database does not answer. Start the system (npm start), or set DATABASE_URL.", {
      code: "not_running",
      retryable: true,
    });
  }
}

export class OtherMethodError extends PipelineError {
  override readonly name = "OtherMethodError";
  constructor(epoch: string, theirs: Hex, ours: Hex) {
    super(
      `epoch ${epoch} was scored by the method ${theirs}, this engine's is ${ours}: other code, settings or kind of processor. Its payload names the method; check out that code (engine/README.md, "Earlier versions").`,
      { code: "other_method", retryable: false },
    );
  }
}

class RebuildTooLongError extends PipelineError {
  override readonly name = "RebuildTooLongError";
  constructor(seen: string) {
    super(`not caught up within ${rebuildMsMax / 1_000} s. Last seen: ${seen}.`, {
      code: "rebuild_too_long",
      retryable: true,
    });
  }
}
