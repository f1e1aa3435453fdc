import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fuzzFile } from "#runtime/fixtures/damage";
import { pcg32 } from "#runtime/inference/sampler";
import { PipelineError } from "#schema/errors";
import { dot } from "../influence/matrix.ts";
import {
  adapterHash,
  description,
  gradientOf,
  gradientsOf,
  ids,
  madeUpJob,
  methodHash,
  profile,
} from "../testing/made-up-store.ts";
import { buildStore, type StoreJob } from "./build.ts";
import { queryEntryMax } from "./kernel.ts";
import type { Encoding } from "./layout.ts";
import { openStore, type Store } from "./store.ts";

const expected = { adapterHash, methodHash, profile };

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gradient-store-"));
});
afterEach(() => rm(folder, { recursive: true }));

const jobOf = (count: number, encoding?: Encoding) => madeUpJob(folder, count, encoding);

async function bytesOf(): Promise<Record<string, string>> {
  const files = (await readdir(folder)).sort();
  return Object.fromEntries(
    await Promise.all(
      files.map(async (file) => [file, (await readFile(join(folder, file))).toString("hex")]),
    ),
  );
}

/** Build in a process of its own and kill it as soon as it says that it has so many records. */
async function buildUntil(recordsDone: string): Promise<string | null> {
  const script = join(import.meta.dirname, "../testing/store-builder.ts");
  const builder = spawn(process.execPath, [script, folder, "40"]);
  builder.stdout.on("data", (chunk: Buffer) => {
    if (`\n${chunk}`.includes(`\n${recordsDone}\n`)) builder.kill("SIGKILL");
  });
  const [, signal] = await once(builder, "close");
  return signal;
}

const idsOf = ({ recordCount, recordIdAt }: Store) =>
  Array.from({ length: recordCount }, (_, i) => recordIdAt(i));
const query = gradientOf("r999");
const exact = (id: string) => gradientOf(id).reduce((total, block, i) => total + dot(block, query[i]!), 0);

describe("a gradient store", () => {
  it.each([
    ["int8", 0.02],
    ["float16", 0.002],
    ["float32", 1e-6],
  ] as const)("in %s gives the inner products of its records with a query", async (encoding, tolerance) => {
    await buildStore(jobOf(11, encoding));
    const store = await openStore(folder, expected);
    expect(idsOf(store)).toEqual(ids(11));
    const found = store.scores(query);
    const size = Math.sqrt(exact("r999"));
    for (const [i, id] of ids(11).entries()) {
      const norm = Math.sqrt(gradientOf(id).reduce((total, block) => total + dot(block, block), 0));
      expect(Math.abs(found[i]! - exact(id)) / (norm * size)).toBeLessThan(tolerance);
    }
  });

  it("sums int8 products exactly, at the largest entries too", async () => {
    const width = 4096;
    const layout = { encoding: "int8" as const, blocks: [{ name: "a", columns: width }] };
    const signs = (seed: number) => {
      const next = pcg32(BigInt(seed));
      return Float32Array.from({ length: width }, () => (seed === 0 || next() & 1 ? 127 : -127));
    };
    await buildStore({
      folder,
      description: { ...description("int8"), layout },
      recordIds: ids(5),
      gradientsOf: async (wanted) => wanted.map((id) => [signs(Number(id.slice(1)))]),
    });
    const store = await openStore(folder, expected);
    const found = store.scores([signs(0)]);
    for (let i = 0; i < 5; i++) expect(found[i]).toBeCloseTo(dot(signs(i), signs(0)), 3);
    expect(queryEntryMax(width) * 127 * width).toBeLessThan(2 ** 31);
  });

  it("goes on after a crash at any shard and ends in the same bytes as undisturbed", async () => {
    await buildStore(jobOf(11));
    const undisturbed = await bytesOf();
    for (const crashAt of [0, 1, 2]) {
      await rm(folder, { recursive: true });
      let calls = 0;
      const crashing: StoreJob = {
        ...jobOf(11),
        gradientsOf: async (wanted) => {
          if (calls++ === crashAt) throw new RangeError("killed");
          return gradientsOf(wanted);
        },
      };
      await expect(buildStore(crashing)).rejects.toThrow("killed");
      await writeFile(join(folder, `shard-00000${crashAt}-4.bin.partial`), "half a shard");
      const done: number[] = [];
      await buildStore({ ...jobOf(11), onProgress: ({ recordsDone }) => done.push(recordsDone) });
      expect(done[0]).toBe(crashAt * 4);
      expect(done.at(-1)).toBe(11);
      expect(await bytesOf()).toEqual(undisturbed);
    }
  });

  it("built by a process that is killed again and again has the bytes of one left alone", async () => {
    await buildStore(jobOf(40));
    const undisturbed = await bytesOf();
    await rm(folder, { recursive: true });
    const kills = [];
    for (const recordsDone of ["0", "4", "12", "28"]) kills.push(await buildUntil(recordsDone));
    expect(kills).toEqual(["SIGKILL", "SIGKILL", "SIGKILL", "SIGKILL"]);
    expect(await bytesOf()).not.toEqual(undisturbed);
    await buildStore(jobOf(40));
    expect(await bytesOf()).toEqual(undisturbed);
  });

  it("is appended to when records are added, without asking for the old ones again", async () => {
    await buildStore(jobOf(6));
    const asked: string[] = [];
    await buildStore({
      ...jobOf(11),
      gradientsOf: async (wanted) => {
        asked.push(...wanted);
        return gradientsOf(wanted);
      },
    });
    expect(asked).toEqual(ids(11).slice(6));
    const appended = await bytesOf();
    await rm(folder, { recursive: true });
    await buildStore(jobOf(11));
    expect(appended).toEqual(await bytesOf());
  });

  it("stops between shards when told to, and keeps what it has", async () => {
    const controller = new AbortController();
    const job = {
      ...jobOf(11),
      signal: controller.signal,
      onProgress: ({ recordsDone }: { recordsDone: number }) => recordsDone === 4 && controller.abort(),
    };
    await expect(buildStore(job)).rejects.toThrow(/abort/i);
    expect(idsOf(await openStore(folder, expected))).toEqual(ids(4));
  });

  it("refuses another adapter, other records, and a gradient that is no number", async () => {
    await buildStore(jobOf(6));
    const other = `0x${"cd".repeat(32)}`;
    await expect(openStore(folder, { ...expected, adapterHash: other })).rejects.toThrow(/adapterHash/);
    await expect(openStore(folder, { ...expected, methodHash: other })).rejects.toThrow(/methodHash/);
    await expect(
      buildStore({ ...jobOf(6), description: { ...description("int8"), adapterHash: other } }),
    ).rejects.toThrow(/another adapter/);
    await expect(buildStore({ ...jobOf(6), recordIds: ids(6).reverse() })).rejects.toThrow(/are others/);
    const spoiled = {
      ...jobOf(7),
      gradientsOf: async () => [gradientOf("r6").map((block) => block.fill(Number.NaN))],
    };
    await expect(buildStore(spoiled)).rejects.toThrow(/record r6 is not finite/);
  });

  it("names what computed the gradients, and refuses another version, provider, instruction set, graph or option", async () => {
    const built = await buildStore(jobOf(6));
    expect(built.profile).toEqual(profile);
    const others = [
      { ortVersion: "1.31.0" },
      { provider: "webgpu" },
      { cpuIsa: "x64+avx512" },
      { graphHash: `0x${"03".repeat(32)}` },
      { weightHashes: {} },
      { sessionOptions: { ...profile.sessionOptions, intraOpNumThreads: 2 } },
    ];
    for (const other of others) {
      const wanted = { ...profile, ...other };
      const opening = openStore(folder, { ...expected, profile: wanted });
      await expect(opening).rejects.toMatchObject({ code: "store-foreign" });
      const going = { ...jobOf(11), description: { ...description("int8"), profile: wanted } };
      await expect(buildStore(going)).rejects.toThrow(/another .*execution profile/);
    }
    const { profile: _, ...unknown } = description("int8");
    await expect(buildStore({ ...jobOf(11), description: unknown })).rejects.toThrow(/execution profile/);
  });

  it.each(["int8", "float32"] as const)(
    "in %s is read, or refused with an error of the pipeline, whatever is damaged in its files",
    async (encoding) => {
      const { shards } = await buildStore(jobOf(6, encoding));
      const read = () => openStore(folder, expected);
      const errors = PipelineError;
      await fuzzFile(join(folder, "manifest.json"), read, { errors, seed: 41, numRuns: 300 });
      await fuzzFile(join(folder, shards[0]!.file), read, { errors, seed: 42, numRuns: 100 });
    },
  );

  it("refuses a damaged shard, a damaged manifest and an empty folder", async () => {
    await expect(openStore(folder, expected)).rejects.toThrow(/no gradient store/);
    const { shards } = await buildStore(jobOf(6));
    await truncate(join(folder, shards[1]!.file), 10);
    await expect(openStore(folder, expected)).rejects.toThrow(/damaged/);
    await writeFile(join(folder, "manifest.json"), "{}");
    await expect(openStore(folder, expected)).rejects.toThrow(/manifest.json .* damaged/);
  });
});
