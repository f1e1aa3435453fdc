import { describe, expect, it } from "vitest";
import { adaptedBuild, findTargets } from "#runtime/decoder/adapted";
import { expectedTensors } from "#runtime/decoder/description";
import { buildGraphs } from "#runtime/decoder/inference-graphs";
import { project, runSequences } from "#runtime/decoder/skeleton";
import {
  familyCases,
  feedFactors,
  feedTokens,
  type GoldenFamily,
  readFamily,
  relativeError,
} from "#runtime/fixtures/golden-family";
import { gradientGraph } from "#runtime/gradients/gradient-graph";
import { decode, prefill } from "#runtime/inference/forward";
import { integers, loadModel, openGraph } from "#runtime/inference/session";
import { create, type Graph, input, output } from "#runtime/onnx/graph";
import { encode } from "#runtime/onnx/model";
import { trainGraph } from "#runtime/training/train-graph";
import type { ModelFolder } from "#runtime/weights/model-folder";
import { claimTensors } from "./weight-claims.ts";

/** Largest relative error, L2, against float32 PyTorch. */
const relativeErrorMax = 1e-5;

const claim = (folder: ModelFolder, tensors: ModelFolder["tensors"]) =>
  claimTensors({ ...folder, tensors }, expectedTensors(folder.config));

const open = async (golden: GoldenFamily, graph: Graph) =>
  (await openGraph(graph.name, encode(graph), golden.folder.path)).run;

describe.each(familyCases)("%s, against PyTorch and PEFT,", (name) => {
  it("gives the logits with its adapter", async () => {
    const golden = await readFamily(name);
    const { targets, feeds } = feedFactors(golden);
    const graph = create("logits");
    const tokenIds = input(graph, "tokenIds", "int64", ["B", "T"]);
    const { build } = adaptedBuild(graph, golden.folder, targets);
    output(graph, "logits", project(build, runSequences(build, tokenIds, { kind: "prefix" }).hidden));
    const run = await open(golden, graph);
    const { logits } = await run({
      ...feeds,
      tokenIds: integers(golden.tokenIds, [golden.batch, golden.tokens]),
    });
    expect(relativeError(logits!, golden.tensors.get("logits")!)).toBeLessThan(relativeErrorMax);
  });

  it("gives the loss and every gradient of the adapter", async () => {
    const golden = await readFamily(name);
    const { targets, feeds } = feedFactors(golden);
    const run = await open(golden, trainGraph(golden.folder, targets));
    const outputs = await run({ ...feeds, ...feedTokens(golden) });
    expect(relativeError(outputs.loss!, golden.tensors.get("loss")!)).toBeLessThan(relativeErrorMax);
    for (const key of Object.keys(feeds)) {
      const gradient = golden.tensors.get(`gradient.${key}`)!;
      expect(relativeError(outputs[`gradient.${key}`]!, gradient), key).toBeLessThan(relativeErrorMax);
    }
  });

  it("splits those gradients by sequence", async () => {
    const golden = await readFamily(name);
    const { targets, feeds } = feedFactors(golden);
    const run = await open(golden, gradientGraph(golden.folder, targets, { kind: "full" }));
    const { positions: _, segments: __, ...tokens } = feedTokens(golden);
    const outputs = await run({ ...feeds, ...tokens });
    for (const key of Object.keys(feeds)) {
      const each = outputs[`gradient.${key}`]!;
      const size = each.length / golden.batch;
      const sum = each.slice(0, size).map((value, index) => value + each[size + index]!);
      expect(relativeError(sum, golden.tensors.get(`gradient.${key}`)!), key).toBeLessThan(relativeErrorMax);
    }
  });

  it("decodes step by step what it prefills at once", async () => {
    const { folder, tokenIds } = await readFamily(name);
    const model = loadModel({ folder: folder.path, config: folder.config, graphs: buildGraphs(folder) });
    const { cache } = await prefill(model, tokenIds.slice(0, 2));
    for (let length = 2; length < 12; length++) {
      const [stepped] = await decode(model, cache, [tokenIds[length]!]);
      if (length % 3 > 0) continue;
      const { logits } = await prefill(model, tokenIds.slice(0, length + 1));
      expect(relativeError(stepped!, logits), `after ${length + 1} tokens`).toBeLessThan(relativeErrorMax);
    }
  });
});

describe("a family's tensors", () => {
  it("may be named as files of the bare model name them", async () => {
    const { folder } = await readFamily("bloom");
    const bare = [...folder.tensors].map(
      ([name, entry]) => [name.replace("transformer.", ""), entry] as const,
    );
    expect(() => buildGraphs({ ...folder, tensors: new Map(bare) })).not.toThrow();
  });

  it.each(familyCases)("of %s must all be there, of their shape and dtype, and all be used", async (name) => {
    const { folder } = await readFamily(name);
    expect(() => claim(folder, folder.tensors)).not.toThrow();
    for (const [tensor, entry] of folder.tensors) {
      const without = new Map(folder.tensors);
      without.delete(tensor);
      expect(() => claim(folder, without), tensor).toThrow(expect.objectContaining({ tensor }));
      for (const change of [{ shape: [...entry.shape, 1] }, { dtype: "I64" }]) {
        const changed = new Map(folder.tensors).set(tensor, { ...entry, ...change });
        expect(() => claim(folder, changed), tensor).toThrow(expect.objectContaining({ tensor }));
      }
      const stray = `${tensor}.more`;
      const more = new Map(folder.tensors).set(stray, entry);
      expect(() => claim(folder, more), stray).toThrow(expect.objectContaining({ tensor: stray }));
    }
  });

  it("of GPT-2 may be masks, which nobody needs, but no more weights than its layers have", async () => {
    const { folder } = await readFamily("gpt2");
    const [entry] = folder.tensors.values();
    const mask = { ...entry!, shape: [1, 1, 64, 64] };
    for (const prefix of ["", "transformer."]) {
      for (const name of ["h.1.attn.bias", "h.1.attn.masked_bias"]) {
        const masked = new Map(folder.tensors).set(`${prefix}${name}`, mask);
        expect(() => claim(folder, masked)).not.toThrow();
      }
      const tensor = `${prefix}h.99.attn.c_attn.bias`;
      const more = new Map(folder.tensors).set(tensor, entry!);
      expect(() => claim(folder, more)).toThrow(expect.objectContaining({ tensor }));
    }
  });

  it("tell apart adapters for other models, naming the module", async () => {
    const { folder } = await readFamily("gpt2");
    const module = { name: "transformer.h.2.attn.c_attn", rank: 2, scale: 1 };
    expect(() => findTargets(folder.config, [module])).toThrow(
      expect.objectContaining({ code: "adapter-mismatch", key: module.name }),
    );
  });
});
