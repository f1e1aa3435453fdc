import { setTimeout as sleep } from "node:timers/promises";
import { createAdaptorServer } from "@hono/node-server";
import { createPublicClient, type Hex, http, type PublicClient } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { DisperserClient, developmentSrs } from "#eigenda/index";
import { type Model, openModel, readTokenizer, type Tokenizer } from "#runtime/index";
import { type Database, openDatabase } from "#schema/database";
import type { Log } from "#schema/log";
import { createAdapterLoader, type LoadedAdapter } from "./adapters.ts";
import { createAnswerer } from "./answer/answerer.ts";
import { createClock } from "./clock.ts";
import type { Config } from "./config.ts";
import { adapterPollMs, emptiedMsMax, indexPollMs, stopMsMax } from "./constants.ts";
import { createFinalBlockReader, type FinalBlockReader } from "./final-block.ts";
import { createApp, type ServedModel, type Service } from "./http/app.ts";
import { type LiveIndex, openLiveIndex } from "./live-index.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { readConfig } from "./payment/channel.ts";
import { createTurns } from "./payment/turn.ts";
import { createIssuer } from "./receipt.ts";
import { awaitModel, type RegisteredModel } from "./registered-model.ts";
import { createHubClient } from "./settler/hub-client.ts";
import { runSettler } from "./settler/settler.ts";

/** What the parts of one node share. */
type Parts = {
  config: Config;
  database: Database;
  client: PublicClient;
  model: Model;
  tokenizer: Tokenizer;
  metrics: Metrics;
  log: Log;
  finalBlock: FinalBlockReader;
};

/**
 * Run the node until `signal` aborts: HTTP at once (503 until the model's registration is final), then index, adapters and
 * settler.
 * `onListening` gets the URL. What was paid for is answered before this returns, within `stopMsMax`.
 * @throws what stops it: a model that is not ours, a port in use, files that are no model.
 */
export async function runNode(
  config: Config,
  log: Log,
  signal: AbortSignal,
  onListening: (url: string) => void,
): Promise<void> {
  await using database = openDatabase({ url: config.databaseUrl, applicationName: "serving" });
  const transport = http(config.rpcUrl, { batch: true });
  const client = createPublicClient({ transport, cacheTime: 0 });
  const finalBlock = createFinalBlockReader({ db: database.db, client });
  await using model = await openModel(config.modelFolder, { adaptableModules: config.adaptableModules });
  const tokenizer = await readTokenizer(config.modelFolder);
  const metrics = createMetrics();
  const parts: Parts = { config, database, client, model, tokenizer, metrics, log, finalBlock };
  let service: Service | null = null;
  const app = createApp({ service: () => service, clock: createClock(config.clock), metrics, log });
  await using server = await listen(app.fetch, config.port);
  onListening(server.url);

  const failed = new AbortController();
  const stopping = AbortSignal.any([signal, failed.signal]);
  const work = async () => {
    const opened = await openService(parts, stopping);
    const { served } = opened;
    service = opened.service;
    log.info("ready", { model: config.modelId, chunks: served[0]!.indexedChunks() });
    await Promise.all([
      followIndexes(served, parts, stopping),
      followAdapters(opened, parts, stopping),
      settle(parts, stopping),
    ]);
  };
  try {
    await work();
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    failed.abort();
  }
}

/** A served model with its index; the base stands first, adapters follow as they become ready. */
type Served = ServedModel & { index: LiveIndex };
type Opened = { service: Service; served: Served[]; serve: Serve };
type Serve = (registered: RegisteredModel, names: readonly string[]) => Promise<Served>;

async function openService(parts: Parts, signal: AbortSignal): Promise<Opened> {
  const { config, database, model, finalBlock } = parts;
  const { modelId, contracts, chainId } = config;
  const { db } = database;
  const onFailure = (error: unknown) =>
    parts.log.error("looking for the model failed, will try again", error);
  const registered = await awaitModel({
    db,
    modelId,
    artifactHash: model.artifactHash,
    finalBlock,
    signal,
    onFailure,
  });
  const node = privateKeyToAccount(config.nodeKey);
  const hub = lower(contracts.settlementHub);
  const escrow = lower(contracts.channelEscrow);
  const terms = { chainId, escrow, token: lower(contracts.openToken), hub, node: lower(node.address) };
  const issuer = createIssuer(node, config.nodeKey, { chainId, hub });
  const shared = {
    ...parts,
    ...config,
    ...{ db, terms, issuer, clock: createClock(config.clock), turns: createTurns() },
  };
  const serve: Serve = async (of, names) => {
    const index = await openLiveIndex({ db, modelId: of.modelId, finalBlock });
    await index.refresh();
    const answerer = createAnswerer({ ...shared, registered: of, index });
    const parentId = of.modelId === modelId ? null : modelId;
    const indexedChunks = () => index.current().chunks.size;
    return { answerer, modelId: of.modelId, parentId, names, feeWei: of.feeWei, indexedChunks, index };
  };
  const served: [Served, ...Served[]] = [await serve(registered, config.modelAliases)];
  return { service: { models: () => served, terms }, served, serve };
}

/** Keep the indexes up to date; a failed look is logged and the next one comes. */
async function followIndexes(
  served: readonly Served[],
  { metrics, log }: Parts,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    for (const { modelId, index } of [...served]) {
      try {
        const isNew = await index.refresh();
        if (isNew) log.info("index rebuilt", { modelId, chunks: index.current().chunks.size });
      } catch (error) {
        log.error("index not refreshed, will try again", error);
      }
    }
    metrics.indexedChunks.set(served[0]!.indexedChunks());
    await sleep(indexPollMs, undefined, { signal }).catch(() => signal.aborted);
  }
}

/** Serve adapters of the base as the engine calls them ready. */
async function followAdapters({ served, serve }: Opened, parts: Parts, signal: AbortSignal): Promise<void> {
  const { config, database, model, finalBlock, log } = parts;
  if (config.adaptableModules.length === 0) return;
  const { modelId: baseModelId, adaptersFolder } = config;
  const { db } = database;
  const loader = createAdapterLoader({ db, baseModelId, model, adaptersFolder, finalBlock, log });
  const waiting: LoadedAdapter[] = [];
  while (!signal.aborted) {
    try {
      waiting.push(...(await loader.loadNew()));
      for (const next of [...waiting]) {
        served.push(await serve(next, [next.name]));
        waiting.shift();
        log.info("adapter served", { modelId: next.modelId, name: next.name });
      }
    } catch (error) {
      log.error("looking for adapters failed, will try again", error);
    }
    await sleep(adapterPollMs, undefined, { signal }).catch(() => signal.aborted);
  }
}

async function settle(parts: Parts, signal: AbortSignal): Promise<void> {
  const { config, database, finalBlock, metrics, log } = parts;
  const { chainId, rpcUrl, contracts } = config;
  const hub = lower(contracts.settlementHub);
  const srs = await developmentSrs({ folder: config.srsFolder });
  await using disperser = new DisperserClient({
    url: config.disperserUrl,
    accountKey: config.eigendaKey,
    chainId,
    srs,
  });
  await runSettler(
    {
      db: database.db,
      scope: { chainId, hub },
      hub: createHubClient({
        rpcUrl,
        chainId,
        hub,
        account: privateKeyToAccount(config.nodeKey),
        configOf: (channelId) => readConfig(database.db, channelId),
      }),
      disperse: async (payload, stop) => (await disperser.disperse(payload, { signal: stop })).certificate,
      finalBlock,
      receiptsMax: config.batchReceipts,
      ageMsMax: config.batchAgeMsMax,
      emptiedMsMax,
      metrics,
      log,
    },
    signal,
  );
}

type Listening = AsyncDisposable & { url: string };

async function listen(
  fetch: (request: Request) => Response | Promise<Response>,
  port: number,
): Promise<Listening> {
  const server = createAdaptorServer({ fetch });
  const listening = Promise.withResolvers<void>();
  server.once("error", listening.reject);
  server.listen(port, "127.0.0.1", listening.resolve);
  await listening.promise;
  const address = server.address();
  const bound = typeof address === "object" && address !== null ? address.port : port;
  return {
    url: `http://127.0.0.1:${bound}`,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      if ("closeIdleConnections" in server) server.closeIdleConnections();
      await Promise.race([closed, sleep(stopMsMax, undefined, { ref: false })]);
    },
  };
}

function lower(address: string): Hex {
  return address.toLowerCase() as Hex;
}
