import { join } from "node:path";
import { drawFact } from "#engine/faithfulness/facts";
import { subsets } from "#engine/score/shapley";
import { encodePrompt, openModel, readTokenizer, renderAnswer } from "#runtime/index";
import { pcg32 } from "#runtime/inference/sampler";
import { promptedQuestions } from "../answered.ts";
import { alone, type Benchmark, compare, cpuMs, median, type Row } from "../report.ts";
import { pythonVariable, startPeer } from "../runtime/peer.ts";

const modelFolder = "runtime/models/quote";
const chunkCount = 8;
const rounds = 2;

export const benchmark: Benchmark = {
  name: "rag",
  title: "Exact Shapley values of eight passages: log-probabilities of an answer under 256 contexts",
  conditions: `the project's model, made-up facts of about 20 tokens and passages of packages' documentation of about 80, one thread each, CPU time, medians of ${rounds} alternating rounds; sums are compared; peer: ${pythonVariable} with transformers, one call at a time, logits of the answer alone. Prompts are cut after each passage, as the engine cuts them: a part that several contexts begin with is run once`,
  run: async () => {
    const fact = drawFact("single", chunkCount, pcg32(1n));
    const [asked, ...others] = promptedQuestions(chunkCount, 7);
    const passages = [...asked!.passages, ...others.flatMap((one) => one.passages)].slice(0, chunkCount);
    return [
      ...(await rows("facts", fact)),
      ...(await rows("passages", {
        passages,
        question: asked!.question,
        answer: passages[0]!.slice(0, 120),
      })),
    ];
  },
};

async function rows(
  name: string,
  { passages, question, answer }: { passages: readonly string[]; question: string; answer: string },
): Promise<Row[]> {
  const tokenizer = await readTokenizer(modelFolder);
  await using model = await openModel(modelFolder, { threads: 1 });
  const answerTokenIds = tokenizer.encode(renderAnswer(answer));
  const requests = subsets(passages).map((context) => ({
    ...encodePrompt(tokenizer, { passages: context, question }),
    answerTokenIds,
  }));
  const prompts = requests.map(({ promptTokenIds }) => promptTokenIds);
  await model.logProb(requests.slice(0, 2));
  await using peer = startPeer(join(import.meta.dirname, "log-prob.py"));
  const ask = (of: readonly number[][]) =>
    peer!.ask({ model: modelFolder, prompts: of, answer: answerTokenIds });
  if (peer !== null) await ask(prompts.slice(0, 2));
  const times = { ours: [] as number[], peer: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    let total = 0;
    times.ours.push(
      await cpuMs(async () => {
        total = (await model.logProb(requests)).reduce((a, b) => a + b, 0);
      }),
    );
    if (peer === null) continue;
    const answered = await ask(prompts);
    times.peer.push(answered.cpuMs);
    if (Math.abs(total / answered.check - 1) > 1e-4)
      throw new RangeError(`unlike work: ours gives ${total}, transformers ${answered.check}`);
  }
  const perSecond = (ms: number) => (prompts.length / ms) * 1_000;
  const ours = perSecond(median(times.ours));
  if (peer === null) return [alone(`${name}, contexts`, "contexts/s", ours, { min: 0 })];
  return [compare(`${name}, contexts`, "contexts/s", ours, perSecond(median(times.peer)), "transformers", 3)];
}
