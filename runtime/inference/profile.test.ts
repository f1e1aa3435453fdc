import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { keccak256, stringToBytes } from "viem";
import { describe, expect, it } from "vitest";
import { buildGraphs } from "#runtime/decoder/inference-graphs";
import { copyFixture, editConfig, fixture, shard, temporaryFolder } from "#runtime/fixtures/folders";
import { openModel } from "#runtime/index";
import { hashFiles } from "#runtime/weights/model-files";
import { readModelFolder } from "#runtime/weights/model-folder";
import { quantiseFolder } from "#runtime/weights/quantise-folder";
import { detectCpuIsa, isaFromFlags, isaFromModels, makeProfile } from "./profile.ts";

async function profileOf(folder: string, parts = { ortVersion: "1.30.0", cpuIsa: "x64+avx2" }) {
  const read = await readModelFolder(folder);
  const { weightHashes } = await hashFiles(read.files);
  return makeProfile({ ...parts, graphs: buildGraphs(read), weightHashes, quantisation: read.quantisation });
}

describe("an execution profile", () => {
  it("is hashed from JSON anyone can rebuild from its fields", async () => {
    const { hash, canonicalJson, ...fields } = await profileOf(fixture("tied"));
    expect(hash).toBe(keccak256(stringToBytes(canonicalJson)));
    expect(JSON.parse(canonicalJson)).toEqual(fields);
    expect(canonicalJson).toMatch(
      /^\{"adapterHashes":\[\],"cpuIsa":"x64\+avx2","graphHash":"0x[0-9a-f]{64}","ortVersion":"1.30.0","provider":"cpu",/,
    );
  });

  it("changes with one bit of a weight, with shards, quantisation and adapters, not with their order", async () => {
    const folder = await copyFixture("tied");
    const path = join(folder, "model.safetensors");
    const bytes = await readFile(path);
    bytes[bytes.length - 4] = (bytes.at(-4) ?? 0) ^ 1;
    await writeFile(path, bytes);
    const sharded = await copyFixture("tied");
    await shard(sharded, 2);
    const quantised = await temporaryFolder();
    await quantiseFolder(fixture("tied"), quantised, { bits: 8, blockSize: 16 });
    const profiles = await Promise.all(
      [fixture("tied"), folder, sharded, quantised].map((each) => profileOf(each)),
    );
    const [a, b] = ["0x0a", "0x0b"] as const;
    const graphs = buildGraphs(await readModelFolder(fixture("tied")));
    const adapted = (adapterHashes: `0x${string}`[]) =>
      makeProfile({ ortVersion: "1", cpuIsa: "x64+avx2", graphs, weightHashes: {}, adapterHashes }).hash;
    expect(adapted([b, a])).toBe(adapted([a, b]));
    expect(
      new Set([...profiles.map(({ hash }) => hash), adapted([]), adapted([a]), adapted([a, b])]).size,
    ).toBe(7);
    expect(Object.keys(profiles[2]?.weightHashes ?? {})).toHaveLength(2);
  });

  it("does not depend on where the folder lies", async () => {
    expect(await profileOf(await copyFixture("tied"))).toEqual(await profileOf(fixture("tied")));
  });

  it("changes with the graph, the runtime and the instruction set", async () => {
    const other = await copyFixture("tied");
    await editConfig(other, { rms_norm_eps: 1e-4 });
    const profiles = await Promise.all([
      profileOf(fixture("tied")),
      profileOf(other),
      profileOf(fixture("tied"), { ortVersion: "1.31.0", cpuIsa: "x64+avx2" }),
      profileOf(fixture("tied"), { ortVersion: "1.30.0", cpuIsa: "x64+avx512" }),
    ]);
    expect(new Set(profiles.map(({ hash }) => hash)).size).toBe(4);
  });

  it("of an open model names this machine and the ONNX Runtime that runs it", async () => {
    await using model = await openModel(fixture("tied"));
    expect(model.profile()).toMatchObject({ ortVersion: "1.30.0", cpuIsa: await detectCpuIsa() });
  });
});

describe("the instruction set", () => {
  it.each([
    ["flags\t\t: fpu sse2 avx avx2 fma avx512f avx512bw avx512dq avx512vl", "x64+avx512"],
    ["flags\t\t: fpu sse2 avx avx2 fma avx512f", "x64+avx2"],
    ["flags\t\t: fpu sse2 avx", "x64+avx"],
    ["flags\t\t: fpu sse2", "x64+sse2"],
    ["no flags here", "x64+sse2"],
  ])("is read from %j as %s", (cpuinfo, isa) => {
    expect(isaFromFlags(`processor : 0\n${cpuinfo}\nbugs : none\n`)).toBe(isa);
  });

  it.each([
    ["arm64", "darwin", ["Apple M2", "Apple M2"], "arm64+darwin+Apple M2"],
    ["x64", "win32", ["Intel(R)  Core(TM) i7 ", ""], "x64+win32+Intel(R) Core(TM) i7"],
    ["arm64", "linux", ["Cortex-A78", "Cortex-A55"], "arm64+linux+Cortex-A55+Cortex-A78"],
    ["arm64", "linux", [], "arm64+linux+unknown"],
  ])("of %s on %s with the cores %j is %s: that of other CPUs is another", (arch, platform, models, isa) => {
    expect(isaFromModels(arch, platform, models)).toBe(isa);
  });
});
