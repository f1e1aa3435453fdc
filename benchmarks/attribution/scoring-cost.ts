import { subsets } from "#engine/score/shapley";
import {
  encodePrompt,
  foldSpaces,
  openModel,
  readTokenizer,
  renderAnswer,
  renderPrompt,
} from "#runtime/index";
import { modelFolder, promptedQuestions } from "../answered.ts";
import { cpuMs } from "../report.ts";

const questions = 4;
const seeds = [1, 2, 3];

/** CPU time of an answer and of its exact score over four passages (16 contexts), in ms: medians would hide the long ones, so means, by seed. */
export async function scoringCost() {
  const tokenizer = await readTokenizer(modelFolder);
  await using model = await openModel(modelFolder, { threads: 1 });
  const [answerMs, scoreMs]: [number[], number[]] = [[], []];
  for (const seed of seeds) {
    let [answering, scoring] = [0, 0];
    for (const [index, prompted] of promptedQuestions(questions + 1, seed).entries()) {
      let answer: number[] = [];
      const answered = await cpuMs(async () => {
        const generation = await model.generate({
          promptTokenIds: tokenizer.encode(renderPrompt(prompted)),
          tokensMax: 64,
          temperature: 0,
          seed: 1n,
          stopTokenIds: tokenizer.stopTokenIds,
        });
        answer = generation.tokenIds;
      });
      const answerTokenIds = tokenizer.encode(renderAnswer(foldSpaces(tokenizer.decode(answer))));
      const scored = await cpuMs(() =>
        model.logProb(
          subsets(prompted.passages).map((passages) => ({
            ...encodePrompt(tokenizer, { passages, question: prompted.question }),
            answerTokenIds,
          })),
        ),
      );
      // The first one loads the graphs.
      if (index > 0) [answering, scoring] = [answering + answered, scoring + scored];
    }
    answerMs.push(answering / questions);
    scoreMs.push(scoring / questions);
  }
  const conditions = `${questions} answers of at most 64 tokens over four passages of installed packages' documentation for each of seeds ${seeds.join(", ")}, one worker; the score is exact, 16 contexts`;
  return { answerMs, scoreMs, conditions };
}
