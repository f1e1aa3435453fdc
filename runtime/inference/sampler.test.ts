import { readFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { argmax, candidatesOf, chooseToken, pcg32, penalise, type SamplingOptions } from "./sampler.ts";

interface Golden {
  logits: number[];
  previousTokenIds: number[];
  options: SamplingOptions;
  kept: [tokenId: number, probability: number][];
  greedy: number;
}
const golden: Golden[] = JSON.parse(
  await readFile(join(import.meta.dirname, "../fixtures/golden-sampling.json"), "utf8"),
);

const logits = Float32Array.of(0, 2, 1, -1, 2);

function counts(options: { temperature: number; topK?: number; topP?: number }, draws: number): number[] {
  const generator = pcg32(3n);
  const seen = new Array<number>(logits.length).fill(0);
  for (let index = 0; index < draws; index++) {
    const { tokenId } = chooseToken(logits, options, generator);
    seen[tokenId] = (seen[tokenId] ?? 0) + 1;
  }
  return seen;
}

describe("the generator", () => {
  it("gives the numbers published with the reference implementation", () => {
    const next = pcg32(42n, 54n);
    const published = [0xa15c02b7, 0x7b47f409, 0xba1d3330, 0x83d2f293, 0xbfa4784b, 0xcbed606e];
    expect(published.map(() => next())).toEqual(published);
  });

  it("tells seeds apart over the whole unsigned 64-bit range", () => {
    const first = [0n, 1n, 2n ** 32n, 2n ** 63n, 2n ** 64n - 1n].map((seed) => pcg32(seed)());
    expect(new Set(first).size).toBe(5);
  });
});

describe("the choice of a token", () => {
  it("is among the tokens, with the probabilities, that transformers' processors leave", () => {
    for (const { logits: values, previousTokenIds, options, kept, greedy } of golden) {
      const scores = penalise(Float32Array.from(values), options.repetitionPenalty ?? 1, previousTokenIds);
      const { tokenIds, weights } = candidatesOf(scores, options);
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      const found = [...tokenIds].map((id, place) => [id, weights[place]! / total] as const);
      const expected = kept.toSorted(([a], [b]) => a - b);
      expect(found.map(([id]) => id).toSorted((a, b) => a - b)).toEqual(expected.map(([id]) => id));
      for (const [id, probability] of found) {
        expect(Math.abs(probability - expected.find(([other]) => other === id)![1])).toBeLessThan(1e-6);
      }
      expect(
        chooseToken(Float32Array.from(values), { ...options, temperature: 0 }, pcg32(1n), previousTokenIds)
          .tokenId,
      ).toBe(greedy);
    }
  });

  it("orders candidates by logit, then by id, zeros of both signs alike", () => {
    const { tokenIds } = candidatesOf(Float32Array.of(-1, 0, 3, -0, 3, -Infinity, -2), { temperature: 2 });
    expect([...tokenIds]).toEqual([2, 4, 1, 3, 0, 6]);
  });

  it("draws these tokens on every machine", () => {
    const values = Float32Array.from({ length: 40 }, (_, index) => Math.fround(((index * 37) % 40) / 7));
    const generator = pcg32(2026n);
    const options = { temperature: 0.9, topK: 30, topP: 0.97, repetitionPenalty: 1.2 };
    const drawn: number[] = [];
    for (let count = 0; count < 16; count++) {
      drawn.push(chooseToken(values, options, generator, drawn).tokenId);
    }
    expect(drawn).toEqual([27, 15, 2, 2, 31, 3, 1, 31, 16, 5, 15, 2, 3, 28, 29, 27]);
  });

  it("reports the model's own log-probability whatever the penalty", () => {
    const free = chooseToken(logits, { temperature: 0 }, pcg32(1n));
    const held = chooseToken(logits, { temperature: 0, repetitionPenalty: 9 }, pcg32(1n), [1]);
    expect([free.tokenId, held.tokenId]).toEqual([1, 4]);
    expect(held.logProb).toBe(free.logProb);
  });

  it("is the most likely one at temperature 0, the lowest id among equals", () => {
    expect(argmax(logits)).toBe(1);
    expect(chooseToken(logits, { temperature: 0 }, pcg32(1n)).tokenId).toBe(1);
  });

  it("follows the softmax of the divided logits", () => {
    const seen = counts({ temperature: 2 }, 20_000);
    const weights = Array.from(logits, (logit) => Math.exp(logit / 2));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    seen.forEach((count, tokenId) => {
      expect(Math.abs(count / 20_000 - (weights[tokenId] ?? 0) / total)).toBeLessThan(0.012);
    });
  });

  it("keeps to the top k, lower ids first among equals", () => {
    expect(counts({ temperature: 1, topK: 1 }, 50)).toEqual([0, 50, 0, 0, 0]);
    const [, one = 0, two, , four = 0] = counts({ temperature: 1, topK: 2 }, 200);
    expect([two, one + four]).toEqual([0, 200]);
  });

  it("keeps to the fewest tokens that reach top p", () => {
    expect(counts({ temperature: 1, topP: 0.3 }, 50)).toEqual([0, 50, 0, 0, 0]);
    const [zero, one = 0, two, three, four = 0] = counts({ temperature: 1, topP: 0.7 }, 200);
    expect([zero, one + four, two, three]).toEqual([0, 200, 0, 0]);
    expect(counts({ temperature: 1, topP: 1 }, 5000).every((count) => count > 0)).toBe(true);
  });

  it("reports the model's own log-probability whatever the temperature", () => {
    const { tokenId, logProb } = chooseToken(logits, { temperature: 0.3, topK: 2 }, pcg32(9n));
    const total = Array.from(logits, Math.exp).reduce((sum, weight) => sum + weight, 0);
    expect(logProb).toBeCloseTo((logits[tokenId] ?? 0) - Math.log(total), 12);
  });

  it.each([[[1, Number.NaN]], [[Number.NaN, 1]], [[1, Infinity]], [[-Infinity, -Infinity]]])(
    "is refused where the logits %j give no distribution",
    (values) => {
      for (const temperature of [0, 1]) {
        const choose = () => chooseToken(Float32Array.from(values), { temperature }, pcg32(1n));
        expect(choose).toThrow(expect.objectContaining({ code: "not-finite", retryable: false }));
      }
    },
  );

  it("never takes a token that the logits rule out", () => {
    const values = Float32Array.of(-Infinity, 0);
    expect(chooseToken(values, { temperature: 1 }, pcg32(1n))).toEqual({ tokenId: 1, logProb: 0 });
  });

  it("always returns a token of the vocabulary", () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ noNaN: true, min: -1e4, max: 1e4 }), { minLength: 1, maxLength: 40 }),
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.constantFrom(0, 0.01, 1, 50),
        fc.constantFrom(undefined, 1, 3, 1000),
        fc.constantFrom(undefined, 1e-9, 0.5, 1),
        fc.constantFrom(undefined, 0.1, 1, 1.7),
        (values, seed, temperature, topK, topP, repetitionPenalty) => {
          const options = {
            temperature,
            ...(topK === undefined ? {} : { topK }),
            ...(topP === undefined ? {} : { topP }),
            ...(repetitionPenalty === undefined ? {} : { repetitionPenalty }),
          };
          const { tokenId, logProb } = chooseToken(Float32Array.from(values), options, pcg32(seed), [0, 2]);
          expect(tokenId).toBeGreaterThanOrEqual(0);
          expect(tokenId).toBeLessThan(values.length);
          expect(logProb).toBeLessThanOrEqual(0);
        },
      ),
      { seed: 8, numRuns: 500 },
    );
  });
});
