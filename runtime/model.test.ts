import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { copyFixture, fixture, randomModel } from "#runtime/fixtures/folders";
import { read } from "#runtime/weights/safetensors";
import {
  type GeneratedToken,
  type LogProbRequest,
  type Model,
  openModel,
  readTokenizer,
  renderPrompt,
} from "./index.ts";

const greedy = { promptTokenIds: [0, 40, 41, 42], tokensMax: 30, temperature: 0, seed: 0n };
const sampled = { ...greedy, temperature: 1, topK: 50, topP: 0.95 };

/** Requests of many lengths around the block borders; token ids below 300. */
function requests(count: number): LogProbRequest[] {
  const draw = (length: number, salt: number) =>
    Array.from({ length }, (_, index) => (index * 31 + salt * 17) % 300);
  return Array.from({ length: count }, (_, index) => ({
    promptTokenIds: draw(1 + ((index * 23) % 150), index),
    answerTokenIds: draw(1 + (index % 9), index + 1),
  }));
}

describe("generation", () => {
  it("repeats less under a repetition penalty", async () => {
    await using model = await openModel(fixture("tied"));
    const repeats = async (repetitionPenalty: number) => {
      const { tokenIds } = await model.generate({ ...greedy, repetitionPenalty });
      return tokenIds.length - new Set([...tokenIds]).size;
    };
    expect(await repeats(100)).toBeLessThan(await repeats(1));
    expect(await repeats(100)).toBe(0);
    await expect(repeats(0)).rejects.toMatchObject({ code: "request-invalid", field: "repetitionPenalty" });
  });

  it("repeats itself to the bit for a seed, in the same and in another model handle", async () => {
    await using model = await openModel(fixture("tied"), { threads: 2 });
    await using other = await openModel(fixture("tied"));
    for (const seed of [0n, 7n, 2n ** 64n - 1n]) {
      const first = await model.generate({ ...sampled, seed });
      expect(await model.generate({ ...sampled, seed })).toEqual(first);
      expect(await other.generate({ ...sampled, seed })).toEqual(first);
    }
  });

  it("differs between seeds when sampled, and not when greedy", async () => {
    await using model = await openModel(fixture("tied"));
    const run = async (request: typeof sampled, seed: bigint) =>
      (await model.generate({ ...request, seed })).tokenIds;
    const [one, two] = [await run(sampled, 1n), await run(sampled, 2n)];
    expect(one).not.toEqual(two);
    expect(await run({ ...sampled, temperature: 0 }, 1n)).toEqual(
      await run({ ...sampled, temperature: 0 }, 2n),
    );
  });

  it("hands over each token once and in order, then the same in the result", async () => {
    await using model = await openModel(fixture("grouped"));
    const seen: GeneratedToken[] = [];
    const { tokenIds, logProbs, finishReason } = await model.generate({
      ...greedy,
      onToken: (token) => seen.push(token),
    });
    expect(finishReason).toBe("length");
    expect(seen.map(({ index }) => index)).toEqual(tokenIds.map((_, index) => index));
    expect(seen.map(({ tokenId }) => tokenId)).toEqual(tokenIds);
    expect(seen.map(({ logProb }) => logProb)).toEqual(logProbs);
  });

  it("scores its own tokens as logProb does", async () => {
    await using model = await openModel(fixture("grouped"));
    const { tokenIds, logProbs } = await model.generate(greedy);
    const [sum = Number.NaN] = await model.logProb([{ ...greedy, answerTokenIds: tokenIds }]);
    const own = logProbs.reduce((total, logProb) => total + logProb, 0);
    expect(Math.abs(sum / own - 1)).toBeLessThan(1e-5);
  });

  it("stops before a stop token", async () => {
    await using model = await openModel(fixture("tied"));
    const { tokenIds } = await model.generate(greedy);
    const stop = tokenIds[5] ?? 0;
    const stopped = await model.generate({ ...greedy, stopTokenIds: [stop] });
    expect(stopped.finishReason).toBe("stop");
    expect(stopped.tokenIds).toEqual(tokenIds.slice(0, tokenIds.indexOf(stop)));
  });

  it("ends where the context ends", async () => {
    await using model = await openModel(fixture("tied"));
    const promptTokenIds = new Array<number>(190).fill(9);
    const { tokenIds, finishReason } = await model.generate({ ...greedy, promptTokenIds });
    expect([tokenIds.length, finishReason]).toEqual([10, "length"]);
    const full = new Array<number>(200).fill(9);
    expect((await model.generate({ ...greedy, promptTokenIds: full })).tokenIds).toEqual([]);
  });

  it("stops when its signal aborts, before or during", async () => {
    await using model = await openModel(fixture("tied"));
    const early = await model.generate({ ...greedy, signal: AbortSignal.abort() });
    expect(early).toEqual({ tokenIds: [], logProbs: [], finishReason: "aborted" });
    await using slower = await openModel(await randomModel());
    const controller = new AbortController();
    const during = await slower.generate({
      ...greedy,
      tokensMax: 690,
      signal: controller.signal,
      onToken: () => controller.abort(),
    });
    expect(during.finishReason).toBe("aborted");
    expect(during.tokenIds.length).toBeLessThan(690);
  });

  it("fails with the listener's own error when the listener throws", async () => {
    await using model = await openModel(fixture("tied"));
    const failing = () => {
      throw new RangeError("the reader went away");
    };
    await expect(model.generate({ ...greedy, onToken: failing })).rejects.toThrow(RangeError);
    expect((await model.generate(greedy)).tokenIds.length).toBe(30);
  });
});

describe("log-probabilities", () => {
  it("are the same bits alone, in any order and company, and on any number of threads", async () => {
    const folder = await randomModel();
    await using model = await openModel(folder, { threads: 2 });
    await using single = await openModel(folder, { threads: 1 });
    const asked = requests(24);
    const together = await model.logProb(asked);
    expect(together.every((logProb) => Number.isFinite(logProb) && logProb < 0)).toBe(true);
    expect(await single.logProb(asked)).toEqual(together);
    expect(await model.logProb(asked.toReversed())).toEqual(together.toReversed());
    for (const [index, request] of asked.entries()) {
      expect(await single.logProb([request]), `request ${index} alone`).toEqual([together[index]]);
    }
    const repeated = Array.from({ length: 40 }, () => asked[3]!);
    expect(new Set(await model.logProb(repeated))).toEqual(new Set([together[3]]));
  });

  it("are given for a call of more batches than the queue holds", async () => {
    await using model = await openModel(fixture("tied"), { threads: 2, queueMax: 2 });
    const request = { promptTokenIds: [1, 2, 3], answerTokenIds: [4] };
    expect(await model.logProb(new Array<LogProbRequest>(100).fill(request))).toHaveLength(100);
  });
});

describe("a model whose weights are garbage in a well-formed file", () => {
  it("gives no answer and no log-probability, but its typed error", async () => {
    const folder = await copyFixture("tied");
    const path = join(folder, "model.safetensors");
    const bytes = await readFile(path);
    const norm = (await read(path)).get("model.norm.weight");
    bytes.fill(0xff, norm?.offset, (norm?.offset ?? 0) + 4); // NaN
    await writeFile(path, bytes);
    await using model = await openModel(folder);
    const refused = { code: "not-finite", retryable: false };
    await expect(model.generate(greedy)).rejects.toMatchObject(refused);
    await expect(model.generate(sampled)).rejects.toMatchObject(refused);
    await expect(model.logProb(requests(1))).rejects.toMatchObject(refused);
  });
});

describe("requests", () => {
  let model: Model;
  beforeAll(async () => {
    model = await openModel(fixture("tied"));
  });
  afterAll(() => model.close());

  it.each([
    [{ promptTokenIds: [] }, "promptTokenIds"],
    [{ promptTokenIds: [300] }, "promptTokenIds"],
    [{ promptTokenIds: [-1] }, "promptTokenIds"],
    [{ promptTokenIds: [1.5] }, "promptTokenIds"],
    [{ tokensMax: 0 }, "tokensMax"],
    [{ temperature: -1 }, "temperature"],
    [{ temperature: Number.NaN }, "temperature"],
    [{ topK: 0 }, "topK"],
    [{ topP: 1.1 }, "topP"],
    [{ seed: 2n ** 64n }, "seed"],
  ])("are refused for %o, naming the field", async (changes, field) => {
    await expect(model.generate({ ...greedy, ...changes })).rejects.toMatchObject({
      code: "request-invalid",
      field,
    });
  });

  it("are refused when longer than the context, or empty", async () => {
    const long = { promptTokenIds: new Array<number>(200).fill(1), answerTokenIds: [1] };
    await expect(model.logProb([long])).rejects.toMatchObject({ code: "context-exceeded" });
    await expect(
      model.generate({ ...greedy, promptTokenIds: new Array<number>(201).fill(1) }),
    ).rejects.toMatchObject({
      code: "context-exceeded",
    });
    await expect(model.logProb([])).rejects.toMatchObject({ code: "request-invalid", field: "requests" });
    await expect(model.logProb([{ promptTokenIds: [1], answerTokenIds: [] }])).rejects.toMatchObject({
      field: "answerTokenIds",
    });
  });
});

const quote = join(import.meta.dirname, "models/quote");

describe.skipIf(!existsSync(join(quote, "model.safetensors")))("the quote model", () => {
  it("answers a prompt of the contract the same way every time, and judges its answer the same bits", async () => {
    const tokenizer = await readTokenizer(quote);
    await using model = await openModel(quote, { threads: 2 });
    const passages = ["The heron waits by the weir until noon.", "The mill was built in 1742 by Anna Roth."];
    const promptTokenIds = tokenizer.encode(renderPrompt({ passages, question: "When was the mill built?" }));
    const request = {
      promptTokenIds,
      tokensMax: 32,
      temperature: 0,
      seed: 0n,
      stopTokenIds: tokenizer.stopTokenIds,
    };
    const first = await model.generate(request);
    expect(await model.generate(request)).toEqual(first);
    expect(first.tokenIds.length).toBeGreaterThan(0);
    expect(tokenizer.decode(first.tokenIds)).not.toContain("<|");

    const subsets = [[], [0], [1], [0, 1]].map((kept) => ({
      promptTokenIds: tokenizer.encode(
        renderPrompt({
          passages: kept.map((index) => passages[index]!),
          question: "When was the mill built?",
        }),
      ),
      answerTokenIds: first.tokenIds,
    }));
    const together = await model.logProb(subsets);
    for (const [index, subset] of subsets.entries()) {
      expect(await model.logProb([subset])).toEqual([together[index]]);
    }
  });
});
