import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openModel, readTokenizer, renderPrompt } from "#runtime/index";
import { generateText } from "./generate-text.ts";

const quote = join(import.meta.dirname, "../models/quote");
const tokenizer = await readTokenizer(quote);
const model = await openModel(quote);
afterAll(() => model.close());

const passages = ["The heron waits by the weir until noon.", "The mill was built in 1742 by Anna Roth."];
const request = {
  prompt: renderPrompt({ passages, question: "When was the mill built?" }),
  tokensMax: 32,
  temperature: 0,
  seed: 0n,
};

describe("generated text", () => {
  it("is the text of the generated tokens, given in pieces", async () => {
    const pieces: string[] = [];
    const { text, tokenIds, finishReason } = await generateText(model, tokenizer, {
      ...request,
      onText: (piece) => pieces.push(piece),
    });
    const plain = await model.generate({
      ...request,
      promptTokenIds: tokenizer.encode(request.prompt),
      stopTokenIds: tokenizer.stopTokenIds,
    });
    expect({ tokenIds, finishReason }).toEqual({
      tokenIds: plain.tokenIds,
      finishReason: plain.finishReason,
    });
    expect(text).toBe(tokenizer.decode(tokenIds));
    expect(pieces.length).toBeGreaterThan(1);
    expect(pieces.join("")).toBe(text);
  });

  it("ends at the tokenizer's stop tokens where the request's are undefined", async () => {
    const { tokenIds, finishReason } = await generateText(model, tokenizer, request);
    const given = await generateText(model, tokenizer, { ...request, stopTokenIds: undefined });
    expect(given).toMatchObject({ tokenIds, finishReason: "stop" });
    expect(finishReason).toBe("stop");
  });

  it("ends before a stop string, wherever tokens end, with the tokens up to it", async () => {
    const whole = await generateText(model, tokenizer, request);
    for (const [from, length] of [
      [3, 2],
      [8, 4],
      [whole.text.length - 3, 3],
    ] as const) {
      const wanted = whole.text.slice(from, from + length);
      const stopStrings = ["\u0000", wanted];
      const found = await generateText(model, tokenizer, { ...request, stopStrings });
      expect(found.text).toBe(whole.text.slice(0, whole.text.indexOf(wanted)));
      expect(found).toMatchObject({ finishReason: "stop", stopString: wanted });
      expect(whole.tokenIds.slice(0, found.tokenIds.length)).toEqual(found.tokenIds);
      expect(found.logProbs).toHaveLength(found.tokenIds.length);
      expect(tokenizer.decode(found.tokenIds)).toContain(wanted);
      expect(tokenizer.decode(found.tokenIds.slice(0, -1))).not.toContain(wanted);
      expect(await generateText(model, tokenizer, { ...request, stopStrings })).toEqual(found);
    }
  });

  it("ends by its signal, with its listener's error, and not before what never comes", async () => {
    const aborted = await generateText(model, tokenizer, { ...request, signal: AbortSignal.abort() });
    expect(aborted).toMatchObject({ text: "", finishReason: "aborted", stopString: undefined });
    const failing = () => {
      throw new RangeError("the reader went away");
    };
    await expect(generateText(model, tokenizer, { ...request, onText: failing })).rejects.toThrow(RangeError);
    const whole = await generateText(model, tokenizer, request);
    const never = await generateText(model, tokenizer, { ...request, stopStrings: ["never said"] });
    expect(never).toEqual(whole);
    await expect(generateText(model, tokenizer, { ...request, stopStrings: [""] })).rejects.toMatchObject({
      code: "request-invalid",
    });
    await expect(generateText(model, tokenizer, null as never)).rejects.toMatchObject({ field: "request" });
  });
});
