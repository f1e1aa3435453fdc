/**
 * Asks a pool for values until it has all, as jobs do: `ask-pool.ts <model folder> <questions>`. Prints them, and how many tries
 * failed. With DEATHS_FOLDER threads may die once they are open (dying-thread.ts).
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { openPool } from "../pool.ts";

const [folder = "", questions = "0"] = process.argv.slice(2);
await using pool = await openPool({ folder, workers: 2, adaptableModules: [] });
if (process.env.DEATHS_FOLDER !== undefined) writeFileSync(join(process.env.DEATHS_FOLDER, "go"), "");
let failures = 0;

async function ask(answer: number): Promise<number[]> {
  const task = { question: "q", contexts: [[], ["a passage"]], answerTokenIds: [answer, 1, 2] };
  for (;;) {
    try {
      const values = await pool.values(task);
      if (!values.ok) process.exit(2);
      return values.nats;
    } catch {
      // Its thread died: pg-boss would give the job out again.
      failures++;
    }
  }
}

const nats: number[][] = [];
const all = Array.from({ length: Number(questions) }, (_, index) => index);
for (let from = 0; from < all.length; from += 8)
  nats.push(...(await Promise.all(all.slice(from, from + 8).map((index) => ask(3 + (index % 40))))));
console.log(JSON.stringify({ nats, failures, threads: pool.threads }));
