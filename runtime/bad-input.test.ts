import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { copyFixture, fixture, randomModel, temporaryFolder } from "#runtime/fixtures/folders";
import {
  createAdapter,
  type GenerateRequest,
  type LogProbRequest,
  type OpenOptions,
  openGradients,
  openModel,
  readAdapter,
  readTokenizer,
  train,
} from "#runtime/index";
import { openChatTemplate } from "#runtime/text/template/chat-template";
import { quantiseFolder } from "#runtime/weights/quantise-folder";
import { read } from "#runtime/weights/safetensors";

const adapter = await createAdapter(fixture("tied"), {
  rank: 2,
  alpha: 2,
  targetModules: ["q_proj"],
  seed: 1n,
});
const options = {
  examples: [{ tokenIds: [1, 2, 3, 4], answerFrom: 1 }],
  schedule: { kind: "constant", peak: 1e-3, warmupSteps: 0, stepsMax: 1 },
  ...{ rowTokens: 8, rowCount: 1, runsPerStep: 1, seed: 1n },
} as const;
const greedy: GenerateRequest = { promptTokenIds: [1, 2], tokensMax: 2, temperature: 0, seed: 0n };
const asked: LogProbRequest = { promptTokenIds: [1, 2], answerTokenIds: [3] };

/** A copy of the small model with a number of one tensor exchanged. */
async function withNumber(value: number, tensor = "model.norm.weight", given?: string): Promise<string> {
  const folder = given ?? (await copyFixture("tied"));
  const path = join(folder, "model.safetensors");
  const { offset } = (await read(path)).get(tensor)!;
  const bytes = await readFile(path);
  bytes.writeFloatLE(value, offset);
  await writeFile(path, bytes);
  return folder;
}

describe("weights that are no numbers", () => {
  it.each([Number.NaN, Number.POSITIVE_INFINITY])("give no result, but not-finite: %d", async (value) => {
    const folder = await withNumber(value);
    await using model = await openModel(folder);
    const failure = { code: "not-finite", retryable: false };
    await expect(model.logProb([asked])).rejects.toMatchObject(failure);
    await expect(model.generate(greedy)).rejects.toMatchObject(failure);
    await expect(train(folder, adapter, options)).rejects.toMatchObject(failure);
    await using gradients = await openGradients(folder, adapter, { kind: "full" });
    await expect(gradients.of(options.examples)).rejects.toMatchObject(failure);
  });

  it("are not quantised: the tensor is named", async () => {
    const tensor = "model.layers.0.self_attn.q_proj.weight";
    const folder = await withNumber(Number.NaN, tensor, await randomModel());
    const target = join(await temporaryFolder(), "quantised");
    await expect(quantiseFolder(folder, target, { bits: 8 })).rejects.toMatchObject({
      code: "weight-file-invalid",
      tensor,
    });
  });
});

describe("requests", () => {
  it("longer than the context, empty, or of no request are refused, and the next is answered", async () => {
    await using model = await openModel(fixture("tied"));
    const long = new Array<number>(model.contextTokensMax + 1).fill(1);
    const answers = await model.logProb([asked]);
    await expect(model.generate({ ...greedy, promptTokenIds: long })).rejects.toMatchObject({
      code: "context-exceeded",
      message: expect.stringContaining("Shorten the prompt"),
    });
    await expect(model.logProb([{ ...asked, promptTokenIds: long }])).rejects.toMatchObject({
      code: "context-exceeded",
    });
    const open = (adaptableModules: unknown) =>
      openModel(fixture("tied"), { adaptableModules } as OpenOptions);
    const refusals: [() => Promise<unknown>, string][] = [
      [() => model.logProb([]), "requests"],
      [() => model.logProb([asked, null] as never), "requests"],
      [() => model.logProb([asked, ...new Array(1)]), "requests"],
      [() => model.generate(null as never), "request"],
      [() => model.logProb([{ ...asked, answerTokenIds: [] }]), "answerTokenIds"],
      [() => model.logProb([{ ...asked, promptTokenIds: [] }]), "promptTokenIds"],
      [() => model.generate({ ...greedy, promptTokenIds: [] }), "promptTokenIds"],
      [() => train(fixture("tied"), adapter, { ...options, examples: [] }), "examples"],
      [() => openModel(fixture("tied"), null as never), "options"],
      [() => train(fixture("tied"), adapter, null as never), "options"],
      [() => openGradients(fixture("tied"), adapter, { kind: "full" }, null as never), "options"],
      [() => model.generate({ ...greedy, signal: {} } as never), "signal"],
      [() => model.generate({ ...greedy, onToken: "x" } as never), "onToken"],
      [() => open([undefined]), "adaptableModules"],
      [() => open("q_proj"), "adaptableModules"],
    ];
    for (const [refused, field] of refusals) {
      await expect(refused(), field).rejects.toMatchObject({ code: "request-invalid", field });
    }
    await using gradients = await openGradients(fixture("tied"), adapter, { kind: "full" });
    expect(await gradients.of([])).toEqual([]);
    await expect(gradients.of([{ tokenIds: [], answerFrom: 1 }])).rejects.toMatchObject({
      code: "example-invalid",
    });
    expect(await model.logProb([asked])).toEqual(answers);
  });

  it("of any values are answered or refused by the name of the field, never by a crash", async () => {
    await using model = await openModel(fixture("tied"));
    const value = fc.oneof(
      fc.constantFrom(null, undefined, true, "1", 1n, -1n, 2n ** 64n, [], {}, [1.5], [-1], ["1"], [1, 2]),
      fc.constantFrom(0, -1, 0.5, 1, 2 ** 31, 2 ** 53, Number.NaN, Infinity, [300], [2 ** 40], [null]),
      fc.constantFrom([undefined], [1, undefined, 2], new Array(3), [() => 1], [Symbol.iterator]),
    );
    const fields = [
      "promptTokenIds",
      "tokensMax",
      "temperature",
      "topK",
      "topP",
      "repetitionPenalty",
      "seed",
    ];
    const field = fc.constantFrom(...fields, "stopTokenIds", "adapter", "answerTokenIds", "cuts");
    await fc.assert(
      fc.asyncProperty(field, value, async (name, given) => {
        const results = await Promise.allSettled([
          model.generate({ ...greedy, [name]: given } as GenerateRequest),
          model.logProb([{ ...asked, [name]: given } as LogProbRequest]),
        ]);
        for (const result of results) {
          if (result.status === "fulfilled") continue;
          expect(result.reason.code, String(result.reason)).toMatch(
            /^(request-invalid|adapter-unknown|context-exceeded)$/,
          );
        }
      }),
      { seed: 33, numRuns: 200 },
    );
    expect(await model.logProb([asked])).toHaveLength(1);
  });

  it("to learn from examples of any values are refused by the example's index, never by a crash", async () => {
    await using gradients = await openGradients(fixture("tied"), adapter, { kind: "full" });
    const [good] = options.examples;
    const bad: unknown[] = [
      ...[null, undefined, 3, "x", {}, [], { tokenIds: "12", answerFrom: 1 }, { tokenIds: [1, 2] }],
      ...[[1, undefined, 2], new Array(3), [1, null], [1, "2"], [1, 2n], [1, 1.5], [1, -1], [1, 300]].map(
        (tokenIds) => ({ tokenIds, answerFrom: 1 }),
      ),
      ...[0, 2, -1, 0.5, "1", null, Number.NaN].map((answerFrom) => ({ tokenIds: [1, 2], answerFrom })),
    ];
    const sparse = new Array(2);
    sparse[0] = good;
    const lists = [...bad.map((example) => [good, example]), sparse] as never[];
    for (const examples of lists) {
      const failure = { code: "example-invalid", index: 1 };
      await expect(gradients.of(examples)).rejects.toMatchObject(failure);
      await expect(train(fixture("tied"), adapter, { ...options, examples })).rejects.toMatchObject(failure);
    }
  });
});

describe("memory", () => {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  /** Collected three times: what a first pass finds free gives back its memory outside V8 a turn later. */
  const held = async () => {
    for (let pass = 0; pass < 3; pass++) {
      collect();
      await setTimeout(20);
    }
    const { rss, external, arrayBuffers } = process.memoryUsage();
    return { rss, external: external + arrayBuffers };
  };

  it("is given back by every refusal, however often", async () => {
    const [broken, bad, lame] = [
      await withNumber(Number.NaN),
      await copyFixture("tied"),
      await copyFixture("tied"),
    ];
    await writeFile(join(bad, "config.json"), JSON.stringify({ model_type: "t5" }));
    await writeFile(join(bad, "adapter_config.json"), "{}");
    await writeFile(join(bad, "adapter_model.safetensors"), new Uint8Array(2 ** 22));
    await writeFile(join(lame, "tokenizer.json"), `[${"{},".repeat(200_000)}0]`);
    await writeFile(join(lame, "chat_template.jinja"), "{{ ");
    const attempts: (() => Promise<unknown>)[] = [
      () => openModel(bad),
      () => readAdapter(bad),
      () => readTokenizer(lame),
      () => train(broken, adapter, options),
      async () => {
        await using gradients = await openGradients(broken, adapter, { kind: "full" });
        await gradients.of(options.examples);
      },
      async () => {
        await using template = await openChatTemplate(lame);
        await template.render({ messages: [{ role: "user", content: "x" }] });
      },
      async () => {
        await using model = await openModel(broken);
        await model.logProb([asked]);
      },
    ];
    const round = async () => {
      for (const attempt of attempts)
        await expect(attempt()).rejects.toMatchObject({ code: expect.any(String) });
    };
    // Allocators of threads and processes settle over the first ten rounds or so; a leak goes on after them.
    for (let warm = 0; warm < 10; warm++) await round();
    const before = await held();
    for (let count = 0; count < 8; count++) await round();
    const after = await held();
    expect(after.external - before.external).toBeLessThan(4 * 2 ** 20);
    expect(after.rss - before.rss).toBeLessThan(64 * 2 ** 20);
  });
});
