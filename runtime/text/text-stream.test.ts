import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fixture } from "#runtime/fixtures/folders";
import {
  createTextStream,
  stopStringLengthMax,
  stopStringsMax,
  type TextStreamOptions,
} from "./text-stream.ts";
import { readTokenizer } from "./tokenizer.ts";

const tokenizer = await readTokenizer(fixture("tied"));

/** Text of a stream that is given these tokens, piece by piece. */
function stream(tokenIds: readonly number[], stopStrings: readonly string[] = []) {
  const made = createTextStream(tokenizer, { stopStrings });
  const pieces = tokenIds.map((tokenId) => made.push(tokenId));
  return { text: pieces.join("") + made.end(), pieces, stopString: made.stopString };
}

/** What a stream must give: the text before the first stop string to be complete. */
function cutText(text: string, stopStrings: readonly string[]): string {
  for (let end = 0; end <= text.length; end++) {
    const done = stopStrings.filter((stopString) => text.slice(0, end).endsWith(stopString));
    if (done.length > 0) return text.slice(0, end - Math.max(...done.map(({ length }) => length)));
  }
  return text;
}

describe("a text stream", () => {
  it("gives pieces that join to the whole text, and no broken character before its last byte", () => {
    for (const text of ["", "plain words", "東京 and 🌊 and é", "ends in a � sign �"]) {
      expect(stream(tokenizer.encode(text)).text).toBe(text);
    }
    const wave = tokenizer.encode("🌊");
    expect(wave.length).toBeGreaterThan(1);
    expect(stream(wave).pieces).toEqual([...wave.slice(1).map(() => ""), "🌊"]);
  });

  it("gives the whole text whatever the tokens are, also where their bytes are no characters", () => {
    const ids = fc.array(fc.nat(299), { maxLength: 150 });
    fc.assert(
      fc.property(ids, (tokenIds) => {
        expect(stream(tokenIds).text).toBe(tokenizer.decode(tokenIds));
      }),
      { seed: 3, numRuns: 400 },
    );
  });

  it("holds back no more than may still change", () => {
    const broken = tokenizer.encode("🌊").slice(0, 1);
    const { pieces } = stream(Array.from({ length: 200 }, () => broken[0]!));
    expect(pieces.join("").length).toBe(197);
  });

  it("costs a token the same after thousands of others", () => {
    let decoded = 0;
    const counting = {
      ...tokenizer,
      decode: (ids: readonly number[]) => {
        decoded += ids.length;
        return tokenizer.decode(ids);
      },
    };
    const made = createTextStream(counting);
    const ids = tokenizer.encode("The river carries what the rain gives it. ".repeat(100));
    for (const tokenId of ids) made.push(tokenId);
    expect(decoded / ids.length).toBeLessThan(64);
  });
});

describe("stop strings", () => {
  it("end the text wherever the tokens' boundaries lie, and are no part of it", () => {
    const ids = tokenizer.encode("one two STOP three");
    expect(stream(ids, ["STOP"])).toMatchObject({ text: "one two ", stopString: "STOP" });
    const letters = [..."one two STOP three"].flatMap((letter) => tokenizer.encode(letter));
    expect(stream(letters, ["two S", "STOP"])).toMatchObject({ text: "one ", stopString: "two S" });
  });

  it("hold back what may be their start, and let it go when it is not", () => {
    const letters = [..."a\nUs\nUser"].flatMap((letter) => tokenizer.encode(letter));
    expect(stream(letters, ["\nUser"]).pieces).toEqual(["a", "", "", "", "\nUs", "", "", "", ""]);
    expect(stream(tokenizer.encode("a\nUse"), ["\nUser"]).text).toBe("a\nUse");
  });

  it("cut the text at the first to be complete, however it comes in", () => {
    const letters = fc.constantFrom("a", "b", "ab", "é", "🌊");
    const words = fc.array(letters, { minLength: 1, maxLength: 3 }).map((list) => list.join(""));
    fc.assert(
      fc.property(fc.array(letters), fc.array(words, { maxLength: 3 }), (list, stopStrings) => {
        const whole = tokenizer.encode(list.join(""));
        const single = list.flatMap((letter) => tokenizer.encode(letter));
        const expected = cutText(list.join(""), stopStrings);
        expect(stream(whole, stopStrings).text).toBe(expected);
        expect(stream(single, stopStrings).text).toBe(expected);
      }),
      { seed: 5, numRuns: 500 },
    );
  });

  it("are refused when empty, too long, too many, or no strings", () => {
    for (const stopStrings of [
      [""],
      [5],
      new Array(1),
      "x",
      ["x".repeat(stopStringLengthMax + 1)],
      new Array(stopStringsMax + 1).fill("x"),
    ]) {
      expect(() => createTextStream(tokenizer, { stopStrings } as TextStreamOptions)).toThrow(
        expect.objectContaining({ code: "request-invalid", retryable: false }),
      );
    }
  });
});
