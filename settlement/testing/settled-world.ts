/** Real answers, settled, final and scored; settlement is driven step by step by the test. */
import { count } from "drizzle-orm";
import { createPublicClient, createWalletClient, http } from "viem";
import { DisperserClient, payloadBytesMax, RelayClient } from "#eigenda/index";
import { chunk, score } from "#schema/offchain/index";
import { devAccount, until } from "#schema/testing/stack";
import { Ledger } from "#settlement/ledger";
import { advance, type Context, type Step } from "#settlement/lifecycle";
import {
  ask,
  eigendaKey,
  feeWei,
  finalise,
  openPipeline,
  type Pipeline,
  startEngine,
  startNode,
  texts,
} from "../../engine/testing/pipeline.ts";
import { poster } from "../../indexer/test/life.ts";

export type SettledWorld = Awaited<ReturnType<typeof openSettledWorld>>;

const questions = [
  "What does the harbour master keep?",
  "Where is salt stored?",
  "When do fishermen mend their nets?",
  "What does every pilot carry?",
];
/** Steps after which a drive gives up. */
const stepsMax = 60;

export async function openSettledWorld() {
  await using parts = new AsyncDisposableStack();
  const pipeline = parts.use(await openPipeline());
  const engine = parts.use(await startEngine(pipeline));
  let asked = 0;
  /** Ask `questionCount` more questions, two per batch; wait until they are final and scored. */
  const answer = async (questionCount: number) => {
    await askAll(pipeline, asked, questionCount);
    asked += questionCount;
    await finalise(pipeline.world);
    await until("all receipts are scored", async () => (await rowsOf(pipeline, score)) === asked, 60_000);
  };
  await until("the chunks are there", async () => (await rowsOf(pipeline, chunk)) === texts.length);
  const settlement = parts.use(openSettlement(pipeline));
  const owned = parts.move();
  return { ...pipeline, engine, answer, ...settlement, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Settlement over what was answered, a batch an epoch. */
export function openSettlement(pipeline: Pipeline) {
  const disperser = new DisperserClient({
    ...{ url: pipeline.disperser.url, accountKey: eigendaKey, chainId: 31_337n },
    ...{ srs: pipeline.srs, pollMs: 20 },
  });
  const relay = new RelayClient({ relayUrl: () => pipeline.disperser.url, srs: pipeline.srs });
  const context = contextOf(pipeline, disperser, relay);
  return {
    context,
    /** Steps until one says what is wanted; windows and finality are made to pass. */
    drive: (wanted: RegExp, given: Context = context) => drive(pipeline, given, wanted),
    [Symbol.asyncDispose]: async () => {
      relay.close();
      await disperser[Symbol.asyncDispose]();
    },
  };
}

async function askAll(pipeline: Pipeline, from: number, questionCount: number): Promise<void> {
  await using node = await startNode(pipeline);
  const chunkCount = await rowsOf(pipeline, chunk);
  await until("the node retrieves", async () => (await chunkCountOf(node.url)) === chunkCount);
  const settledBatches = () => pipeline.sender.read<bigint>("settlementHub", "batchCount");
  const wanted = BigInt(from + questionCount) / 2n;
  for (let i = from; i < from + questionCount; i++) {
    const question = questions[i % questions.length]!;
    const maxWei = BigInt(i + 1) * feeWei;
    const response = await ask(pipeline, node.url, { channelId: pipeline.channelId, maxWei, question });
    if (!response.ok) throw new Error(`asking failed: ${await response.text()}`);
    await response.text();
  }
  await until(`${wanted} batches are on chain`, async () => (await settledBatches()) === wanted, 60_000);
}

async function chunkCountOf(url: string): Promise<number> {
  const health = (await (await fetch(`${url}/health`)).json()) as { chunks: number };
  return health.chunks;
}

function contextOf({ world, srs }: Pipeline, disperser: DisperserClient, relay: RelayClient): Context {
  const client = createPublicClient({ transport: http(world.rpcUrl), pollingInterval: 50, cacheTime: 0 });
  const wallet = createWalletClient({ account: devAccount(poster), transport: http(world.rpcUrl) });
  return {
    db: world.database.db,
    ledger: new Ledger(client, world.deployment),
    chainId: 31_337n,
    distributor: world.deployment.contracts.rewardDistributor,
    limits: { epochBatches: 1, ageMsMax: 3_600_000_000 },
    retrieve: (certificate) => relay.retrieve(certificate),
    poster: {
      wallet,
      disperse: async (payload) => (await disperser.disperse(payload)).certificate,
      payloadBytesMax: payloadBytesMax(srs.symbolsMax),
    },
  };
}

async function drive(pipeline: Pipeline, context: Context, wanted: RegExp): Promise<Step> {
  const seen: string[] = [];
  for (let steps = 0; steps < stepsMax; steps++) {
    const step = await advance(context);
    if (wanted.test(step.what)) return step;
    seen.push(step.what);
    if (step.what.startsWith("challenge window")) await pipeline.sender.warp(5);
    else if (/final/.test(step.what) && step.did === "waiting") await finalise(pipeline.world);
  }
  throw new Error(`no step said ${wanted}: ${seen.slice(-5).join("; ")}`);
}

async function rowsOf({ world }: Pipeline, table: typeof chunk | typeof score): Promise<number> {
  const [row] = await world.database.db.select({ value: count() }).from(table);
  return row!.value;
}
