/**
 * Loaded with `--import` into every thread of a pool: once the file `go` stands in DEATHS_FOLDER, threads end at any moment, as
 * if they had run out of memory, until three have. The folder counts them.
 */
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isMainThread, threadId } from "node:worker_threads";

const folder = process.env.DEATHS_FOLDER!;
/** Entries of the folder: the file `go` and the dead. */
const entriesMax = 4;
/** Between two chances to die. */
const lookMs = 50;
const chance = 0.3;

if (!isMainThread) {
  setInterval(() => {
    if (!existsSync(join(folder, "go")) || readdirSync(folder).length >= entriesMax) return;
    if (Math.random() > chance) return;
    writeFileSync(join(folder, `thread-${process.pid}-${threadId}`), "");
    process.exit(1);
  }, lookMs).unref();
}
