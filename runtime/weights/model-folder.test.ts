import { execFileSync } from "node:child_process";
import { mkdir, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { buildGraphs } from "#runtime/decoder/inference-graphs";
import {
  copyFixture,
  editConfig,
  encodeSafetensors,
  fixture,
  temporaryFolder,
} from "#runtime/fixtures/folders";
import { openModel } from "#runtime/index";
import { tokenizerLimits } from "./json-file.ts";
import { hashArtifact } from "./model-files.ts";
import { readModelFolder, readTokenizerFiles } from "./model-folder.ts";

const fileNames = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];

describe("a model folder", () => {
  it("hashes to what sha256sum prints for its four files", async () => {
    const command = `sha256sum ${fileNames.join(" ")} | sha256sum`;
    const printed = execFileSync("sh", ["-c", command], { cwd: fixture("tied"), encoding: "utf8" });
    expect(await hashArtifact(fixture("tied"))).toBe(`0x${printed.slice(0, 64)}`);
  });

  it("is refused when it, or one of its files, is missing", async () => {
    await expect(readModelFolder("/nonexistent")).rejects.toMatchObject({ code: "model-folder-missing" });
    for (const name of ["config.json", "model.safetensors"]) {
      const folder = await copyFixture("tied");
      await rm(join(folder, name));
      await expect(readModelFolder(folder)).rejects.toMatchObject({ code: "model-file-missing" });
      await expect(hashArtifact(folder)).rejects.toMatchObject({ code: "model-file-missing" });
    }
    await expect(hashArtifact("/nonexistent")).rejects.toMatchObject({ code: "model-folder-missing" });
  });

  it("answers token ids without a tokenizer, which only text needs and asks for by name", async () => {
    const folder = await copyFixture("tied");
    await rm(join(folder, "tokenizer.json"));
    await rm(join(folder, "tokenizer_config.json"));
    await writeFile(join(folder, "tokenizer.model"), "a SentencePiece model, as ChatGLM brings");
    const asked = { promptTokenIds: [1, 2, 3], answerTokenIds: [4] };
    await using model = await openModel(folder);
    await using whole = await openModel(fixture("tied"));
    expect(await model.logProb([asked])).toEqual(await whole.logProb([asked]));
    const command = "sha256sum config.json model.safetensors | sha256sum";
    const printed = execFileSync("sh", ["-c", command], { cwd: folder, encoding: "utf8" });
    expect(model.artifactHash).toBe(`0x${printed.slice(0, 64)}`);
    await expect(readTokenizerFiles(folder)).rejects.toMatchObject({
      code: "model-file-missing",
      message: expect.stringContaining("tokenizer.json"),
    });
  });

  it("is refused when a link leads out of it", async () => {
    for (const name of fileNames) {
      const folder = await copyFixture("tied");
      await rm(join(folder, name));
      await symlink(join(fixture("tied"), name), join(folder, name));
      await expect(readModelFolder(folder), name).rejects.toMatchObject({ code: "model-path-escape" });
    }
  });

  it("may be a link itself, and hold links to its own files", async () => {
    const folder = await copyFixture("tied");
    await rename(join(folder, "model.safetensors"), join(folder, "weights"));
    await symlink("weights", join(folder, "model.safetensors"));
    const link = join(await temporaryFolder(), "link");
    await symlink(folder, link);
    expect((await readModelFolder(link)).path).toBe(folder);
  });

  it("is refused when a file is a folder, is not JSON, or is larger than memory should hold", async () => {
    const folder = await copyFixture("tied");
    await writeFile(join(folder, "tokenizer.json"), "{");
    await expect(readTokenizerFiles(folder)).rejects.toMatchObject({ code: "model-file-invalid" });
    await writeFile(join(folder, "tokenizer.json"), Uint8Array.of(0x22, 0xff, 0x22));
    await expect(readTokenizerFiles(folder)).rejects.toMatchObject({ code: "model-file-invalid" });
    await writeFile(join(folder, "tokenizer.json"), `[${"{},".repeat(tokenizerLimits.marksMax / 2)}0]`);
    await expect(readTokenizerFiles(folder)).rejects.toMatchObject({ code: "model-file-too-large" });
    await truncate(join(folder, "tokenizer.json"), tokenizerLimits.bytesMax + 1);
    await expect(readTokenizerFiles(folder)).rejects.toMatchObject({ code: "model-file-too-large" });
    await rm(join(folder, "tokenizer.json"));
    await mkdir(join(folder, "tokenizer.json"));
    await expect(readModelFolder(folder)).rejects.toMatchObject({ code: "model-file-missing" });
  });

  it.each([
    [{ model_type: "t5" }, "model_type"],
    [{ attention_bias: "yes" }, "attention_bias"],
    [{ hidden_act: "gelu" }, "hidden_act"],
    [{ rope_parameters: { rope_type: "yarn" } }, "rope_type"],
    [{ num_key_value_heads: 3 }, "num_key_value_heads"],
    [{ head_dim: 5 }, "head_dim"],
    [{ vocab_size: -1 }, "vocab_size"],
    [{ hidden_size: 1e9 }, "hidden_size"],
  ])("is refused for the config %j, naming the key", async (changes, key) => {
    const folder = await copyFixture("tied");
    await editConfig(folder, changes);
    await expect(readModelFolder(folder)).rejects.toMatchObject({ code: "model-config-unsupported", key });
  });
});

describe("the tensors of a model folder", () => {
  it("must have the shapes its config implies", async () => {
    const folder = await copyFixture("tied");
    await editConfig(folder, { intermediate_size: 41 });
    const read = await readModelFolder(folder);
    expect(() => buildGraphs(read)).toThrow(/Tensor model.layers.0.mlp.gate_proj.weight has shape \[40,24\]/);
  });

  it("must all be there", async () => {
    const folder = await copyFixture("tied");
    await editConfig(folder, { num_hidden_layers: 3 });
    const read = await readModelFolder(folder);
    expect(() => buildGraphs(read)).toThrow(/Tensor model.layers.2.input_layernorm.weight is missing/);
  });

  it("must all be used", async () => {
    const folder = await copyFixture("tied");
    await editConfig(folder, { num_hidden_layers: 1 });
    const read = await readModelFolder(folder);
    expect(() => buildGraphs(read)).toThrow(/Tensor model.layers.1.* is not used/);
  });

  it("must have a dtype that can be a weight", async () => {
    const folder = await copyFixture("tied");
    const read = await readModelFolder(folder);
    const entry = read.tensors.get("model.norm.weight");
    const tensors = new Map(read.tensors).set("model.norm.weight", { ...entry!, dtype: "I64" });
    expect(() => buildGraphs({ ...read, tensors })).toThrow(/Tensor model.norm.weight has dtype I64/);
  });

  it("are refused when the file holds another model", async () => {
    const folder = await copyFixture("tied");
    const other = encodeSafetensors(new Map([["x", { shape: [1], values: Float32Array.of(1) }]]));
    await writeFile(join(folder, "model.safetensors"), other);
    const read = await readModelFolder(folder);
    expect(() => buildGraphs(read)).toThrow(expect.objectContaining({ code: "weight-mismatch" }));
  });
});
