import { openModel, readTokenizer, renderPrompt } from "#runtime/index";
import { modelFolder, promptedQuestions } from "./answered.ts";
import { alone, type Benchmark, clockMs, median } from "./report.ts";

const questionCount = 40;
const seed = 7;

export const benchmark: Benchmark = {
  name: "answers",
  title: "Answers of the small model and time to their first token, one after the other",
  conditions: `${questionCount} questions with 4 passages, greedy, 2 threads, seed ${seed}; the first answer warms up`,
  run: async () => {
    const tokenizer = await readTokenizer(modelFolder);
    await using model = await openModel(modelFolder, { threads: 2 });
    const firstMs: number[] = [];
    const answerMs: number[] = [];
    let tokens = 0;
    for (const prompted of promptedQuestions(questionCount + 1, seed)) {
      const start = performance.now();
      const total = await clockMs(async () => {
        const { tokenIds } = await model.generate({
          promptTokenIds: tokenizer.encode(renderPrompt(prompted)),
          tokensMax: 64,
          temperature: 0,
          seed: 1n,
          stopTokenIds: tokenizer.stopTokenIds,
          onToken: ({ index }) => index === 0 && firstMs.push(performance.now() - start),
        });
        tokens += tokenIds.length;
      });
      answerMs.push(total);
    }
    const totalMs = answerMs.slice(1).reduce((sum, ms) => sum + ms, 0);
    return [
      alone("answers, end of prompt to last token", "answers/s", (questionCount / totalMs) * 1000, {
        min: 5,
      }),
      alone("time to first token, median", "ms", median(firstMs.slice(1)), { max: 100 }),
      alone("tokens generated", "tokens/s", (tokens / totalMs) * 1000, { min: 100 }),
    ];
  },
};
