import { setTimeout as sleep } from "node:timers/promises";
import { createAdaptorServer } from "@hono/node-server";
import { createPublicClient, type Hex, http, type PublicClient } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { DisperserClient, developmentSrs } from "#eigenda/index";
import { type Model, openModel, readTokenizer, type Tokenizer } from "#runtime/index";
import { type Database, openDatabase } from "#schema/database";
import type { Log } from "#schema/log";
import { createAnswerer } from "./answer/answerer.ts";
import { createClock } from "./clock.ts";
import type { Config } from "./config.ts";
import { emptiedMsMax, indexPollMs, stopMsMax } from "./constants.ts";
import { createFinalBlockReader, type FinalBlockReader } from "./final-block.ts";
import { createApp, type Service } from "./http/app.ts";
import { type LiveIndex, openLiveIndex } from "./live-index.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { readConfig } from "./payment/channel.ts";
import { createIssuer } from "./receipt.ts";
import { awaitModel } from "./registered-model.ts";
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
 * Run the node until `signal` aborts: HTTP at once (503 until the model's registration is final), then index and settler.
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
  await using model = await openModel(config.modelFolder);
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
    service = opened.service;
    log.info("ready", { model: config.modelId, chunks: opened.service.indexedChunks() });
    await Promise.all([followIndex(opened.index, parts, stopping), settle(parts, stopping)]);
  };
  try {
    await work();
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    failed.abort();
  }
}

async function openService(
  parts: Parts,
  signal: AbortSignal,
): Promise<{ service: Service; index: LiveIndex }> {
  const { config, database, model, finalBlock } = parts;
  const { modelId, modelAliases: aliases, contracts, chainId } = config;
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
  const index = await openLiveIndex({ db, modelId, finalBlock });
  await index.refresh();
  const node = privateKeyToAccount(config.nodeKey);
  const hub = lower(contracts.settlementHub);
  const escrow = lower(contracts.channelEscrow);
  const terms = { chainId, escrow, token: lower(contracts.openToken), hub, node: lower(node.address) };
  const issuer = createIssuer(node, config.nodeKey, { chainId, hub });
  const clock = createClock(config.clock);
  const answerer = createAnswerer({ ...parts, ...config, db, terms, registered, index, issuer, clock });
  const indexedChunks = () => index.current().chunks.size;
  return { service: { answerer, modelId, aliases, feeWei: registered.feeWei, terms, indexedChunks }, index };
}

/** Keep the index up to date; a failed look is logged and the next one comes. */
async function followIndex(index: LiveIndex, { metrics, log }: Parts, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      if (await index.refresh()) log.info("index rebuilt", { chunks: index.current().chunks.size });
      metrics.indexedChunks.set(index.current().chunks.size);
    } catch (error) {
      log.error("index not refreshed, will try again", error);
    }
    await sleep(indexPollMs, undefined, { signal }).catch(() => signal.aborted);
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
