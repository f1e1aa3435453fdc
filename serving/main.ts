/**
 * The serving node as a process. Standard output: one JSON line when it listens, `{"ready":true,"url"}`. Standard
 * error: the log. SIGTERM and SIGINT end it after the answers under way. Exit code 1 with a reason if it cannot run.
 */

import { createLog } from "#schema/log";
import { readConfig } from "./config.ts";
import { runNode } from "./node.ts";

const log = createLog();
const stop = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, () => {
    log.info(`stopping on ${signal}`);
    stop.abort();
  });
}

try {
  await runNode(readConfig(), log, stop.signal, (url) => console.log(JSON.stringify({ ready: true, url })));
} catch (error) {
  log.error("the node cannot run", error);
  process.exitCode = 1;
}
