import type { Sql } from "postgres";
import type { Progress as TrainingProgress } from "#factory/training";
import { attributionLedgerAbi } from "#schema/abi/attribution-ledger";
import { rewardDistributorAbi } from "#schema/abi/reward-distributor";
import { type Database, openDatabase } from "#schema/database";
import { invariant, PipelineError } from "#schema/errors";
import { stateHash } from "#schema/state-hash";
import { claimAll } from "../bot.ts";
import { Sent } from "../chain/sent.ts";
import { type Chain, openChain } from "../chain/transactions.ts";
import type { Config } from "../config.ts";
import { awaitReady } from "../train/ready.ts";
import { bringUp, type Running } from "../up/bring-up.ts";
import type { Log } from "../up/log.ts";
import { freePortsFor } from "../up/ports.ts";
import { accountOf, modelName, type Pace, type Stack } from "../up/stack.ts";
import type { Supervisor } from "../up/supervisor.ts";
import { chooseLesson, isServed, type Lesson, trainDemoAdapter } from "./adapter.ts";
import { ask, countAnswers, openPayerChannels } from "./ask.ts";
import {
  contribute,
  isAcceptable,
  type OnChain,
  prepare,
  readState,
  retract,
  voteAndResolve,
} from "./contribute.ts";
import type { Submission } from "./documents.ts";
import { commandOf, readExamples, rowLines, traceOf } from "./examples.ts";
import type { Plan } from "./plan.ts";
import { type Progress, waitUntil } from "./progress.ts";
import { deriveQuestions, type Question } from "./questions.ts";
import { readContributors, readOutcome, readRowPayout, renderReport } from "./report.ts";

type Options = {
  config: Config;
  folder: string;
  plan: Plan;
  /** Whether everything is rebuilt from chain and blobs at the end. */
  isRebuilt: boolean;
  submissions: Submission[];
  log: Log;
  progress: Progress;
  onSupervisor: (supervisor: Supervisor) => void;
  /** Resolves when the demo is to stop where it is. */
  stopped: Promise<void>;
  command: (
    args: readonly string[],
    env: Record<string, string>,
  ) => Promise<{ code: number; output: string }>;
};

/**
 * `json` is the line for machines; `record` is kept beside the data: hops in ms, roots, the state's hash. `examples` are
 * commands to try where it stays up.
 */
export type Ended = { isGood: boolean; report: string; json: string; record: string; examples: string[] };

/** Unix second from which the demo's answers are stamped, one more for each: receipts are the same in every run. */
const clockBaseSeconds = 1_767_225_600;

const pace: Omit<Pace, "batchReceipts" | "epochBatches"> = {
  blockSeconds: 0.25,
  saveMs: 2_000,
  stepMs: 50,
  durability: "process",
  challengeWindowSeconds: 3,
  batchAgeMsMax: 0,
  epochAgeMsMax: 2 ** 31,
  clock: `fixed:${clockBaseSeconds}`,
};

/** DatanetRegistry's state of a contribution that counts. */
const acceptedState = 2;

/** Longest waits for what other processes do, in ms. Generous: a killed process and a busy machine fit in. */
const chunksMsMax = 300_000;
const epochMsMax = 600_000;

type Job = Options & {
  stack: Stack;
  chain: Chain;
  db: Database["db"];
  sql: Sql;
  sent: Sent;
  submitted: OnChain[];
  questions: Question[];
  /** Null without an adapter. */
  lesson: Lesson | null;
  epochQuestions: number;
};

/**
 * The main job. Every hop first looks at what the chain and the database say is done, so that a second run after a
 * kill goes on where the first ended. @throws HopFailedError naming the hop.
 */
export async function runJob(options: Options): Promise<Ended> {
  const { progress, submissions } = options;
  const datanetNames = [...new Set(submissions.map(({ datanet }) => datanet))].sort();
  await using running = await progress.hop("start", (say) => start(options, datanetNames, say));
  const { stack } = running;
  await using database = openDatabase({ url: stack.databaseUrl, applicationName: "demo" });
  const chain = openChain(stack.rpcUrl, stack.addressesFile);
  const { seed, questionCount, batchReceipts, epochBatches } = options.plan;
  const job: Job = {
    ...options,
    stack,
    chain,
    db: database.db,
    sql: database.sql,
    sent: new Sent(chain),
    submitted: [],
    questions: [],
    lesson: null,
    epochQuestions: batchReceipts * epochBatches,
  };
  const work = async (): Promise<Ended> => {
    await progress.hop("contribute", (say) => contributeAll(job, datanetNames, say));
    job.questions = deriveQuestions(passagesOf(job.submitted), questionCount, seed);
    await progress.hop("vote", (say) => vote(job, say));
    if (options.plan.hasAdapter) job.lesson = chooseLesson(job.submitted, datanetNames, job.questions);
    await progress.hop("pay in", (say) => payIn(job, say));
    await progress.hop("index", (say) => awaitChunks(job, say));
    if (job.lesson !== null) await progress.hop("train", (say) => train(job, job.lesson!, say));
    for (let epoch = 1; epoch * job.epochQuestions <= questionCount; epoch++) {
      await progress.hop(`ask, round ${epoch}`, (say) => askRound(job, epoch, say));
      await progress.hop(`settle ${epoch}`, (say) => awaitEpoch(job, epoch, say));
    }
    await progress.hop("claim", (say) => claim(job, say));
    await progress.hop("verify", (say) => verify(job, say));
    if (options.isRebuilt) await progress.hop("rebuild", (say) => rebuildAndCompare(job, say));
    return conclude(job);
  };
  const stopped = options.stopped.then(() => {
    throw new StoppedError();
  });
  return await Promise.race([work(), running.supervisor.failed, stopped]);
}

async function start(
  options: Options,
  datanetNames: string[],
  say: (text: string) => void,
): Promise<Running> {
  const { config, folder, log, onSupervisor, plan } = options;
  const { batchReceipts, epochBatches } = plan;
  const ports = await freePortsFor(config.ports);
  const running = await bringUp({
    config,
    folder,
    ports,
    pace: { ...pace, batchReceipts, epochBatches },
    datanetNames,
    log,
    onSupervisor,
  });
  say("database, chain, contracts, disperser, indexer, engine, serving, settlement, API");
  return running;
}

async function contributeAll(job: Job, datanetNames: string[], say: (text: string) => void): Promise<void> {
  const { chain, stack, sent, submissions } = job;
  const prepared = prepare(submissions, datanetNames);
  await sent.add(async () => {
    job.submitted = await contribute(chain, stack, prepared);
  });
  const documents = submissions.flatMap((submission) => submission.documents).length;
  const contributors = new Set(submissions.map(({ contributor }) => contributor)).size;
  say(
    `${documents} documents of ${contributors} contributors in ${job.submitted.length} contributions to ${datanetNames.length} Datanets`,
  );
}

async function vote(job: Job, say: (text: string) => void): Promise<void> {
  const { chain, sent } = job;
  await sent.add(() => voteAndResolve(chain, job.submitted));
  const { submitted } = job;
  const states = await Promise.all(submitted.map(({ batchId }) => readState(chain, batchId)));
  const count = (...wanted: number[]) => states.filter((state) => wanted.includes(state)).length;
  say(`${count(2, 5)} accepted, ${count(3)} rejected`);
}

async function payIn({ chain, stack, sent, questions }: Job, say: (text: string) => void): Promise<void> {
  await sent.add(() => openPayerChannels(chain, stack, questions.length));
  say("one channel per payer");
}

/** Waits until all that was sent is final and the node can retrieve exactly the chunks that stand accepted on chain. */
async function awaitChunks(job: Job, say: (text: string) => void): Promise<void> {
  const { chain, stack, sent, db } = job;
  await sent.untilFinal(db);
  const { submitted } = job;
  await waitUntil("the accepted chunks to be retrievable", chunksMsMax, async () => {
    const states = await Promise.all(submitted.map(({ batchId }) => readState(chain, batchId)));
    const accepted = submitted.filter((_, index) => states[index] === acceptedState);
    const expected = accepted.reduce((sum, one) => sum + one.chunks.length, 0);
    const response = await fetch(`http://127.0.0.1:${stack.ports.serving}/health`);
    const { chunks } = (await response.json()) as { chunks?: number };
    say(`${expected} chunks final, fetched from DA and retrievable`);
    return { isDone: chunks === expected, seen: `${chunks} of ${expected} chunks` };
  });
}

/** Trains an adapter on a Datanet and waits until the engine can attribute its answers and the node gives them. */
async function train(job: Job, lesson: Lesson, say: (text: string) => void): Promise<void> {
  const { chain, stack, db, sent, progress } = job;
  let trained: Awaited<ReturnType<typeof trainDemoAdapter>> | undefined;
  await sent.add(async () => {
    trained = await trainDemoAdapter({ chain, stack, db, lesson, onProgress: noteQuarters(progress) });
  });
  await sent.untilFinal(db);
  const { modelId, evaluation, steps } = trained!;
  await awaitReady(db, modelId, progress.note);
  await waitUntil("the adapter to be served", chunksMsMax, async () => {
    const isDone = await isServed(stack, modelId);
    return { isDone, seen: isDone ? "served" : "not listed" };
  });
  const { baseLoss, adapterLoss } = evaluation;
  say(
    `adapter on Datanet ${lesson.name}, ${steps} steps; on records held out ${baseLoss.toFixed(2)} nats per token before, ${adapterLoss.toFixed(2)} after`,
  );
}

/** A line for each quarter of a training. */
function noteQuarters({ note }: Progress): (at: TrainingProgress) => void {
  let noted = 0;
  return ({ step, stepsMax, loss, secondsLeft }) => {
    const quarter = Math.floor((4 * step) / stepsMax);
    if (quarter > noted)
      note(
        `step ${step} of ${stepsMax}, ${loss.toFixed(2)} nats per token, ${Math.ceil(secondsLeft)} s left`,
      );
    noted = Math.max(noted, quarter);
  };
}

/**
 * Asks one epoch's questions. In the second, before the last batch, the contribution first cited in it is retracted:
 * its part of the answers it moved in that epoch is withheld and carried.
 */
async function askRound(job: Job, epoch: number, say: (text: string) => void): Promise<void> {
  const { chain, stack, sql, epochQuestions, lesson } = job;
  const asked = job.questions.map((question, index) => ({
    ...question,
    model: lesson?.asked.has(index) ? lesson.name : modelName,
  }));
  const [from, to] = [(epoch - 1) * epochQuestions, epoch * epochQuestions];
  const lastBatch = to - job.plan.batchReceipts;
  const ended = await countAnswers(sql);
  if (epoch === 2 && ended <= lastBatch) {
    await ask(chain, stack, asked, { from: Math.max(from, ended), to: lastBatch });
    await retractCited(job, from);
    await awaitChunks(job, () => undefined);
  }
  await ask(chain, stack, asked, { from: Math.max(from, await countAnswers(sql)), to });
  const adapted = asked.slice(from, to).filter(({ model }) => model !== modelName).length;
  const by = adapted === 0 ? "" : `, ${adapted} by the adapter`;
  say(`${to - from} questions answered, paid and signed for${by}`);
}

/**
 * Retracts a contribution that moved an answer from `from` on: the first cited alone by an answer that ended by itself.
 * Where no answer is as clean, the first that was accepted.
 */
async function retractCited({ chain, sql, sent, submitted }: Job, from: number): Promise<void> {
  const rows = await sql`
    select response->'citations'->0->>'contribution_id' as id from (
      select sequence, response from serving.answer order by sequence offset ${from}) as answered
    where response->'choices'->0->>'finish_reason' = 'stop' and jsonb_array_length(response->'citations') = 1
    order by sequence limit 1`;
  const one =
    submitted.find(({ batchId }) => batchId.toString() === rows[0]?.id) ?? submitted.find(isAcceptable);
  invariant(one, "something was accepted");
  await sent.add(() => retract(chain, one));
}

/** Waits until the epoch's root is active on chain and the API's rows say so too. */
async function awaitEpoch({ chain, sql }: Job, epoch: number, say: (text: string) => void): Promise<void> {
  await waitUntil(`epoch ${epoch} to be final`, epochMsMax, async () => {
    const count = await chain.client.readContract({
      address: chain.deployment.contracts.attributionLedger,
      abi: attributionLedgerAbi,
      functionName: "epochCount",
    });
    const [row] = await sql`select count(*)::int as count from onchain.epoch where status = 4`;
    const [scored] = await sql`select count(*)::int as count from engine.score`;
    return {
      isDone: Number(count) >= epoch && (row!.count as number) >= epoch,
      seen: `${count} epochs final, ${scored!.count} receipts scored`,
    };
  });
  const [run] =
    await sql`select root_total_wei::text as total from settlement.epoch_run where epoch_id = ${epoch}`;
  say(
    `receipts scored, root ${run ? `of ${run.total as string} wei ` : ""}proposed, challenge window over, active`,
  );
}

async function claim(job: Job, say: (text: string) => void): Promise<void> {
  const { chain, db, sent } = job;
  await sent.add(() => claimEverything(job));
  await sent.untilFinal(db);
  const claims = await readClaims(chain);
  const transactions = new Set(claims.map(({ transactionHash }) => transactionHash));
  say(`${claims.length} payments in ${transactions.size} transactions`);
}

async function claimEverything({ chain, stack }: Job): Promise<void> {
  const distributor = {
    address: chain.deployment.contracts.rewardDistributor,
    abi: rewardDistributorAbi,
  } as const;
  const apiUrl = `http://127.0.0.1:${stack.ports.api}/graphql`;
  await waitUntil("everything to be claimed", chunksMsMax, async () => {
    await claimAll(chain, apiUrl, accountOf("bot"));
    const [paid, owed] = await Promise.all([
      chain.client.readContract({ ...distributor, functionName: "totalClaimed" }),
      chain.client.readContract({ ...distributor, functionName: "rootTotal" }),
    ]);
    return { isDone: paid === owed, seen: `${paid} of ${owed} wei claimed` };
  });
}

function readClaims(chain: Chain) {
  return chain.client.getContractEvents({
    address: chain.deployment.contracts.rewardDistributor,
    abi: rewardDistributorAbi,
    eventName: "Claimed",
    fromBlock: 0n,
  });
}

/** Every claim transaction, recomputed by the command an outsider would use; one of them told hop by hop. */
async function verify(job: Job, say: (text: string) => void): Promise<void> {
  const { chain, sql } = job;
  const claims = await readClaims(chain);
  const transactions = [...new Set(claims.map(({ transactionHash }) => transactionHash))];
  const [receipt] = await sql`select digest from engine.receipt order by batch_id, index limit 1`;
  const runs: string[][] = [
    ["trace", receipt!.digest as string],
    ["trace", transactions[0]!],
    ["verify", ...transactions],
  ];
  for (const args of runs) await runCommand(job, args);
  const row = await readRowPayout(sql);
  if (row !== null) {
    const told = await runCommand(job, traceOf(row));
    invariant(told.includes(row.chunkId), "the trace of a payout leads to the training row it pays");
  }
  say(`${claims.length} payouts in ${transactions.length} transactions recomputed from chain and DA`);
}

/** Everything again from the chain and the blobs, in an empty database: the state hashes must be equal. */
async function rebuildAndCompare(job: Job, say: (text: string) => void): Promise<void> {
  await runCommand(job, ["rebuild", "--verbose"]);
  say("every row rebuilt from chain and blobs; state hashes equal");
}

/** An outsider's command with the demo's addresses. @returns what it printed. @throws CommandFailedError if it does not end with 0. */
async function runCommand({ stack, command, config, log }: Job, args: readonly string[]): Promise<string> {
  const { code, output } = await command(args, {
    ...config.inherited,
    TRIBUTARY_FOLDER: stack.folder,
    DATABASE_URL: stack.databaseUrl,
    RPC_URL: stack.rpcUrl,
    ADDRESSES_FILE: stack.addressesFile,
    DISPERSER_URL: stack.disperserUrl,
    SRS_FOLDER: stack.srsFolder,
    MODEL_FOLDER: config.modelFolder,
    API_PORT: String(stack.ports.api),
  });
  for (const line of output.split("\n")) if (line !== "") log(args[0]!, line);
  if (code !== 0) throw new CommandFailedError(args, code, output);
  return output;
}

async function conclude({ chain, sql, submitted, questions, progress, lesson }: Job): Promise<Ended> {
  const outcome = await readOutcome(chain, sql);
  const verdict = "valid"; // The hops before this one throw otherwise.
  const row = await readRowPayout(sql);
  const report = [
    renderReport(outcome, await readContributors(sql, submitted), verdict),
    ...(lesson === null ? [] : rowLines(row, lesson.name)),
  ].join("\n");
  const roots = await sql`
    select epoch_id::text as epoch, reward_root as "rewardRoot", attribution_root as "attributionRoot"
    from settlement.epoch_run order by epoch_id`;
  const content = await stateHash(sql, "content");
  const claims = await readClaims(chain);
  return {
    examples: [
      ...(await readExamples(sql, questions, claims.at(-1)!.transactionHash)),
      ...(row === null ? [] : [commandOf(traceOf(row))]),
    ],
    isGood: outcome.conserved && outcome.claimedWei === outcome.leavesWei,
    report,
    json: toJson({ ...outcome, verdict, trainingRow: row }),
    record: toJson({
      ...outcome,
      verdict,
      trainingRow: row,
      documents: submitted.flatMap(({ documents }) => documents).length,
      contributors: new Set(submitted.map(({ contributor }) => contributor)).size,
      roots,
      content,
      timingsMs: progress.timings,
    }),
  };
}

function toJson(value: unknown): string {
  return JSON.stringify(value, (_, inner) => (typeof inner === "bigint" ? inner.toString() : inner));
}

function passagesOf(submitted: readonly OnChain[]) {
  return submitted
    .filter(isAcceptable)
    .flatMap(({ contributor, documents }) =>
      documents.flatMap(({ source, chunks }) => chunks.map((text) => ({ source, text, contributor }))),
    );
}

export class StoppedError extends PipelineError {
  override readonly name = "StoppedError";
  constructor() {
    super("The demo was stopped.", { code: "stopped", retryable: true });
  }
}

export class CommandFailedError extends PipelineError {
  override readonly name = "CommandFailedError";
  constructor(args: readonly string[], code: number, output: string) {
    super(`\`${args.join(" ")}\` ended with ${code}: ${output.trim().split("\n").slice(-5).join(" / ")}`, {
      code: "command_failed",
      retryable: false,
    });
  }
}
