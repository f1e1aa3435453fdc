import { readdirSync, readFileSync } from "node:fs";
import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { buildGraphs } from "#runtime/decoder/inference-graphs";
import { ModelRuntimeError } from "#runtime/errors";
import { decodeConfig } from "#runtime/families/config";
import { type FuzzOptions, fuzzFile } from "#runtime/fixtures/damage";
import { copyFixture, fixture, shard, temporaryFolder } from "#runtime/fixtures/folders";
import { familyCases } from "#runtime/fixtures/golden-family";
import { createAdapter, readAdapter, readTokenizer, train } from "#runtime/index";
import { openChatTemplate } from "#runtime/text/template/chat-template";
import { readModelFolder } from "#runtime/weights/model-folder";

const fuzz = (path: string, read: () => Promise<unknown>, options: Omit<FuzzOptions, "errors">) =>
  fuzzFile(path, read, { errors: ModelRuntimeError, ...options });

describe("damaged bytes and exchanged values give a result or an error of the library, in bounded time, in", () => {
  it.each(familyCases)("config.json of %s, up to its graphs", async (name) => {
    const folder = join(await temporaryFolder(), name);
    await cp(join(import.meta.dirname, "fixtures/families", name), folder, { recursive: true });
    const read = async () => buildGraphs(await readModelFolder(folder));
    await fuzz(join(folder, "config.json"), read, { seed: 21, numRuns: 60 });
  });

  it("the header of model.safetensors, up to its graphs", async () => {
    const folder = await copyFixture("tied");
    const path = join(folder, "model.safetensors");
    const reach = 8 + Number(readFileSync(path).readBigUInt64LE(0));
    const read = async () => buildGraphs(await readModelFolder(folder));
    await fuzz(path, read, { seed: 22, numRuns: 300, reach });
  });

  it("model.safetensors.index.json, and the headers of shards", async () => {
    const folder = await copyFixture("tied");
    await shard(folder, 3);
    const read = async () => buildGraphs(await readModelFolder(folder));
    await fuzz(join(folder, "model.safetensors.index.json"), read, { seed: 23, numRuns: 300 });
    const shards = readdirSync(folder).filter((name) => name.endsWith(".safetensors"));
    await fuzz(join(folder, shards[1]!), read, { seed: 24, numRuns: 100, reach: 600 });
  });

  it.each(["deepseek-3", "gemma", "llama-2", "llama-3"])(
    "tokenizer.json in the shape of %s",
    async (name) => {
      const folder = await copyFixture("tied");
      await cp(
        join(import.meta.dirname, `text/fixtures/tokenizers/${name}.json`),
        join(folder, "tokenizer.json"),
      );
      await writeFile(join(folder, "tokenizer_config.json"), "{}");
      const read = async () => {
        const tokenizer = await readTokenizer(folder);
        const parts = tokenizer.split(`The river, 12 ${tokenizer.specialSpellings.join("")} 雨.`);
        return tokenizer.decode(tokenizer.encode(parts));
      };
      await fuzz(join(folder, "tokenizer.json"), read, { seed: 25, numRuns: 250 });
    },
  );

  it("tokenizer_config.json and generation_config.json, tokenizer and chat template alike", async () => {
    const folder = await copyFixture("tied");
    const config = JSON.parse(await readFile(join(folder, "tokenizer_config.json"), "utf8"));
    const templates = [
      { name: "default", template: "{{ messages[0].content }}" },
      { name: "tool_use", template: "{{ tools }}" },
    ];
    const rich = { ...config, chat_template: templates, additional_special_tokens: ["<|a|>", "<|b|>"] };
    await writeFile(join(folder, "tokenizer_config.json"), JSON.stringify(rich));
    await writeFile(join(folder, "generation_config.json"), JSON.stringify({ eos_token_id: [7, 8] }));
    const read = async () => {
      await (await openChatTemplate(folder)).close();
      return (await readTokenizer(folder)).encode("a river");
    };
    await fuzz(join(folder, "tokenizer_config.json"), read, { seed: 26, numRuns: 300 });
    await fuzz(join(folder, "generation_config.json"), read, { seed: 27, numRuns: 100 });
  });

  it.each(["plain", "patterns", "conv1d"])("both files of the adapter %s", async (name) => {
    const folder = join(await temporaryFolder(), "adapter");
    await cp(join(import.meta.dirname, "lora/fixtures", name), folder, { recursive: true });
    const read = () => readAdapter(folder);
    await fuzz(join(folder, "adapter_config.json"), read, { seed: 28, numRuns: 300 });
    await fuzz(join(folder, "adapter_model.safetensors"), read, { seed: 29, numRuns: 200, reach: 400 });
  });

  it("both files of a checkpoint", async () => {
    const folder = await temporaryFolder();
    const model = fixture("tied");
    const start = await createAdapter(model, { rank: 1, alpha: 1, targetModules: ["q_proj"], seed: 1n });
    const options = {
      examples: [{ tokenIds: [1, 2, 3], answerFrom: 1 }],
      schedule: { kind: "constant", peak: 1e-3, warmupSteps: 0, stepsMax: 1 },
      ...{ rowTokens: 8, rowCount: 1, runsPerStep: 1, seed: 1n, checkpointFolder: folder },
    } as const;
    await train(model, start, options);
    const read = () => train(model, start, options);
    await fuzz(join(folder, "checkpoint.json"), read, { seed: 30, numRuns: 30 });
    await fuzz(join(folder, "state-1.safetensors"), read, { seed: 31, numRuns: 12 });
  });
});

it("decodes any config.json of any model type, or names the key that it cannot use", () => {
  const configs = familyCases.map((name) =>
    JSON.parse(readFileSync(join(import.meta.dirname, "fixtures/families", name, "config.json"), "utf8")),
  );
  fc.assert(
    fc.property(fc.constantFrom(...configs), fc.constantFrom(...configs), fc.nat(), (one, other, pick) => {
      const keys = Object.keys(other);
      const mixed = {
        ...one,
        ...Object.fromEntries(keys.slice(pick % keys.length).map((key) => [key, other[key]])),
      };
      try {
        expect(decodeConfig(mixed).layers.length).toBeGreaterThan(0);
      } catch (error) {
        expect(error).toMatchObject({ code: "model-config-unsupported" });
      }
    }),
    { seed: 32, numRuns: 500 },
  );
});
