/**
 * The engine as a process. Standard output: one JSON line when ready, `{"ready":true,"url"}` of /health and /metrics.
 * Standard error: the log. SIGTERM and SIGINT end it after the jobs in hand. Exit code 1 with a reason if it cannot run.
 */

import { createLog } from "#schema/log";
import { readConfig } from "./config.ts";
import { runEngine } from "./engine.ts";

const log = createLog();
const stop = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, () => {
    log.info(`stopping on ${signal}`);
    stop.abort();
  });
}

try {
  await runEngine(readConfig(), log, stop.signal, (url) => console.log(JSON.stringify({ ready: true, url })));
} catch (error) {
  log.error("the engine cannot run", error);
  process.exitCode = 1;
}
