import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { copyFixture, fixture, temporaryFolder } from "#runtime/fixtures/folders";
import {
  combinationError,
  combine,
  createAdapter,
  mergeAndSave,
  openChatTemplate,
  openGradients,
  openModel,
  readAdapter,
  readTokenizer,
  renderAnswer,
  renderPrompt,
  train,
  writeAdapter,
} from "#runtime/index";

import { create, encode, gradients, input, op, output } from "#runtime/onnx/index";

const console = { log: (..._: unknown[]) => undefined };
const adapterSettings = { alpha: 8, targetModules: ["q_proj", "v_proj"], seed: 1n };

/** A folder with an adapter of `rank` for the fixture. */
async function adapterFolderOf(rank: number): Promise<string> {
  const folder = join(await temporaryFolder(), "adapter");
  await writeAdapter(folder, await createAdapter(fixture("tied"), { ...adapterSettings, rank }));
  return folder;
}

const examples = Array.from({ length: 12 }, (_, index) => ({
  tokenIds: Array.from({ length: 20 + index }, (_value, at) => 20 + ((index * 7 + at * 3) % 200)),
  answerFrom: 4,
}));

describe("an example of the README", () => {
  it("asks, and judges what a passage is worth", async () => {
    const folder = fixture("tied");

    const tokenizer = await readTokenizer(folder);
    await using model = await openModel(folder, { threads: 2 });

    const prompt = { passages: ["The sky is blue."], question: "What colour is the sky?" };
    const promptTokenIds = tokenizer.encode(renderPrompt(prompt));
    const { tokenIds } = await model.generate({
      promptTokenIds,
      tokensMax: 24,
      temperature: 0,
      seed: 1n,
      stopTokenIds: tokenizer.stopTokenIds,
      onToken: ({ index, tokenId }) => console.log(index, tokenId),
    });
    const answer = tokenizer.decode(tokenIds);

    const answerTokenIds = tokenizer.encode(renderAnswer(answer));
    const without = tokenizer.encode(renderPrompt({ ...prompt, passages: [] }));
    const [full = 0, empty = 0] = await model.logProb([
      { promptTokenIds, answerTokenIds },
      { promptTokenIds: without, answerTokenIds },
    ]);
    console.log(`the passage is worth ${full - empty} nats`);

    expect(tokenIds.length).toBeGreaterThan(0);
    expect(full - empty).not.toBe(0);
  });

  it("renders a chat", async () => {
    const folder = await copyFixture("tied");
    await writeFile(join(folder, "chat_template.jinja"), "{{ messages[0].content }}");
    const tokenizer = await readTokenizer(folder);

    await using template = await openChatTemplate(folder);
    const chat = {
      messages: [{ role: "user", content: "What colour is the sky?" }],
      addGenerationPrompt: true,
    };
    console.log(await template.render(chat)); // the text that apply_chat_template of transformers gives
    const promptTokenIds = await template.encode(chat, tokenizer);
    console.log(template.hash); // SHA-256 of the template: serve with the one trained with

    expect(promptTokenIds).toEqual(tokenizer.encode("What colour is the sky?"));
  });

  it("reads, writes, combines and merges adapters", async () => {
    const folder = fixture("tied");
    const adapterFolder = await adapterFolderOf(4);
    const other = await readAdapter(await adapterFolderOf(2));
    const [copyFolder, mergedFolder] = [
      join(await temporaryFolder(), "copy"),
      join(await temporaryFolder(), "merged"),
    ];

    const adapter = await readAdapter(adapterFolder); // a PEFT folder
    await writeAdapter(copyFolder, adapter); // what PEFT 0.21 loads, with the same logits
    const parts = [
      { adapter, weight: 0.7 },
      { adapter: other, weight: 0.3 },
    ];
    const both = combine(parts, { type: "cat" });
    console.log(combinationError(parts, both)); // how far from Σ wᵢ·sᵢ·Bᵢ·Aᵢ, 0 is exact
    await mergeAndSave(folder, both, mergedFolder); // a model folder without an adapter

    await (await openModel(mergedFolder)).close();
  });

  it("trains an adapter, and takes gradients of it", async () => {
    const folder = fixture("tied");
    const checkpointFolder = await temporaryFolder();

    const adapter = await createAdapter(folder, {
      rank: 8,
      alpha: 16,
      targetModules: ["q_proj", "v_proj"],
      seed: 1n,
    });
    const { adapter: trained, losses } = await train(folder, adapter, {
      examples, // { tokenIds, answerFrom }: tokens from answerFrom on are learned
      schedule: { kind: "cosine", peak: 2e-3, warmupSteps: 2, stepsMax: 20 },
      rowTokens: 128,
      rowCount: 4,
      runsPerStep: 2,
      seed: 1n,
      checkpointFolder, // continues from there, to the same losses and factors to the bit
    });

    const reduction = { kind: "projected", rows: 4, columns: 16, seed: 1n } as const;
    await using gradients = await openGradients(folder, trained, reduction);
    const [first] = await gradients.of(examples);
    console.log(first?.loss, first?.factors.get("model.layers.0.self_attn.q_proj.a")); // [4, 16], row major

    expect(losses.at(-1)).toBeLessThan(losses[0]!);
    expect(first?.factors.get("model.layers.0.self_attn.q_proj.a")).toHaveLength(4 * 16);
  });

  it("serves adapters beside the base model", async () => {
    const folder = fixture("tied");
    const adapterFolder = await adapterFolderOf(4);
    const promptTokenIds = [5, 6, 7];

    const adaptableModules = ["q_proj", "v_proj"];
    await using model = await openModel(folder, { adaptableModules, prefixBytesMax: 2 ** 28 });
    const { hash } = await model.loadAdapter("lawyer", adapterFolder); // no session is rebuilt
    const request = { promptTokenIds, tokensMax: 24, temperature: 0, seed: 1n };
    const [lawyer, base] = await Promise.all([
      model.generate({ adapter: "lawyer", ...request }), // steps together with
      model.generate(request), // an answer of the base model
    ]);
    console.log(
      await model.logProb([{ adapter: "lawyer", promptTokenIds, answerTokenIds: lawyer.tokenIds }]),
    );
    console.log(model.profile(["lawyer"]).adapterHashes); // [hash]: part of the profile of those results
    model.unloadAdapter("lawyer"); // answers under way end with it

    expect(model.profile().adapterHashes).toEqual([]);
    expect(hash).toMatch(/^0x/);
    expect(lawyer).toEqual(base); // B is zero: it changes nothing yet.
  });

  it("builds a graph, differentiates and runs it", async () => {
    const graph = create("fit");
    const x = input(graph, "x", "float32", ["N", 3]); // N is known when the graph runs
    const weight = input(graph, "weight", "float32", [2, 3]);
    const y = op.linear(graph, x, weight); // x·Wᵀ, [N, 2]
    const loss = op.sumAll(graph, op.mul(graph, y, y));
    const [slope] = gradients(graph, loss, [weight]); // emits nodes: 2·yᵀ·x, [2, 3]
    output(graph, "loss", loss);
    output(graph, "slope", slope!);
    const session = await ort.InferenceSession.create(encode(graph)); // an ONNX model of 602 bytes
    const outputs = await session.run({
      x: new ort.Tensor("float32", Float32Array.of(1, 2, 3), [1, 3]),
      weight: new ort.Tensor("float32", Float32Array.of(1, 0, 0, 0, 1, 0), [2, 3]),
    });
    console.log(outputs.loss?.data, outputs.slope?.data); // 5, [2, 4, 6, 4, 8, 12]

    expect(outputs.loss?.data).toEqual(Float32Array.of(5));
    expect(outputs.slope?.data).toEqual(Float32Array.of(2, 4, 6, 4, 8, 12));
    expect(encode(graph)).toHaveLength(602);
  });

  it("is one of those above", async () => {
    const squeeze = (text: string) => text.replaceAll(/\s+/g, " ");
    const readme = await readFile(join(import.meta.dirname, "README.md"), "utf8");
    const source = squeeze(await readFile(import.meta.filename, "utf8"));
    const examplesPrinted = [...readme.matchAll(/```ts\n(.*?)```/gs)].map(([, code = ""]) => code);
    expect(examplesPrinted).toHaveLength(7);
    const imported = /^import (?:\* as (\w+)|\{(.*)\}) from ".*";$/gm;
    for (const code of examplesPrinted) {
      for (const [line, all, names = ""] of code.matchAll(imported)) {
        if (all) expect(source).toContain(line);
        else for (const name of names.split(",")) expect(source).toMatch(new RegExp(` ${name.trim()}[, ]`));
      }
      expect(source, code).toContain(squeeze(code.replaceAll(imported, "").trim()));
    }
  });
});
