import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { readConfig, root } from "../config.ts";
import { checkPorts } from "../up/bring-up.ts";
import { fileLog, type Log, terminalLog } from "../up/log.ts";
import { removePostgres } from "../up/postgres.ts";
import { endLeftovers } from "../up/processes.ts";
import { hashModel, type Pace } from "../up/stack.ts";
import { pace, stayUp, stopOnSignal } from "../up/up.ts";
import { readFolderDocuments, readPackageDocuments, type Submission } from "./documents.ts";
import { runJob } from "./job.ts";
import { type Plan, planOptions, readPlan } from "./plan.ts";
import { createProgress } from "./progress.ts";

/** What a demo cannot be resumed under when it changes. */
type Ground = Plan & { artifactHash: string };

/** Pace of a demo left running: what is asked then is settled after seconds and paid out after a minute or two. */
const keptPace: Pace = { ...pace, blockSeconds: 0.25, batchAgeMsMax: 10_000, epochAgeMsMax: 60_000 };

const help = `npm run demo [-- options]
  The whole job, once: contribute, vote, ask, attribute, settle, claim, verify. An unfinished demo is resumed.
  --json              end with one JSON line
  --keep              leave everything running afterwards, as npm start does; Ctrl-C stops it
  --fresh             forget an unfinished demo
  --seed <n>          which questions are asked (default 7)
  --questions <n>     how many, filling at least two epochs (default 32)
  --batch <n>         receipts of one batch (default 4)
  --epoch <n>         batches of one epoch, at least 2 (default 4)
  --contributions <n> the largest so many contributions, and the 3 thinnest of the rest (default 60)
  --documents <n>     documents of one contribution, at most (default 8)
  --chunks <n>        chunks of one document, at most (default 6)
  --datanet <folder>  Markdown with \`author:\` front matter instead of the installed packages' documentation
  --no-adapter        train no adapter, and ask every question of the base: two such demos come to the same roots, while
                      a block's hash draws an adapter's rows
  --rebuild           rebuild everything from chain and blobs at the end and compare
  --verbose           show the log of every process (otherwise in .tributary/demo/demo.log)`;

const options = {
  json: { type: "boolean", default: false },
  fresh: { type: "boolean", default: false },
  keep: { type: "boolean", default: false },
  rebuild: { type: "boolean", default: false },
  verbose: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
  ...planOptions,
} as const;

/** Runs or resumes the demo. @returns 0 if everything was conserved and verified, 1 if not. */
export async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options });
  const plan = readPlan(values);
  if (values.help || !plan) {
    console.log(help);
    return values.help ? 0 : 2;
  }
  const config = readConfig();
  if (values.keep) await checkPorts(config, config.ports);
  const folder = join(config.folder, "demo");
  const artifactHash = await hashModel(config.modelFolder);
  await prepareFolder(folder, { ...plan, artifactHash }, values.fresh);
  const log: Log = values.verbose ? terminalLog() : fileLog(join(folder, "demo.log"));
  const stopping = stopOnSignal();
  const progress = createProgress((line) => console.log(line));
  const { onSupervisor } = stopping;
  const submissions = readSubmissions(plan);
  const job = runJob({
    config,
    folder,
    plan,
    isRebuilt: values.rebuild,
    submissions,
    log,
    progress,
    onSupervisor,
    stopped: stopping.signalled,
    command: runCommand,
  });
  const ended = await Promise.race([job, stopping.signalled]);
  if (ended === undefined) {
    await job.catch(() => undefined); // Cut short by Ctrl-C: it fails at whatever hop it was; what it started is stopped.
    console.log("stopped; the next `npm run demo` goes on from here");
    return 130;
  }
  writeFileSync(join(folder, "finished"), ended.record);
  console.log(ended.report);
  if (values.json) console.log(ended.json);
  if (values.keep) {
    const { ports } = config;
    const datanetNames = [...new Set(submissions.map(({ datanet }) => datanet))].sort();
    console.log("\nstarting everything again at the ports of npm start, to stay up");
    const { examples } = ended;
    await stayUp({ config, folder, ports, pace: keptPace, datanetNames, log, stopping, examples });
  }
  return ended.isGood ? 0 : 1;
}

function readSubmissions({ datanetFolder, limits }: Plan): Submission[] {
  return datanetFolder === null
    ? readPackageDocuments(join(root, "node_modules"), limits)
    : readFolderDocuments(datanetFolder, limits);
}

/** Keeps the folder of an unfinished demo with the same plan and model; otherwise empties it. */
async function prepareFolder(folder: string, ground: Ground, isFresh: boolean): Promise<void> {
  const planPath = join(folder, "plan.json");
  const text = JSON.stringify(ground);
  const isSame = existsSync(planPath) && readFileSync(planPath, "utf8") === text;
  if (existsSync(folder) && (isFresh || !isSame || existsSync(join(folder, "finished")))) {
    await endLeftovers(join(folder, "processes.json"));
    removePostgres(folder);
    rmSync(folder, { recursive: true });
  }
  mkdirSync(folder, { recursive: true });
  writeFileSync(planPath, text);
}

/** Runs another command of the terminal in its own process, with the demo's addresses. @returns its exit code and output. */
async function runCommand(
  args: readonly string[],
  env: Record<string, string>,
): Promise<{ code: number; output: string }> {
  const child = spawn(process.execPath, [join(root, "cli/main.ts"), ...args], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code: code ?? 1, output }));
  });
}
