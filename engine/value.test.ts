import { resolve } from "node:path";
import { type Hex, keccak256 } from "viem";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readTokenizer, renderAnswer } from "#runtime/index";
import { openPool, type Pool } from "./pool.ts";
import { type Answered, type Passage, scoreAnswer } from "./value.ts";

const folder = resolve(import.meta.dirname, "../runtime/models/quote");
let pool: Pool;
let answered: Answered;

beforeAll(async () => {
  pool = await openPool({ folder, workers: 1, adaptableModules: [] });
  const answer = "lantern on the north pier burns green while the channel is open.";
  answered = {
    question: "What is said about lantern on the north pier?",
    answer,
    answerTokenIds: (await readTokenizer(folder)).encode(renderAnswer(answer)),
    passages: [
      "The old crane lifts at most nine tonnes when the tide is low.",
      "A lantern on the north pier burns green while the channel is open.",
      "Salt is stored in the stone barn behind the customs house.",
      "Fishermen mend their nets on Thursday because the market is closed then.",
    ].map((text, i) => passage(text, `0x0${i}`)),
  };
});

const passage = (text: string, classId: Hex): Passage => ({ text, classId, similarityMicro: 1n });
const way = { estimator: "shapley", seed: async () => keccak256("0x5eed") } as const;

afterAll(() => pool?.[Symbol.asyncDispose]());

describe("scoreAnswer", () => {
  it("gives the quoted passage the most, and all of them together what the context gave", async () => {
    const { score } = await scored(answered);
    const influencesWad = score.influences.map(({ scoreWad }) => scoreWad);
    const [first, ...rest] = [...influencesWad].sort((a, b) => (a > b ? -1 : 1));
    expect(influencesWad[1]).toBe(first);
    expect(rest.every((value) => value < first!)).toBe(true);
    const sum = influencesWad.reduce((a, b) => a + b, 0n);
    expect(sum).toBe(score.valueBothWad - score.valueBaseWad);
    expect(score.dataShareWad > 0n && score.dataShareWad <= 10n ** 18n).toBe(true);
  });

  it("gives the same bits again, and from two threads", async () => {
    const again = await scored(answered);
    await using two = await openPool({ folder, workers: 2, adaptableModules: [] });
    const [a, b] = await Promise.all([
      scoreAnswer({ pool: two }, answered, way),
      scoreAnswer({ pool: two }, answered, way),
    ]);
    expect(a).toEqual(again);
    expect(b).toEqual(again);
    expect((await scored(answered)).score).toEqual(again.score);
  });

  it("lets copies of a passage stand and fall together, as one player", async () => {
    const copy = answered.passages[1]!;
    const { score } = await scored({ ...answered, passages: [...answered.passages, copy] });
    expect(score.influences.map(({ chunkId }) => chunkId)).toEqual(["0x00", "0x01", "0x02", "0x03"]);
    const alone = (await scored(answered)).score;
    expect(score.influences[1]!.scoreWad > (alone.influences[1]!.scoreWad * 8n) / 10n).toBe(true);
    const sum = score.influences.reduce((total, { scoreWad }) => total + scoreWad, 0n);
    expect(sum).toBe(score.valueBothWad - score.valueBaseWad);
  });

  it("samples orders above six players, with standard errors, by the seed", async () => {
    const more = ["Ships pay by weight.", "Bells ring at noon.", "Gulls nest on the mole."];
    const passages = [...answered.passages, ...more.map((text, i) => passage(text, `0x1${i}`))];
    const { score } = await scored({ ...answered, passages });
    expect(score.influences.every(({ estimator }) => estimator === "shapley-permutations")).toBe(true);
    const most = [...score.influences].sort((a, b) => (a.scoreWad > b.scoreWad ? -1 : 1))[0]!;
    expect(most.chunkId).toBe("0x01");
    const sum = score.influences.reduce((total, { scoreWad }) => total + scoreWad, 0n);
    expect(sum).toBe(score.valueBothWad - score.valueBaseWad);
    expect((await scored({ ...answered, passages })).score).toEqual(score);
  });

  it("owes nothing to an empty context", async () => {
    const { score } = await scored({ ...answered, passages: [] });
    expect(score.influences).toEqual([]);
    expect(score.dataShareWad).toBe(0n);
    expect(score.valueBothWad).toBe(score.valueBaseWad);
  });

  it("refuses tokens that spell another text, that are none, or that the model does not have", async () => {
    const codeOf = async (change: Partial<Answered>) => {
      const result = await scoreAnswer({ pool }, { ...answered, ...change }, way);
      return result.ok ? "ok" : `${result.code} ${result.retryable}`;
    };
    expect(await codeOf({ answer: "something else" })).toBe("answer_mismatch false");
    expect(await codeOf({ answerTokenIds: [] })).toBe("tokens_missing false");
    expect(await codeOf({ answerTokenIds: [4_000_000_000] })).toBe("request-invalid false");
    expect(await codeOf({ answerTokenIds: new Array(5_000).fill(7) })).toBe("context-exceeded false");
  });
});

async function scored(given: Answered) {
  const result = await scoreAnswer({ pool }, given, way);
  if (!result.ok) throw new Error(result.reason);
  return result;
}
