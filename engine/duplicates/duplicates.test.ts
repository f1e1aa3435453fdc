import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { apportion, sum } from "#schema/apportion";
import { textMaker } from "../testing/text-edits.ts";
import { ClassIndex, ClassIndexFullError, classify, jaccardMin, overlap } from "./classes.ts";
import { cosine, embed, isSimilar, Likenesses, quantiseTable } from "./embedding.ts";
import { byPriority, keepNovel, playersOf } from "./priority.ts";
import { bandKeys, fold, jaccard, shingles, signature } from "./shingles.ts";

const sentence = "The gas limit of a block is voted on by the validators who propose it, slot after slot.";

describe("folding", () => {
  it("sees no difference in case, punctuation, width or white space", () => {
    expect(fold("  The GAS-limit,\n of “a” ｂlock. ")).toBe("the gas limit of a block");
    expect(fold("…!")).toBe("");
    expect(fold("Größe 12")).toBe("größe 12");
  });

  it("makes a shingle of every five words, one of a shorter text, none of an empty one", () => {
    expect(shingles("a b c d e f").length).toBe(2);
    expect(shingles("a b").length).toBe(1);
    expect(shingles("").length).toBe(0);
    expect(shingles("a a a a a a a a").length).toBe(1);
    expect(shingles("a b c d e")).not.toEqual(shingles("b a c d e"));
  });
});

describe("similarity", () => {
  it("is the share of common shingles", () => {
    const a = shingles("a b c d e f g");
    expect(jaccard(a, a)).toBe(1);
    expect(jaccard(a, shingles("a b c d e f x"))).toBe(2 / 4);
    expect(jaccard(a, shingles("q r s t u"))).toBe(0);
    expect(jaccard(shingles(""), shingles(""))).toBe(1);
  });

  it("is estimated by MinHash signatures", () => {
    const { prose, edit } = textMaker(3n);
    const errors = Array.from({ length: 40 }, (_, i) => {
      const text = prose(150);
      const [a, b] = [shingles(text.join(" ")), shingles(edit(text, i).join(" "))];
      const [x, y] = [signature(a), signature(b)];
      return x.reduce((same, hash, j) => same + (hash === y[j] ? 1 : 0), 0) / x.length - jaccard(a, b);
    });
    expect(Math.abs(errors.reduce((a, b) => a + b) / errors.length)).toBeLessThan(0.03);
    expect(new Set(bandKeys(signature(shingles("a b c d e")))).size).toBe(21);
  });
});

describe("classes", () => {
  it("hold exact and near copies, each under the first that was registered", () => {
    const copied = `${sentence} It was so from the start, and nobody has asked for it to be otherwise since then.`;
    const found = classify([
      { id: "a", text: copied },
      { id: "b", text: copied.toUpperCase().replaceAll(",", "") },
      { id: "c", text: copied.replace("since then", "since") },
      { id: "d", text: copied.replace("nobody", "someone").replace("gas", "size") },
    ]);
    expect(found.map(({ classId, kind }) => `${classId} ${kind}`)).toEqual([
      "a first",
      "a exact",
      "a near",
      "d first",
    ]);
  });

  it("have recall and precision of at least 0.95 at the bound, over copies edited by nothing up to beyond it", () => {
    const { prose, edit } = textMaker(5n);
    const originals = Array.from({ length: 300 }, () => prose(120));
    const index = new ClassIndex();
    originals.forEach((text, i) => {
      index.add({ id: `o${i}`, text: text.join(" ") });
    });
    let [duplicates, found, right] = [0, 0, 0];
    originals.forEach((text, i) => {
      const copy = edit(text, i % 8).join(" ");
      const isDuplicate = jaccard(shingles(copy), shingles(text.join(" "))) >= jaccardMin;
      const { classId } = index.add({ id: `c${i}`, text: copy });
      duplicates += isDuplicate ? 1 : 0;
      found += classId !== `c${i}` ? 1 : 0;
      right += isDuplicate && classId === `o${i}` ? 1 : 0;
    });
    expect(duplicates).toBeGreaterThan(100);
    expect(300 - duplicates).toBeGreaterThan(50);
    expect(right / duplicates).toBeGreaterThanOrEqual(0.95);
    expect(right / found).toBeGreaterThanOrEqual(0.95);
  });

  it("never change by what is registered later", () => {
    const texts = fc.array(fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 9 }), { maxLength: 30 });
    fc.assert(
      fc.property(texts, fc.nat(30), (given, cut) => {
        const records = given.map((text, i) => ({ id: `r${i}`, text: text.join(" ") }));
        expect(classify(records.slice(0, cut))).toEqual(classify(records).slice(0, cut));
        for (const { classId, id, kind } of classify(records)) expect(kind === "first").toBe(classId === id);
      }),
    );
  });

  it("do not chain: many small edits in a row end in a class of their own", () => {
    const { prose, edit } = textMaker(7n);
    let text = prose(100);
    const records = Array.from({ length: 30 }, (_, i) => {
      const record = { id: `r${i}`, text: text.join(" ") };
      text = edit(text, 2);
      return record;
    });
    const classes = new Set(classify(records).map(({ classId }) => classId));
    expect(classes.size).toBeGreaterThan(2);
    expect(classes.size).toBeLessThan(20);
  });

  it("count the shingles that no earlier class has", () => {
    const [, later] = classify([
      { id: "a", text: "a b c d e f g h" },
      { id: "b", text: "a b c d e f x y z q r s" },
    ]);
    expect(later).toEqual({ id: "b", classId: "b", kind: "first", novelShingles: 6, shingleCount: 8 });
    expect(overlap("a b c d e f x y z q r s", "a b c d e f g h")).toEqual({ common: 2, shingleCount: 8 });
  });
});

describe("priority", () => {
  const members = (copies: number) =>
    classify([
      { id: "victim", text: sentence },
      { id: "other", text: "An entirely different record, about the price of storage." },
      ...Array.from({ length: copies }, (_, i) => ({ id: `copy${i}`, text: sentence })),
    ]);

  it("gives ten copies a gain of exactly zero, and takes nothing from the first, under any identities", () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 1n, max: 10n ** 24n }),
        fc.bigInt({ min: 0n, max: 10n ** 24n }),
        fc.nat(10),
        (victim, other, copies) => {
          const scores = [
            { classId: "victim", score: victim },
            { classId: "other", score: other },
          ];
          const pay = (count: number) => {
            const perRecord = byPriority(members(count), scores);
            return apportion(10n ** 18n, [...perRecord.values()]);
          };
          const [before, after] = [pay(0), pay(copies)];
          expect(after.slice(0, 2)).toEqual(before);
          expect(sum(after.slice(2))).toBe(0n);
        },
      ),
    );
  });

  it("keeps the novel part of a record's score and withholds the rest, to the unit", () => {
    const member = { id: "b", classId: "b", kind: "first" as const, novelShingles: 6, shingleCount: 8 };
    expect(keepNovel(member, 100n)).toEqual({ kept: 75n, withheld: 25n });
    expect(keepNovel(member, -100n)).toEqual({ kept: -100n, withheld: 0n });
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 24n }), (score) => {
        const { kept, withheld } = keepNovel(member, score);
        expect(kept + withheld).toBe(score);
      }),
    );
  });

  it("makes one player of a class", () => {
    expect(playersOf(members(2))).toEqual([
      { classId: "victim", positions: [0, 2, 3] },
      { classId: "other", positions: [1] },
    ]);
  });
});

describe("the advice of embeddings", () => {
  const table = quantiseTable(
    Float32Array.from({ length: 8 * 6 }, (_, i) => Math.sin(i * i)),
    6,
  );

  it("is of whole bytes, the largest of them 127 in size, and does not mind the order of tokens", () => {
    expect(Math.max(...table.bytes.map(Math.abs))).toBe(127);
    expect(embed(table, [1, 5, 3])).toEqual(embed(table, [3, 1, 5]));
    expect(isSimilar(embed(table, [1, 5, 3]), embed(table, [5, 3, 1]))).toBe(true);
    expect(isSimilar(embed(table, [1]), embed(table, [2]))).toBe(false);
    expect(isSimilar(embed(table, []), embed(table, []))).toBe(false);
  });

  it("tells the most similar of what was registered before, the first of equals, and nobody's later ones", () => {
    const [like, likest, other] = [Int32Array.of(10, 3), Int32Array.of(10, 1), Int32Array.of(0, 10)];
    const likenesses = new Likenesses([
      { id: "asked", embedding: Int32Array.of(20, 0) },
      { id: "empty", embedding: Int32Array.of(0, 0) },
      { id: "asked later", embedding: Int32Array.of(-5, 40) },
      { id: "asked again", embedding: Int32Array.of(30, 0) },
    ]);
    likenesses.add("like", like);
    likenesses.add("likest", likest);
    likenesses.add("likest too", likest);
    likenesses.add("other", other);
    const [first, empty, later, again] = likenesses.most();
    expect(first).toEqual({ id: "likest", cosine: cosine(Int32Array.of(20, 0), likest) });
    expect(empty).toBeNull();
    expect(later!.id).toBe("other");
    expect(again).toEqual({ id: "asked", cosine: 1 });
    expect(cosine(Int32Array.of(0, 0), like)).toBe(0);
    expect(new Likenesses([{ id: "alone", embedding: like }]).most()).toEqual([null]);
  });

  it("stands on one side of its bound exactly", () => {
    // cos = 7/8 for (7, x) and (1, 0) where x² = 8² − 7² = 15: just below is similar, just above is not.
    const scaled = (x: number) => Int32Array.of(7_000, x);
    const axis = Int32Array.of(1, 0);
    const x = Math.floor(Math.sqrt(15) * 1_000);
    expect(isSimilar(scaled(x), axis)).toBe(true);
    expect(isSimilar(scaled(x + 1), axis)).toBe(false);
    expect(isSimilar(Int32Array.of(-1, 0), axis)).toBe(false);
  });
});

it("takes no more records than an index holds, and says what that costs", () => {
  const index = new ClassIndex(2);
  for (const id of ["a", "b"]) index.add({ id, text: id });
  expect(() => index.add({ id: "c", text: "c" })).toThrow(ClassIndexFullError);
  expect(() => index.add({ id: "c", text: "c" })).toThrow(/Max: 2 records/);
});
