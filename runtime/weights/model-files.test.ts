import { execFileSync } from "node:child_process";
import { mkdir, open, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as ort from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { copyFixture, fixture, hubCacheOf, shard, temporaryFolder } from "#runtime/fixtures/folders";
import { openModel } from "#runtime/index";
import { create, external, input, output } from "#runtime/onnx/graph";
import { encode } from "#runtime/onnx/model";
import * as op from "#runtime/onnx/ops";
import { hashAdapter, hashArtifact } from "./model-files.ts";
import { readModelFolder } from "./model-folder.ts";
import { read } from "./safetensors.ts";

const asked = [{ promptTokenIds: [1, 2, 3], answerTokenIds: [4, 5] }];
const indexName = "model.safetensors.index.json";

async function answer(folder: string) {
  await using model = await openModel(folder);
  return { logProbs: await model.logProb(asked), profile: model.profile(), artifactHash: model.artifactHash };
}

async function sharded(): Promise<string> {
  const folder = await copyFixture("tied");
  await shard(folder, 3);
  return folder;
}

async function editIndex(folder: string, edit: (map: Record<string, unknown>) => unknown): Promise<void> {
  const index = JSON.parse(await readFile(join(folder, indexName), "utf8"));
  await writeFile(join(folder, indexName), JSON.stringify(edit(index.weight_map)));
}

describe("a sharded folder", () => {
  it("gives the bits of the same model in one file", async () => {
    expect((await answer(await sharded())).logProbs).toEqual((await answer(fixture("tied"))).logProbs);
  });

  it("hashes to what sha256sum prints for its files and index", async () => {
    const folder = await sharded();
    const names = "config.json model*.safetensors* tokenizer.json tokenizer_config.json";
    const printed = execFileSync("sh", ["-c", `sha256sum ${names} | sha256sum`], {
      cwd: folder,
      env: { ...process.env, LC_ALL: "C" },
      encoding: "utf8",
    });
    expect(await hashArtifact(folder)).toBe(`0x${printed.slice(0, 64)}`);
  });

  it.each([
    ["is no object", () => 7],
    ["has no map", () => ({})],
    ["names no tensor", () => ({ weight_map: {} })],
    ["leaves the folder", (map: object) => ({ weight_map: { ...map, x: "../model.safetensors" } })],
    ["names an absolute path", (map: object) => ({ weight_map: { ...map, x: "/etc/model.safetensors" } })],
    ["names a number", (map: object) => ({ weight_map: { ...map, x: 3 } })],
  ])("is refused when its index %s", async (_, edit) => {
    const folder = await sharded();
    await editIndex(folder, edit);
    await expect(readModelFolder(folder)).rejects.toMatchObject({ code: "model-file-invalid" });
  });

  it("is refused when its index names a shard that is missing, naming the shard", async () => {
    const folder = await sharded();
    await rm(join(folder, "model-00002-of-00003.safetensors"));
    await expect(readModelFolder(folder)).rejects.toMatchObject({
      code: "model-file-missing",
      message: expect.stringContaining("model-00002-of-00003.safetensors"),
    });
  });

  it("is refused when a tensor is not where the index says, or is there twice", async () => {
    const folder = await sharded();
    const tensor = "model.norm.weight";
    await editIndex(folder, (map) => ({ weight_map: { ...map, extra: map[tensor] } }));
    await expect(readModelFolder(folder)).rejects.toMatchObject({
      code: "weight-file-invalid",
      tensor: "extra",
    });
    await editIndex(folder, (map) => ({ weight_map: { ...map, [tensor]: undefined, extra: undefined } }));
    await expect(readModelFolder(folder)).rejects.toMatchObject({ code: "weight-file-invalid", tensor });
    const twice = await sharded();
    const [one, two] = ["model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors"];
    await writeFile(join(twice, two), await readFile(join(twice, one)));
    await expect(readModelFolder(twice)).rejects.toMatchObject({ code: "weight-file-invalid" });
  });
});

describe("a hub cache", () => {
  it("answers, whole or sharded, as the plain folder does, with the same profile and hash", async () => {
    const snapshot = await hubCacheOf(await copyFixture("tied"));
    expect(await answer(snapshot)).toEqual(await answer(fixture("tied")));
    const shards = await sharded();
    const plain = await answer(shards);
    expect(await answer(await hubCacheOf(shards))).toEqual(plain);
  });

  it("may link to its own blobs alone", async () => {
    const snapshot = await hubCacheOf(await copyFixture("tied"));
    const weights = join(snapshot, "model.safetensors");
    await rm(weights);
    await symlink(join(fixture("tied"), "model.safetensors"), weights);
    await expect(readModelFolder(snapshot)).rejects.toMatchObject({ code: "model-path-escape" });
  });

  it("is no cache when its blobs are a link, or its folders have other names", async () => {
    const snapshot = await hubCacheOf(await copyFixture("tied"));
    const model = dirname(dirname(snapshot));
    const elsewhere = join(await temporaryFolder(), "blobs");
    await rename(join(model, "blobs"), elsewhere);
    await symlink(elsewhere, join(model, "blobs"));
    await expect(readModelFolder(snapshot)).rejects.toMatchObject({ code: "model-path-escape" });

    const other = await hubCacheOf(await copyFixture("tied"));
    const renamed = join(dirname(dirname(dirname(other))), "someone");
    await rename(dirname(dirname(other)), renamed);
    await expect(readModelFolder(join(renamed, "snapshots", "0123abcd"))).rejects.toMatchObject({
      code: "model-path-escape",
    });
  });
});

describe("a weight beyond 4 GiB", () => {
  it("is read where it lies", async () => {
    const folder = await temporaryFolder();
    const farBytes = 4.5 * 2 ** 30;
    const weights = Float32Array.of(1, 2, 3, 4, 5, 6);
    const header = Buffer.from(
      JSON.stringify({
        far: { dtype: "U8", shape: [farBytes], data_offsets: [0, farBytes] },
        w: { dtype: "F32", shape: [2, 3], data_offsets: [farBytes, farBytes + 24] },
      }),
    );
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    const path = join(folder, "model.safetensors");
    const file = await open(path, "w");
    await file.write(Buffer.concat([length, header]));
    await file.write(Buffer.from(weights.buffer), 0, 24, 8 + header.length + farBytes);
    await file.close();

    const entry = (await read(path)).get("w")!;
    const graph = create("far");
    const x = input(graph, "x", "float32", ["N", 3]);
    const w = external(
      graph,
      { name: "w", type: "float32", shape: [2, 3] },
      { ...entry, file: "model.safetensors" },
    );
    output(graph, "y", op.linear(graph, x, w));
    const session = await ort.InferenceSession.create(encode(graph), {
      extra: { session: { model_external_initializers_file_folder_path: folder } },
    });
    const { y } = await session.run({ x: new ort.Tensor("float32", Float32Array.of(1, 1, 1), [1, 3]) });
    expect(entry.offset).toBeGreaterThan(2 ** 32);
    expect(y?.data).toEqual(Float32Array.of(6, 15));
  });
});

it("refuses a file where a folder should be", async () => {
  await expect(readModelFolder(join(fixture("tied"), "config.json"))).rejects.toMatchObject({
    code: "model-folder-missing",
  });
  const folder = await copyFixture("tied");
  await rm(join(folder, "model.safetensors"));
  await mkdir(join(folder, "model.safetensors"));
  await expect(readModelFolder(folder)).rejects.toMatchObject({ code: "model-file-missing" });
});

it("hashes an adapter to what sha256sum prints for its two files", async () => {
  const folder = await temporaryFolder();
  await writeFile(join(folder, "adapter_config.json"), "{}");
  await expect(hashAdapter(folder)).rejects.toMatchObject({ code: "model-file-missing" });
  await writeFile(join(folder, "adapter_model.safetensors"), "weights");
  const command = "sha256sum adapter_config.json adapter_model.safetensors | sha256sum";
  const printed = execFileSync("sh", ["-c", command], { cwd: folder, encoding: "utf8" });
  expect(await hashAdapter(folder)).toBe(`0x${printed.slice(0, 64)}`);
});
