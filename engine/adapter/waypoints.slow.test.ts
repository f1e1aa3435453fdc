import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TrainedModel } from "#cli/train/adapter";
import { settingsFor } from "#factory/settings";
import {
  type Example,
  learningRate,
  openGradients,
  promptedExample,
  readAdapter,
  readOptimizerMeans,
  readTokenizer,
  renderPrompt,
} from "#runtime/index";
import { invariant } from "#schema/errors";
import { adapter, chunk, influence, receipt, refusal, score } from "#schema/offchain/index";
import { until } from "#schema/testing/stack";
import * as disclosures from "#settlement/blob/disclosure";
import { examplesOf } from "#settlement/blob/training/examples";
import { contributor } from "../../indexer/test/life.ts";
import { spearman } from "../faithfulness/correlation.ts";
import { dual, primal, primalScores, scores } from "../influence/efim.ts";
import { type Matrix, matrix, row, type Vector } from "../influence/matrix.ts";
import { projectWide } from "../influence/projection.ts";
import { adamDirection, less, tracIn } from "../influence/trajectory.ts";
import { complement } from "../influence/trak.ts";
import {
  ask,
  contribute,
  feeWei,
  finalise,
  modelFolder,
  openPipeline,
  type Pipeline,
  type Running,
  startEngine,
  startNode,
} from "../testing/pipeline.ts";
import { madeUpTexts, openElsewhere, trainOn } from "../testing/training.ts";
import { RecordsTooManyError } from "./methods.ts";
import { readBlocks } from "./read-blocks.ts";

/** An engine that measures by TracIn, an adapter trained without states on its way, and one with three. */
let pipeline: Pipeline;
let engine: Running;
let folder: string;
let without: TrainedModel;
let trained: TrainedModel;
const choice = { name: "pier", steps: 9, gateRecords: 2, waypoints: 3 };
const { damping: trainedDamping } = settingsFor(choice, 1);

beforeAll(async () => {
  pipeline = await openPipeline();
  await contribute(pipeline, contributor, madeUpTexts(24));
  await finalise(pipeline.world);
  engine = await startEngine(pipeline, { INFLUENCE_METHOD: "tracin" });
  folder = await mkdtemp(join(tmpdir(), "tributary-waypoints-"));
  without = await trainOn(pipeline, join(folder, "without"), { ...choice, name: "bare", waypoints: 0 });
  trained = await trainOn(pipeline, join(folder, "with"), choice);
  await finalise(pipeline.world);
  await until("the adapter is ready", async () => (await stateOf(trained)) === "ready", 240_000);
}, 600_000);

afterAll(async () => {
  await engine?.[Symbol.asyncDispose]();
  await pipeline?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

describe("an engine that measures by a training's way", () => {
  it("refuses a training that kept none of it, and says how to train", async () => {
    await until("it is refused", async () => (await refusalOf(without)) !== undefined, 60_000);
    expect(await refusalOf(without)).toMatchObject({
      code: "waypoints_missing",
      reason: expect.stringMatching(/by tracin.*Train it with --waypoints 4/),
    });
    await using elsewhere = await openElsewhere(pipeline, trained, "less");
    await expect(elsewhere.open({ ...elsewhere.of, waypoints: [] })).rejects.toThrow(/--waypoints 4/);
  });

  it("scores an answer by it, the same again elsewhere from the payload alone", async () => {
    await using node = await startNode(pipeline, { BATCH_RECEIPTS: "1" });
    await until("the adapter is listed", async () => (await listed(node.url)).includes("pier"));
    const question = "What does pier.md#0 say about the harbour master keeps?";
    await ask(pipeline, node.url, {
      channelId: pipeline.channelId,
      question,
      maxWei: feeWei,
      body: { model: "pier" },
    });
    await until("it is settled and scored", async () => {
      await pipeline.world.client.mine({ blocks: 10 });
      return (await database().select().from(score)).length === 1;
    });
    const published = await database()
      .select()
      .from(influence)
      .where(eq(influence.player, "adapter"))
      .orderBy(influence.rank);
    expect(new Set(published.map(({ estimator }) => estimator))).toEqual(new Set(["tracin"]));
    await using elsewhere = await openElsewhere(pipeline, trained, "tracin");
    const scored = await elsewhere.score((await answered()).disclosure);
    invariant(scored.ok, "it is scored");
    expect(scored.records.map(({ scoreWad }) => scoreWad)).toEqual(published.map(({ scoreWad }) => scoreWad));
  });

  it.each(["tracin", "less", "trak"] as const)(
    "gives by %s what the library gives of the training's files",
    async (method) => {
      await using elsewhere = await openElsewhere(pipeline, trained, method);
      const { states, store, tokensMax, files, shape } = await elsewhere.open();
      const query = await queryOfAnswer();
      const { scores: found } = await elsewhere.pool.run({
        ...({
          kind: "record-scores",
          adapters: states,
          method,
          store,
          adapterHash: files.hash,
          query,
          tokensMax,
          shape,
        } as const),
      });
      const wanted = await reference(method);
      expect(found).toHaveLength(wanted.length);
      const largest = Math.max(...wanted.map(Math.abs));
      for (const [i, value] of found.entries())
        expect(Math.abs(value - wanted[i]!)).toBeLessThan(1e-5 * largest);
    },
  );
});

it("keeps projected gradients where they are too large, which rank records much as whole ones do", async () => {
  const whole = await scoresWithin({});
  expect(whole.shape).toBeNull();
  const projected = await scoresWithin({ bytesMax: 200_000 });
  expect(projected.shape?.columns).toBeGreaterThan(64);
  expect(spearman([...whole.scores], [...projected.scores])).toBeGreaterThan(0.8);
});

describe("a training of more records than the dual form takes", () => {
  const limits = { dualMax: 10 };

  it("is measured in primal form, by what the library gives of the stored gradients", async () => {
    await using elsewhere = await openElsewhere(pipeline, trained, "efim-dual", limits);
    const { store, shape, storeMethod, records } = await elsewhere.open();
    expect(storeMethod).toBe("efim-primal");
    const { names, blocks } = await readBlocks(store.folder);
    expect(blocks[0]!.rows).toBe(records.length);
    expect(records.length).toBeGreaterThan(limits.dualMax);
    const [asked] = await gradientOfAnswer();
    const query = names.slice(0, -1).map((name) => asked!.factors.get(name)!);
    const wanted = primalScores(primal(blocks.slice(0, -1), trainedDamping), projectWide(query, shape!));
    const { scores: found } = await scoresWithin(limits);
    const largest = Math.max(...wanted.map(Math.abs));
    for (const [i, value] of found.entries())
      expect(Math.abs(value - wanted[i]!)).toBeLessThan(1e-3 * largest);
  });

  it("ranks its records as the dual form does", async () => {
    const [dualOnes, primalOnes] = [await scoresWithin({}), await scoresWithin(limits)];
    const rho = spearman([...dualOnes.scores], [...primalOnes.scores]);
    console.log(`rank correlation of efim-primal with efim-dual: ${rho.toFixed(3)}`);
    expect(rho).toBeGreaterThan(0.9);
  });

  it("is scored the same on another machine, from a store of the same bytes, and says by what", async () => {
    await using first = await openElsewhere(pipeline, trained, "efim-dual", limits);
    await using second = await openElsewhere(pipeline, trained, "efim-dual", limits);
    const { disclosure } = await answered();
    const scored = await first.score(disclosure);
    invariant(scored.ok, "it is scored");
    expect(new Set(scored.records.map(({ estimator }) => estimator))).toEqual(new Set(["efim-primal"]));
    expect(await second.score(disclosure)).toEqual(scored);
    const bytes = await contentsOf(first.folder);
    expect([...bytes.keys()]).toContainEqual(expect.stringMatching(/efim-primal.shard/));
    expect(await contentsOf(second.folder)).toEqual(bytes);
  });

  it("is made anew where a factor's byte changed", async () => {
    await using elsewhere = await openElsewhere(pipeline, trained, "efim-dual", limits);
    const { store } = await elsewhere.open();
    const whole = await contentsOf(elsewhere.folder);
    const [shard] = (await readdir(store.fisher!)).filter((name) => name.startsWith("shard"));
    const bytes = await readFile(join(store.fisher!, shard!));
    bytes[0]! ^= 1;
    await writeFile(join(store.fisher!, shard!), bytes);
    const { disclosure } = await answered();
    expect(await elsewhere.score(disclosure)).toMatchObject({ code: "store-damaged", retryable: true });
    expect(await elsewhere.score(disclosure)).toMatchObject({ ok: true });
    expect(await contentsOf(elsewhere.folder)).toEqual(whole);
  });

  it.each(["datainf", "trak"] as const)("is refused by %s, which compares all records", async (method) => {
    await using elsewhere = await openElsewhere(pipeline, trained, method, limits);
    await expect(elsewhere.open()).rejects.toThrow(RecordsTooManyError);
  });
});

/** What the engine's threads give for the answer under other limits. */
async function scoresWithin(limits: { bytesMax?: number; dualMax?: number }) {
  await using elsewhere = await openElsewhere(pipeline, trained, "efim-dual", limits);
  const { states, store, storeMethod: method, tokensMax, files, shape } = await elsewhere.open();
  const query = await queryOfAnswer();
  const { scores: found } = await elsewhere.pool.run({
    ...({ kind: "record-scores", adapters: states, method, store } as const),
    ...{ adapterHash: files.hash, query, tokensMax, shape },
  });
  return { shape, scores: found };
}

async function gradientOfAnswer() {
  const gradients = await openGradients(modelFolder, await readAdapter(trained.adapterFolder), {
    kind: "full",
  });
  return gradients.of([await askedExample()]);
}

async function askedExample(): Promise<Example> {
  const tokenizer = await readTokenizer(modelFolder);
  const { question, passages, answerTokenIds } = await queryOfAnswer();
  const prompt = tokenizer.encode(renderPrompt({ passages, question }));
  return { tokenIds: [...prompt, ...answerTokenIds], answerFrom: prompt.length };
}

async function contentsOf(root: string): Promise<Map<string, string>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const sums = paths.sort().map(async (path) => {
    const digest = createHash("sha256").update(await readFile(path));
    return [relative(root, path), digest.digest("hex")] as const;
  });
  return new Map((await Promise.all(sums)).filter(([path]) => path.includes("method-")));
}

/** Scores of all records for the answer: functions of influence/ over the folders that the training left. */
async function reference(method: "tracin" | "less" | "trak"): Promise<Float64Array> {
  gathered ??= gather();
  const checkpoints = await gathered;
  const n = checkpoints[0]!.losses.length;
  if (method === "tracin") return tracIn(checkpoints).map((x) => n * x);
  if (method === "less")
    return less(checkpoints.map((one) => ({ ...one, blocks: one.steps }))).map((x) => n * x);
  // TRAK's inverse over all parameters in its dual form, with the damping of the training: engine/adapter/influence.test.ts.
  const { blocks, losses, query } = checkpoints.at(-1)!;
  const complements = losses.map((loss) => complement(-loss));
  const columns = blocks.reduce((sum, block) => sum + block.columns, 0);
  const margins = matrix(n, columns);
  for (let i = 0; i < n; i++)
    row(margins, i).set(blocks.flatMap((block) => [...row(block, i)].map((x) => x / complements[i]!)));
  const flat = Float64Array.from(query.flatMap((values) => [...values]));
  return scores(dual([margins], trainedDamping), [flat]).map((x, i) => complements[i]! * x);
}

let gathered: ReturnType<typeof gather> | undefined;

/** Gradients, losses and Adam's steps of all records at each waypoint, and the answer's gradient there. */
async function gather() {
  await using elsewhere = await openElsewhere(pipeline, trained, "tracin");
  const { records, tokensMax } = await elsewhere.open();
  const tokenizer = await readTokenizer(modelFolder);
  const lessons = records.map((record) =>
    examplesOf(record)
      .map(({ question, answer }) => promptedExample(tokenizer, { passages: [], question }, answer))
      .filter(({ tokenIds }) => tokenIds.length <= tokensMax),
  );
  const asked = await askedExample();
  const { schedule } = settingsFor(choice, 1);
  const checkpoints = [];
  for (const { step, folder: waypoint } of trained.waypoints) {
    const gradients = await openGradients(modelFolder, await readAdapter(waypoint), { kind: "full" });
    const [found] = await gradients.of([asked]);
    const names = [...found!.factors.keys()];
    const sizes = new Map(names.map((name) => [name, found!.factors.get(name)!.length]));
    const sums = await Promise.all(lessons.map((examples) => summed(gradients, examples, sizes)));
    const blocks = names.map((name) => stacked(sums.map(({ factors }) => factors.get(name)!)));
    const means = await readOptimizerMeans(join(waypoint, "optimizer.safetensors"), sizes);
    const steps = blocks.map((block, at) => {
      const { mean: first, square: second } = means.get(names[at]!)!;
      const state = { first, second, step: step + 1 };
      return stacked(sums.map((_, i) => adamDirection(row(block, i), state)));
    });
    checkpoints.push({
      ...{ blocks, steps, query: names.map((name) => found!.factors.get(name)!) },
      ...{ learningRate: learningRate(schedule, step - 1), losses: sums.map(({ loss }) => loss) },
    });
  }
  return checkpoints;
}

function stacked(rows: readonly Vector[]): Matrix {
  const found = matrix(rows.length, rows[0]!.length);
  for (const [i, values] of rows.entries()) row(found, i).set(values);
  return found;
}

type Graph = Awaited<ReturnType<typeof openGradients>>;

async function summed(gradients: Graph, examples: readonly Example[], sizes: ReadonlyMap<string, number>) {
  const found = await gradients.of(examples);
  const factors = new Map(
    [...sizes].map(([name, length]) => {
      const sum = new Float64Array(length);
      for (const one of found) for (const [i, value] of one.factors.get(name)!.entries()) sum[i]! += value;
      return [name, sum] as const;
    }),
  );
  return { factors, loss: found.reduce((sum, { loss }) => sum + loss, 0) };
}

async function answered() {
  const [row] = await database().select().from(receipt).where(eq(receipt.modelId, trained.modelId));
  return row!;
}

async function queryOfAnswer() {
  const disclosed = disclosures.decode((await answered()).disclosure);
  invariant(disclosed.ok, "a kept disclosure decodes");
  const { question, answerTokenIds, candidates } = disclosed.value;
  const texts = candidates
    .filter(({ inContext }) => inContext)
    .map(
      async ({ chunkId }) => (await database().select().from(chunk).where(eq(chunk.id, chunkId)))[0]!.text,
    );
  return { question, answerTokenIds, passages: await Promise.all(texts) };
}

function database() {
  return pipeline.world.database.db;
}

async function stateOf({ modelId }: TrainedModel): Promise<string | undefined> {
  expect(await refusalOf(trained), "nothing is refused").toBeUndefined();
  const [row] = await database().select().from(adapter).where(eq(adapter.modelId, modelId));
  return row?.state;
}

async function refusalOf({ modelId }: TrainedModel) {
  const [row] = await database()
    .select()
    .from(refusal)
    .where(eq(refusal.subject, `training:${modelId}`));
  return row;
}

async function listed(url: string): Promise<string[]> {
  const { data = [] } = (await (await fetch(`${url}/v1/models`)).json()) as { data?: { id: string }[] };
  return data.map(({ id }) => id);
}
