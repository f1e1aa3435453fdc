/** `node measure-memory.ts <folder> <weightMode> <threads>` prints how much this process grew to answer once, in MiB. */
import { readFileSync, realpathSync } from "node:fs";
import { openModel } from "#runtime/index";
import { weightModes } from "./session-options.ts";

const [folder = "", mode, threads] = process.argv.slice(2);
const path = realpathSync(folder);
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

/** Proportional set size, of the model's files alone where it is of files: pages that several sessions map count once. */
function resident() {
  const text = readFileSync("/proc/self/smaps", "utf8");
  let [anonymous, file, isModels] = [0, 0, false];
  for (const line of text.split("\n")) {
    const mapping = /^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+\s*(.*)$/.exec(line);
    if (mapping) isModels = mapping[1]!.startsWith(path);
    const [, name, kilobytes] = /^(Pss|Anonymous):\s+(\d+) kB/.exec(line) ?? [];
    if (name === "Anonymous") anonymous += Number(kilobytes) / 1024;
    if (name === "Pss" && isModels) file += Number(kilobytes) / 1024;
  }
  return { anonymous, file };
}
