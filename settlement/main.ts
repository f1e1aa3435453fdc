import { setTimeout as sleep } from "node:timers/promises";
import { createPublicClient, createWalletClient, http } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { DisperserClient, developmentSrs, payloadBytesMax, RelayClient } from "#eigenda/index";
import { openDatabase } from "#schema/database";
import { readDeployment } from "#schema/deployment";
import { InvariantError } from "#schema/errors";
import { serveHealth } from "#schema/health";
import { createLog } from "#schema/log";
import { type Config, readConfig } from "./config.ts";
import { Ledger } from "./ledger.ts";
import { advance, type Context } from "./lifecycle.ts";
import { createMetrics, type Metrics } from "./metrics.ts";

/** Failed passes in a row after which the process gives up; with the pause below, about ten minutes. */
const failuresMax = 120;
const failurePauseMsMax = 5_000;

const log = createLog();
const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stopping.abort());
process.exitCode = await main(readConfig(), stopping.signal);

/** Takes steps until it is told to stop. @returns The exit code: 1 where a person must look. */
async function main(config: Config, signal: AbortSignal): Promise<number> {
  await using database = openDatabase({ url: config.databaseUrl, applicationName: "settlement" });
  await using resources = new AsyncDisposableStack();
  const metrics = createMetrics(() => performance.now());
  resources.use(await serveHealth(config.metricsPort, metrics.registry, metrics.health));
  const deployment = readDeployment(config.addressesFile);
  const client = createPublicClient({ transport: http(config.rpcUrl), pollingInterval: 250, cacheTime: 0 });
  const context: Context = {
    db: database.db,
    ledger: new Ledger(client, deployment),
    chainId: BigInt(deployment.chainId),
    distributor: deployment.contracts.rewardDistributor,
    limits: { epochBatches: config.epochBatches, ageMsMax: config.epochAgeMsMax },
    retrieve: await openRelay(config, resources),
    poster: await openPoster(config, BigInt(deployment.chainId), resources),
  };
  log.info(`ready ${context.poster === null ? "to follow" : "to propose"}`);
  return await work(context, metrics, config.pollMs, signal);
}

async function openRelay({ relay }: Config, resources: AsyncDisposableStack): Promise<Context["retrieve"]> {
  if (relay === null) return null;
  const { disperserUrl, srsFolder } = relay;
  const srs = await developmentSrs({ folder: srsFolder });
  const client = resources.use(new RelayClient({ relayUrl: () => disperserUrl, srs }));
  return (certificate) => client.retrieve(certificate);
}

async function openPoster(
  { posting, rpcUrl }: Config,
  chainId: bigint,
  resources: AsyncDisposableStack,
): Promise<Context["poster"]> {
  if (posting === null) return null;
  const account = privateKeyToAccount(posting.posterKey);
  const srs = await developmentSrs({ folder: posting.srsFolder });
  const disperser = resources.use(
    new DisperserClient({ url: posting.disperserUrl, accountKey: posting.eigendaKey, chainId, srs }),
  );
  return {
    wallet: createWalletClient({ account, transport: http(rpcUrl) }),
    disperse: async (payload) => (await disperser.disperse(payload)).certificate,
    payloadBytesMax: payloadBytesMax(srs.symbolsMax),
  };
}

async function work(
  context: Context,
  metrics: Metrics,
  pollMs: number,
  signal: AbortSignal,
): Promise<number> {
  let failures = 0;
  let told = "";
  while (!signal.aborted) {
    try {
      const step = await advance(context);
      failures = 0;
      metrics.passed(step);
      const line = `epoch ${step.epochId} ${step.did === "waiting" ? "waits for " : ""}${step.what}`;
      if (line !== told) log.info(line);
      told = line;
      if (step.did === "waiting") await pause(pollMs, signal);
    } catch (error) {
      failures += 1;
      metrics.failed(codeOf(error));
      log.error(`step failed, ${failures} in a row`, error);
      if (!isRetryable(error) || failures >= failuresMax) return 1;
      await pause(Math.min(pollMs * failures, failurePauseMsMax), signal);
    }
  }
  return 0;
}

/** Typed errors say so themselves; a bug is final; what chain, database and network throw passes. */
function isRetryable(error: unknown): boolean {
  if (error instanceof InvariantError) return false;
  const { retryable } = error as { retryable?: unknown };
  return typeof retryable === "boolean" ? retryable : true;
}

function codeOf(error: unknown): string {
  const { code, name } = error as { code?: unknown; name?: unknown };
  return String(code ?? name ?? "unknown");
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  // Aborted means stop: the loop sees it.
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
