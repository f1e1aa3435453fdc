import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  copyFixture,
  editConfig,
  encodeSafetensors,
  fixture,
  temporaryFolder,
} from "#runtime/fixtures/folders";
import { openModel } from "#runtime/index";
import { read } from "#runtime/weights/safetensors";
import { type Adapter, scaleOf } from "./adapter.ts";
import { readAdapter } from "./adapter-folder.ts";
import { combine } from "./combine.ts";
import { addDelta, mergeAndSave } from "./merge-weights.ts";

const fixtures = join(import.meta.dirname, "fixtures");
const golden: {
  promptTokenIds: number[];
  logits: Record<string, number[]>;
  conv1d: { tensor: string; weight: number[]; merged: number[] };
} = JSON.parse(await readFile(join(fixtures, "golden.json"), "utf8"));

/** Log-probability of every token after the golden prompt, by the model in a folder. */
async function logProbs(folder: string, count: number): Promise<number[]> {
  await using model = await openModel(folder);
  const { promptTokenIds } = golden;
  return await model.logProb(
    Array.from({ length: count }, (_, id) => ({ promptTokenIds, answerTokenIds: [id] })),
  );
}

function logSoftmax(logits: readonly number[]): number[] {
  const sum = logits.reduce((total, logit) => total + Math.exp(logit), 0);
  return logits.map((logit) => logit - Math.log(sum));
}

async function merged(adapter: Adapter, base = fixture("tied")): Promise<string> {
  const folder = join(await temporaryFolder(), "merged");
  await mergeAndSave(base, adapter, folder);
  return folder;
}

const worstOf = (given: number[], wanted: number[]) =>
  Math.max(...wanted.map((value, index) => Math.abs(value - given[index]!)));

describe("an adapter merged into its base", () => {
  it.each(["plain", "other", "wide", "patterns", "written", "written-stabilized"])(
    "answers as PEFT does with %s beside the base",
    async (name) => {
      const wanted = logSoftmax(golden.logits[name]!);
      const folder = await merged(await readAdapter(join(fixtures, name)));
      expect(worstOf(await logProbs(folder, wanted.length), wanted)).toBeLessThan(2e-5);
    },
  );

  it("leaves everything else as it was, and the base too", async () => {
    const adapter = await readAdapter(join(fixtures, "plain"));
    const folder = await merged(adapter);
    for (const name of ["config.json", "tokenizer.json", "tokenizer_config.json"]) {
      expect(await readFile(join(folder, name))).toEqual(await readFile(join(fixture("tied"), name)));
    }
    const before = await read(join(fixture("tied"), "model.safetensors"));
    const after = await read(join(folder, "model.safetensors"));
    const [old, made] = await Promise.all(
      [fixture("tied"), folder].map((path) => readFile(join(path, "model.safetensors"))),
    );
    for (const [name, { offset, bytes }] of before) {
      const same = old!
        .subarray(offset, offset + bytes)
        .equals(made!.subarray(after.get(name)!.offset).subarray(0, bytes));
      expect(same, name).toBe(!adapter.modules.has(name.replace(/\.weight$/, "")));
    }
  });

  it("adds up: merging one and then another is merging both joined by cat", async () => {
    const [plain, wide] = await Promise.all(
      ["plain", "wide"].map((name) => readAdapter(join(fixtures, name))),
    );
    const twice = await merged(wide!, await merged(plain!));
    const joined = combine(
      [plain!, wide!].map((adapter) => ({ adapter, weight: 1 })),
      { type: "cat" },
    );
    const wanted = await logProbs(await merged(joined), 300);
    expect(worstOf(await logProbs(twice, 300), wanted)).toBeLessThan(2e-5);
  });

  it("is turned where the base keeps its matrices as [in, out]", async () => {
    const adapter = await readAdapter(join(fixtures, "conv1d"));
    const { weight, merged: wanted } = golden.conv1d;
    const [[, module]] = [...adapter.modules] as [[string, never]];
    const sum = addDelta(Float32Array.from(weight), adapter, module);
    expect(worstOf([...sum], wanted)).toBeLessThan(1e-6);
    const folder = await copyFixture("tied");
    await editConfig(folder, { model_type: "gpt2" });
    const tensors = new Map([[golden.conv1d.tensor, { shape: [8, 24], values: Float32Array.from(weight) }]]);
    await writeFile(join(folder, "model.safetensors"), encodeSafetensors(tensors));
    const file = await readFile(join(await merged(adapter, folder), "model.safetensors"));
    const written = new Float32Array(Uint8Array.from(file.subarray(-weight.length * 4)).buffer);
    expect(worstOf([...written], wanted)).toBeLessThan(1e-6);
  });

  it("rounds once to the type the base is stored in", async () => {
    const folder = await copyFixture("tied");
    const name = "q_proj";
    const module = {
      rank: 1,
      alpha: 1,
      inSize: 1,
      outSize: 1,
      a: Float32Array.of(1),
      b: Float32Array.of(2 ** -8),
    };
    const adapter: Adapter = {
      baseModel: null,
      rank: 1,
      alpha: 1,
      isRankStabilized: false,
      isTransposed: false,
      targetModules: [name],
      modules: new Map([[name, module]]),
    };
    expect(scaleOf(adapter, module)).toBe(1);
    const bits = async (dtype: "F16" | "BF16") => {
      const tensors = new Map([["q_proj.weight", { shape: [1, 1], values: Float32Array.of(1), dtype }]]);
      await writeFile(join(folder, "model.safetensors"), encodeSafetensors(tensors));
      const file = await readFile(join(await merged(adapter, folder), "model.safetensors"));
      return file.readUInt16LE(file.length - 2);
    };
    expect(await bits("F16")).toBe(0x3c04);
    expect(await bits("BF16")).toBe(0x3f80); // 1 + 2^-8 is halfway: ties to even.
  });
});

describe("merging is refused", () => {
  it("for a module that the model lacks, or has in another size or in a type that is no float", async () => {
    const adapter = await readAdapter(join(fixtures, "plain"));
    const [[name, module]] = [...adapter.modules] as [
      [string, NonNullable<ReturnType<Adapter["modules"]["get"]>>],
    ];
    const stray = { ...adapter, modules: new Map([["model.layers.9.self_attn.q_proj", module]]) };
    await expect(merged(stray)).rejects.toMatchObject({
      code: "adapter-mismatch",
      key: "model.layers.9.self_attn.q_proj",
    });
    const narrow = { ...module, inSize: 12, a: module.a.slice(0, 48) };
    await expect(merged({ ...adapter, modules: new Map([[name, narrow]]) })).rejects.toMatchObject({
      code: "adapter-mismatch",
      key: name,
    });
  });

  it("for a flag fan_in_fan_out that is wrong for the model", async () => {
    const adapter = await readAdapter(join(fixtures, "plain"));
    await expect(merged({ ...adapter, isTransposed: true })).rejects.toMatchObject({
      code: "adapter-config-unsupported",
      key: "adapter_config.json: fan_in_fan_out",
    });
  });

  it("into a folder that holds something", async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, "x"));
    const adapter = await readAdapter(join(fixtures, "plain"));
    await expect(mergeAndSave(fixture("tied"), adapter, folder)).rejects.toMatchObject({
      code: "adapter-exists",
    });
  });
});
