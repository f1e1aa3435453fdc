/** A process that builds a store of made-up gradients and tells each shard it has: `<folder> <records>`. For killing. */
import { setTimeout } from "node:timers/promises";
import { buildStore } from "../gradient-store/build.ts";
import { madeUpJob } from "./made-up-store.ts";

const [folder = "", records = "0"] = process.argv.slice(2);
const job = madeUpJob(folder, Number(records));
await buildStore({
  ...job,
  gradientsOf: async (wanted) => {
    // Time to be killed in, also by a busy machine.
    await setTimeout(50);
    return job.gradientsOf(wanted);
  },
  onProgress: ({ recordsDone }) => process.stdout.write(`${recordsDone}\n`),
});
