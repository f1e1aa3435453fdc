import { rm } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { eq } from "drizzle-orm";
import pc from "picocolors";
import type { Hex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import type { Choice } from "#factory/settings";
import type { Progress } from "#factory/training";
import { onchain } from "#schema/bind";
import { type Database, openDatabase } from "#schema/database";
import { PipelineError } from "#schema/errors";
import { countFrom, hashFrom, numberFrom, UsageError } from "./arguments.ts";
import { openChain } from "./chain/transactions.ts";
import type { Config } from "./config.ts";
import { readRunningConfig } from "./running.ts";
import { type Job, type TrainedModel, trainAdapter } from "./train/adapter.ts";
import { findDatanets } from "./train/datanets.ts";
import { awaitReady } from "./train/ready.ts";
import { giveGas } from "./up/bootstrap.ts";
import { isDevelopment } from "./up/chain.ts";
import { developmentKey } from "./up/keys.ts";
import { resolveStack, type Stack } from "./up/stack.ts";
import { pace, stopOnSignal } from "./up/up.ts";

const help = `npm run tributary -- train <datanet> [<datanet> …] [options]
  Trains an adapter (LoRA) of the base model on the accepted records of Datanets, compares it with the base on records it
  never saw, publishes what it was trained on, registers it under its base, and waits until its answers can be asked and
  attributed. A Datanet is its number, or the end of its metadata URI. Stopped or killed, the same command goes on.
  --name <name>       the model's name (default: the first Datanet's)
  --steps <n>         updates (default: one for each record, 20 to 2000)
  --peak <rate>       largest learning rate (default 0.01)
  --rank <n>          rank of the adapter (default 8)
  --modules <names>   matrices it changes, comma-separated (default q_proj,v_proj)
  --records <n>       most records learned (default 10000)
  --gate <n>          records held out to judge the others by (default: one in eight, at most 256)
  --waypoints <n>     states on the way kept for engines that measure by tracin or less, 4 are usual (default none)
  --seed <n>          of the start and the order of records (default 1)
  --price <wei>       price of one call (default: the base's)
  --owner-bps <n>     part of the model's share its owner keeps, in basis points; the rest is the base's (default 5000)
  --base <id>         base model (default: the one that is served)
  --fresh             forget an unfinished training of this name
  --no-wait           end once it is published
  Registered by TRAINER_KEY, on a development chain by the development account "trainer".`;

const text = { type: "string" } as const;
const options = {
  name: text,
  steps: text,
  peak: text,
  rank: text,
  modules: text,
  records: text,
  gate: text,
  waypoints: text,
  seed: text,
  price: text,
  base: text,
  "owner-bps": { type: "string", default: "5000" },
  fresh: { type: "boolean", default: false },
  "no-wait": { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

type Values = ReturnType<typeof parse>["values"];

/** Label of the development account that owns what is trained here. */
export const trainerLabel = "trainer";

/** @returns 0 once it can be asked, 130 where Ctrl-C ended it. @throws UsageError; PipelineError with the remedy. */
export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parse(args);
  if (values.help) {
    console.log(help);
    return 0;
  }
  if (positionals.length === 0) throw new UsageError("Name a Datanet, as in: train libraries");
  const config = readRunningConfig();
  const stack = await resolveStack(config, config.folder, config.ports, {
    ...pace,
    blockSeconds: config.blockSeconds,
  });
  await using database = openDatabase({ url: stack.databaseUrl, applicationName: "train" });
  const stopping = new AbortController();
  const { signalled } = stopOnSignal();
  void signalled.then(() => stopping.abort());
  const job = await jobOf({ config, stack, database, positionals, values }, stopping.signal);
  if (values.fresh) await rm(job.folder, { recursive: true, force: true });
  try {
    const trained = await trainAdapter(job);
    for (const line of trainedLines(trained)) console.log(line);
    if (!values["no-wait"])
      await awaitReady(database.db, trained.modelId, (text) => console.log(pc.dim(text)));
    for (const line of askLines(trained)) console.log(line);
    return 0;
  } catch (error) {
    if (!stopping.signal.aborted) throw error;
    console.log("stopped; the same command goes on from here");
    return 130;
  }
}

function parse(args: string[]) {
  return parseArgs({ args, options, allowPositionals: true });
}

type Called = {
  config: Config;
  stack: Stack;
  database: Database;
  positionals: readonly string[];
  values: Values;
};

async function jobOf(
  { config, stack, database, positionals, values }: Called,
  signal: AbortSignal,
): Promise<Job> {
  const { db } = database;
  const chain = openChain(stack.rpcUrl, stack.addressesFile);
  const datanets = await findDatanets(db, positionals);
  const baseModelId =
    values.base === undefined ? stack.modelId : hashFrom(values.base, "the base model's id");
  const choice = choiceOf(values, datanets[0]!.name);
  return {
    ...{ chain, db, signal, owner: await trainer(config, stack) },
    ...{ disperserUrl: stack.disperserUrl, srsFolder: stack.srsFolder },
    eigendaKey: config.eigendaKey ?? developmentKey("eigenda"),
    folder: join(config.folder, "factory", choice.name),
    adaptersFolder: join(config.folder, "adapters"),
    baseFolder: config.modelFolder,
    request: {
      ...{ baseModelId, baseArtifactHash: stack.artifactHash, choice },
      datanetIds: datanets.map(({ id }) => id),
    },
    ownerBps: bpsFrom(values["owner-bps"]),
    pricePerCallWei:
      values.price === undefined
        ? await priceOf(database, baseModelId)
        : BigInt(countFrom(values.price, "price")),
    onPlan: ({ trainRows, gateRows, snapshotBlock }) =>
      console.log(
        `${trainRows.length} records to learn, ${gateRows.length} held out, as of block ${snapshotBlock}`,
      ),
    onProgress: progressPrinter(),
  };
}

/** Settings out of range are refused with their name and bounds when they are encoded. */
function choiceOf(values: Values, datanetName: string): Choice {
  const count = (option: "steps" | "rank" | "records" | "gate" | "waypoints") =>
    values[option] === undefined ? undefined : countFrom(values[option], option);
  return {
    name: values.name ?? datanetName,
    ...{
      steps: count("steps"),
      rank: count("rank"),
      recordsMax: count("records"),
      gateRecords: count("gate"),
      waypoints: count("waypoints"),
    },
    peak: values.peak === undefined ? undefined : numberFrom(values.peak, "peak"),
    seed: values.seed === undefined ? undefined : countFrom(values.seed, "seed"),
    targetModules: values.modules?.split(",").map((name) => name.trim()),
  };
}

async function trainer(config: Config, stack: Stack) {
  if (config.trainerKey !== undefined) return privateKeyToAccount(config.trainerKey);
  if (!(await isDevelopment(stack.rpcUrl))) throw new TrainerMissingError();
  await giveGas(stack.rpcUrl, [trainerLabel]);
  return privateKeyToAccount(developmentKey(trainerLabel));
}

async function priceOf({ db }: Database, modelId: Hex): Promise<bigint> {
  const { model } = onchain;
  const [row] = await db.select({ wei: model.pricePerCall }).from(model).where(eq(model.id, modelId));
  return row?.wei ?? 0n;
}

function bpsFrom(text: string): number {
  const bps = numberFrom(text, "owner-bps");
  if (Number.isInteger(bps) && bps >= 0 && bps <= 10_000) return bps;
  throw new UsageError(`--owner-bps is 0 to 10000. Given: ${text}`);
}

/** One line that is rewritten in a terminal; elsewhere a line for each tenth of the way. */
function progressPrinter(): (progress: Progress) => void {
  let printed = -1;
  return ({ step, stepsMax, loss, gateLoss, secondsLeft }) => {
    const held = gateLoss === null ? "" : `, held out ${gateLoss.toFixed(3)}`;
    const line = `step ${step} of ${stepsMax}  loss ${loss.toFixed(3)}${held} nats per token  ${Math.ceil(secondsLeft)} s left`;
    if (process.stdout.isTTY) process.stdout.write(`\r\x1b[2K${line}${step === stepsMax ? "\n" : ""}`);
    else if (Math.floor((10 * step) / stepsMax) > printed) console.log(line);
    printed = Math.floor((10 * step) / stepsMax);
  };
}

function trainedLines({ evaluation, adapterFolder, modelId, name, steps }: TrainedModel): string[] {
  const { examples, baseLoss, adapterLoss } = evaluation;
  return [
    `${steps} steps; on ${examples} questions about records held out: base ${baseLoss.toFixed(3)}, adapter ${adapterLoss.toFixed(3)} nats per token`,
    `adapter  ${adapterFolder} (a PEFT folder)`,
    `model    ${name} ${modelId}`,
  ];
}

function askLines({ name }: TrainedModel): string[] {
  return ["Ask it:", `  npm run tributary -- ask --model ${name} "What does <source> say about <phrase>?"`];
}

export class TrainerMissingError extends PipelineError {
  override readonly name = "TrainerMissingError";
  constructor() {
    super(
      "This is no development chain: set TRAINER_KEY to the key of the account that shall own the model.",
      {
        code: "trainer_missing",
        retryable: false,
      },
    );
  }
}
