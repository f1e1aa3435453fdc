/** Stores made on a GPU of software: minutes for a few records, since its shaders are compiled on the CPU and run there. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TrainedModel } from "#cli/train/adapter";
import { openSoftwareVulkan } from "#runtime/fixtures/software-vulkan";
import { invariant } from "#schema/errors";
import { adapter } from "#schema/offchain/index";
import { until } from "#schema/testing/stack";
import { contributor } from "../../indexer/test/life.ts";
import { recordScores } from "../adapter/score.ts";
import { readManifest } from "../gradient-store/manifest.ts";
import {
  contribute,
  finalise,
  modelFolder,
  openPipeline,
  type Pipeline,
  type Running,
  startEngine,
} from "../testing/pipeline.ts";
import { madeUpTexts, openElsewhere, trainOn } from "../testing/training.ts";
import { openGradientDevice } from "./device.ts";

const vulkan = await openSoftwareVulkan();
const choice = { name: "quay", steps: 4, gateRecords: 2, waypoints: 2 };

let pipeline: Pipeline;
let engine: Running;
let folder: string;
let trained: TrainedModel;

beforeAll(async () => {
  if (vulkan === null) return;
  pipeline = await openPipeline();
  await contribute(pipeline, contributor, madeUpTexts(4));
  await finalise(pipeline.world);
  engine = await startEngine(pipeline);
  folder = await mkdtemp(join(tmpdir(), "tributary-device-"));
  trained = await trainOn(pipeline, folder, choice);
  await finalise(pipeline.world);
  await until("the adapter is ready", async () => (await stateOf()) === "ready", 240_000);
}, 600_000);

afterAll(async () => {
  await engine?.[Symbol.asyncDispose]();
  await pipeline?.[Symbol.asyncDispose]();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  await vulkan?.[Symbol.asyncDispose]();
});

describe.skipIf(vulkan === null)("a store made on a device", () => {
  it("scores as the CPU's does, and says by what its gradients were computed", async () => {
    await using device = openDevice();
    await using onDevice = await openElsewhere(pipeline, trained, "efim-dual", { device });
    await using onCpu = await openElsewhere(pipeline, trained, "efim-dual");
    const [theirs, ours] = [await onDevice.open(), await onCpu.open()];
    const [found, wanted] = [await scoresOf(onDevice.pool, theirs), await scoresOf(onCpu.pool, ours)];
    const error = Math.hypot(...found.map((score, at) => score - wanted[at]!)) / Math.hypot(...wanted);
    console.log(`relative error of the scores: ${error}`);
    expect(error).toBeLessThan(1e-3);
    expect(found).not.toEqual(wanted);
    const manifests = await Promise.all([theirs, ours].map(({ store }) => readManifest(store.folder)));
    expect(manifests.map((of) => of?.profile?.provider)).toEqual(["webgpu", "cpu"]);
    expect(manifests[0]!.methodHash).not.toBe(manifests[1]!.methodHash);
  }, 1_800_000);

  it("has the same bytes where the device is killed on the way", async () => {
    await using device = openDevice();
    await using undisturbed = await openElsewhere(pipeline, trained, "tracin", { device });
    await undisturbed.open();
    await using killed = await openElsewhere(pipeline, trained, "tracin", { device });
    const { signal } = new AbortController();
    const seen: number[] = [];
    const isSecondState = (told: readonly number[]) => told.length === 3 && told[1] === told[2];
    const onProgress = ({ recordsDone }: { recordsDone: number }) => {
      seen.push(recordsDone);
      // The first of two states is stored; the second's gradients are on their way, for seconds, and get lost.
      if (isSecondState(seen)) setTimeout(() => process.kill(device.processId()!, "SIGKILL"), 300);
    };
    const opening = killed.open(killed.of, { onProgress, signal });
    await expect(opening).rejects.toMatchObject({ code: "device_lost", retryable: true });
    const { length: records } = killed.of.trainRows;
    expect(seen).toEqual([0, records, records]);
    await killed.open();
    expect(await contentsOf(killed.folder)).toEqual(await contentsOf(undisturbed.folder));
  }, 1_800_000);

  it("is made anew where its manifest names another profile", async () => {
    await using first = await openElsewhere(pipeline, trained, "efim-dual");
    const { store } = await first.open();
    const whole = await contentsOf(first.folder);
    const path = join(store.folder, "manifest.json");
    const text = await readFile(path, "utf8");
    expect(text).toContain('"ortVersion"');
    await writeFile(path, text.replace(/"ortVersion": "[^"]+"/, '"ortVersion": "0.0.1"'));
    await using second = await openElsewhere(pipeline, trained, "efim-dual", { root: first.root });
    await second.open();
    expect(await contentsOf(first.folder)).toEqual(whole);
  });

  it("is made by an engine that is told so, which answers as before", async () => {
    await engine[Symbol.asyncDispose]();
    await expect(startEngine(pipeline, { ENGINE_DEVICE: "cuda" })).rejects.toMatchObject({
      code: "device-unavailable",
    });
    Object.assign(process.env, vulkan!.environment);
    const before = await readAdapter();
    engine = await startEngine(pipeline, { ENGINE_DEVICE: "webgpu" });
    await until(
      "it is judged anew",
      async () => (await readAdapter())?.methodHash !== before?.methodHash,
      900_000,
    );
    await until("the adapter is ready", async () => (await stateOf()) === "ready", 900_000);
    expect(engine.log.join("\n")).toContain('"device":"webgpu"');
  }, 1_900_000);
});

function openDevice() {
  const environment = { ...process.env, ...vulkan!.environment };
  const adaptableModules = ["q_proj", "v_proj"];
  return openGradientDevice({ folder: modelFolder, adaptableModules, device: "webgpu", environment })!;
}

type Elsewhere = Awaited<ReturnType<typeof openElsewhere>>;

async function scoresOf(pool: Elsewhere["pool"], opened: Awaited<ReturnType<Elsewhere["open"]>>) {
  const query = { source: "harbour.md#0", text: "The harbour master keeps a ledger of every ship." };
  const asked = await recordScores(pool, opened, { query, text: query.text });
  invariant(asked.ok, "it is scored");
  return [...asked.scores];
}

async function readAdapter() {
  const { db } = pipeline.world.database;
  const [row] = await db.select().from(adapter).where(eq(adapter.modelId, trained.modelId));
  return row;
}

async function stateOf(): Promise<string | undefined> {
  return (await readAdapter())?.state;
}

/** Every file below a folder, by name. */
async function contentsOf(path: string): Promise<Map<string, string>> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
  const read = async (file: string) =>
    [file.slice(path.length), (await readFile(file)).toString("hex")] as const;
  return new Map(await Promise.all(paths.sort().map(read)));
}
