/** `node measure-memory.ts <folder> <weightMode> <threads>` prints how much this process grew to answer once, in MiB. */
import { readFileSync } from "node:fs";
import { openModel } from "#runtime/index";
import { weightModes } from "./session-options.ts";

const [folder = "", mode, threads] = process.argv.slice(2);
const before = resident();
const model = await openModel(folder, {
  weightMode: weightModes.find((known) => known === mode) ?? "packed",
  threads: Number(threads),
});
const request = { promptTokenIds: [1, 2, 3], answerTokenIds: [4] };
await model.logProb(new Array(16).fill(request));
const after = resident();
console.log(
  JSON.stringify({ anonymous: after.anonymous - before.anonymous, file: after.file - before.file }),
);
await model.close();

/** Proportional set size: pages that several sessions map count once. */
function resident() {
  const rollup = readFileSync("/proc/self/smaps_rollup", "utf8");
  const read = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(rollup)?.[1]) / 1024;
  return { anonymous: read("Pss_Anon"), file: read("Pss_File") };
}
