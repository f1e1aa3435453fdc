import { once } from "node:events";
import { serve } from "@hono/node-server";
import { createPublicClient, http } from "viem";
import { openDatabase } from "#schema/database";
import { type Config, readConfig } from "./config.ts";
import { createApp } from "./server.ts";

/** Requests at once; each holds a connection. */
const connections = 8;

const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stopping.abort());
await main(readConfig(), stopping.signal);

async function main(config: Config, signal: AbortSignal): Promise<void> {
  await using database = openDatabase({ url: config.databaseUrl, applicationName: "api", connections });
  const client = createPublicClient({ transport: http(config.rpcUrl), cacheTime: 0 });
  const app = createApp({ db: database.db, client });
  const server = serve({ fetch: app.fetch, port: config.port, hostname: "127.0.0.1" }, ({ port }) =>
    console.log(`ready http://127.0.0.1:${port}/graphql`),
  );
  if (!signal.aborted) await once(signal, "abort");
  server.close();
  if ("closeAllConnections" in server) server.closeAllConnections();
}
