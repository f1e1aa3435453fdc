/**
 * Runs Ponder in this process: one pid to watch, kill and restart. Stop it with SIGINT; after anything harder the next
 * start clears the lock. Exit codes are Ponder's: 0 stopped, 1 do not restart (code or schema changed), 75 restart
 * (database, chain or another indexer in the way).
 */
import { chdir } from "node:process";
import { fileURLToPath } from "node:url";
import { PipelineError } from "#schema/errors";
import { config } from "./config.ts";
import { lockIndexer } from "./lock.ts";
import { clearStaleCache } from "./rpc-cache.ts";

const exitRetryable = 75;
const exitMeanings: Record<number, string> = {
  1: `refused to go on in ${config.databaseSchema}: see the line above; another schema name indexes anew`,
  [exitRetryable]: "lost the database or the chain; start it again",
};

process.on("exit", (code) => {
  const meaning = exitMeanings[code];
  if (meaning !== undefined) console.error(`indexer: ${meaning}`);
});

try {
  await lockIndexer(config.databaseUrl, config.databaseSchema, () => {
    console.error("indexer: lost its lock with the database connection");
    process.exit(exitRetryable);
  });
  await clearStaleCache(config.databaseUrl, config.rpcUrl, config.deployment.chainId);
} catch (error) {
  const isRetryable = !(error instanceof PipelineError) || error.retryable;
  console.error(`indexer: ${error instanceof Error ? error.message : error}`);
  process.exit(isRetryable ? exitRetryable : 1);
}

// Ponder's driver calls its own deprecated ways at every start.
Object.assign(process, { noDeprecation: true });
// Ponder reads .env files and its command line from these.
chdir(fileURLToPath(new URL("..", import.meta.url)));
process.argv.splice(
  1,
  process.argv.length,
  "ponder",
  "start",
  ...["--root", "indexer"],
  ...["--schema", config.databaseSchema],
  ...["--views-schema", "onchain"],
  ...["--hostname", "127.0.0.1"],
  ...["--port", String(config.port)],
  ...["--log-level", config.logLevel],
);
// Ponder exports no way to start it; its command is a file beside its index.
await import(new URL("./bin/ponder.js", import.meta.resolve("ponder")).href);
