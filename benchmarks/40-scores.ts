import { toHex, zeroHash } from "viem";
import { openPool } from "#engine/pool";
import { scoreAnswer } from "#engine/value";
import { foldSpaces, openModel, readTokenizer, renderPrompt } from "#runtime/index";
import { modelFolder, promptedQuestions } from "./answered.ts";
import { alone, type Benchmark, clockMs } from "./report.ts";

const receiptCount = 20;
const seed = 7;
/** Four chunks are few enough for exact values: no order is drawn. */
const way = { estimator: "shapley", seed: async () => zeroHash } as const;

export const benchmark: Benchmark = {
  name: "scores",
  title: "Receipts scored: exact Shapley values of the answer over four chunks (16 contexts each)",
  conditions: `${receiptCount} answers of the small model, 1 worker, 2 in flight, seed ${seed}; opening the pool is not counted`,
  run: async () => {
    const answered = await answerAll();
    await using pool = await openPool({ folder: modelFolder, workers: 1, adaptableModules: [] });
    const first = answered[0]!;
    await scoreAnswer({ pool }, first, way);
    let refused = 0;
    const ms = await clockMs(async () => {
      for (let index = 0; index < answered.length; index += 2) {
        const scored = await Promise.all(
          answered.slice(index, index + 2).map((one) => scoreAnswer({ pool }, one, way)),
        );
        refused += scored.filter(({ ok }) => !ok).length;
      }
    });
    return [
      alone("receipts scored", "receipts/s", (receiptCount / ms) * 1000, { min: 2 }),
      alone("receipts refused", "receipts", refused, { max: 0 }),
    ];
  },
};

async function answerAll() {
  const tokenizer = await readTokenizer(modelFolder);
  await using model = await openModel(modelFolder, { threads: 2 });
  const answered = [];
  for (const prompted of promptedQuestions(receiptCount, seed)) {
    const promptTokenIds = tokenizer.encode(renderPrompt(prompted));
    const { tokenIds } = await model.generate({
      promptTokenIds,
      tokensMax: 64,
      temperature: 0,
      seed: 1n,
      stopTokenIds: tokenizer.stopTokenIds,
    });
    const passages = prompted.passages.map((text, i) => ({ text, classId: toHex(i), similarityMicro: 1n }));
    answered.push({
      ...prompted,
      passages,
      answer: foldSpaces(tokenizer.decode(tokenIds)),
      answerTokenIds: tokenIds,
    });
  }
  return answered;
}
