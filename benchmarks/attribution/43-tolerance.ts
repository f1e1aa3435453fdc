import { join } from "node:path";
import { disputeToleranceMicro } from "#engine/method";
import { quantise } from "#engine/score/quantise";
import { shapley, subsets } from "#engine/score/shapley";
import {
  encodePrompt,
  foldSpaces,
  type LogProbRequest,
  openModel,
  readTokenizer,
  renderAnswer,
} from "#runtime/index";
import { modelFolder, promptedQuestions } from "../answered.ts";
import { alone, type Benchmark, type Row } from "../report.ts";
import { pythonVariable, startPeer } from "../runtime/peer.ts";

const answers = 40;

export const benchmark: Benchmark = {
  name: "tolerance",
  title: "How far the same scores lie apart where they are computed in another way",
  conditions: `${answers} answers of the project's model over four passages of packages' documentation, seed 7, 16 contexts each: largest difference and 99th percentile from one thread, packed weights, prompts cut after each passage; transformers in float32 where ${pythonVariable} is given`,
  run: async () => {
    const asked = await ask();
    const published = await nats(asked, {});
    const others: [string, Nats][] = [
      ["two threads", await nats(asked, { threads: 2 })],
      ["each context alone", await nats(asked, {}, "alone")],
      ["prompts not cut", await nats(asked.map(whole), {})],
      ["mapped weights", await nats(asked, { weightMode: "mapped" })],
    ];
    const torch = await natsOfTorch(asked);
    if (torch !== null) others.push(["transformers", torch]);
    return others.flatMap(([name, other]) => rows(name, published, other));
  },
};

/** The contexts of one answer, in the order of `subsets`. */
type Contexts = readonly LogProbRequest[];
/** By answer and context. */
type Nats = readonly (readonly number[])[];

async function ask(): Promise<Contexts[]> {
  const tokenizer = await readTokenizer(modelFolder);
  await using model = await openModel(modelFolder, { threads: 1 });
  const asked: Contexts[] = [];
  for (const prompted of promptedQuestions(answers, 7)) {
    const { tokenIds } = await model.generate({
      promptTokenIds: encodePrompt(tokenizer, prompted).promptTokenIds,
      tokensMax: 64,
      temperature: 0,
      seed: 1n,
      stopTokenIds: tokenizer.stopTokenIds,
    });
    const answerTokenIds = tokenizer.encode(renderAnswer(foldSpaces(tokenizer.decode(tokenIds))));
    asked.push(
      subsets(prompted.passages).map((passages) => ({
        ...encodePrompt(tokenizer, { passages, question: prompted.question }),
        answerTokenIds,
      })),
    );
  }
  return asked;
}

const whole = (contexts: Contexts): Contexts =>
  contexts.map(({ promptTokenIds, answerTokenIds }) => ({ promptTokenIds, answerTokenIds }));

async function nats(
  asked: readonly Contexts[],
  options: { threads?: number; weightMode?: "mapped" },
  company: "together" | "alone" = "together",
): Promise<Nats> {
  await using model = await openModel(modelFolder, { threads: 1, ...options });
  const all: number[][] = [];
  for (const contexts of asked) {
    const calls = company === "together" ? [contexts] : contexts.map((context) => [context]);
    const values: number[] = [];
    for (const call of calls) values.push(...(await model.logProb(call)));
    all.push(values);
  }
  return all;
}

async function natsOfTorch(asked: readonly Contexts[]): Promise<Nats | null> {
  await using peer = startPeer(join(import.meta.dirname, "log-prob.py"));
  if (peer === null) return null;
  const all: number[][] = [];
  for (const contexts of asked) {
    const values: number[] = [];
    for (const { promptTokenIds, answerTokenIds } of contexts) {
      const request = { model: modelFolder, prompts: [promptTokenIds], answer: answerTokenIds };
      values.push((await peer.ask(request)).check);
    }
    all.push(values);
  }
  return all;
}

function rows(name: string, published: Nats, other: Nats): Row[] {
  const isSameProfile = name === "two threads" || name === "each context alone";
  const max = isSameProfile ? 0 : Number(disputeToleranceMicro);
  const values = differences(published, other, (micro) => micro);
  const influences = differences(published, other, shapley);
  return [
    alone(`${name}, values`, "micro-nats", values.at(-1)!, { max }),
    alone(`${name}, values, 99th percentile`, "micro-nats", percentile99(values), { max }),
    alone(`${name}, influences`, "micro-nats", influences.at(-1)!, { max }),
  ];
}

/** |a − b| over all answers, ascending. */
function differences(a: Nats, b: Nats, of: (micro: readonly bigint[]) => readonly bigint[]): number[] {
  return a
    .flatMap((values, answer) => {
      const [left, right] = [of(values.map(quantise)), of(b[answer]!.map(quantise))];
      return left.map((value, i) => Math.abs(Number(value - right[i]!)));
    })
    .sort((x, y) => x - y);
}

function percentile99(ascending: readonly number[]): number {
  return ascending[Math.floor(0.99 * (ascending.length - 1))]!;
}
