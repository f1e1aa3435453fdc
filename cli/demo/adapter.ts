import { join } from "node:path";
import type { Hex } from "viem";
import type { Choice } from "#factory/settings";
import type { Progress } from "#factory/training";
import type { Drizzle } from "#schema/database";
import type { Chain } from "../chain/transactions.ts";
import { type TrainedModel, trainAdapter } from "../train/adapter.ts";
import { giveGas, pricePerCallWei } from "../up/bootstrap.ts";
import { developmentKey } from "../up/keys.ts";
import { accountOf, type Stack } from "../up/stack.ts";
import type { OnChain } from "./contribute.ts";
import { isAcceptable } from "./contribute.ts";
import type { Question } from "./questions.ts";

/** Development account that owns the demo's adapter. */
const trainerLabel = "trainer";
/** Few enough to be learned in seconds of CPU; enough to judge a record by. */
const choice: Omit<Choice, "name"> = { recordsMax: 40, gateRecords: 8, steps: 40 };
/** Fewest accepted chunks of a Datanet worth an adapter. */
const chunksMin = 16;

/** What the demo trains on, and which of its questions are asked of the adapter. */
export type Lesson = { datanetId: bigint; name: string; asked: ReadonlySet<number> };

/**
 * The smallest Datanet with enough to learn, and the questions about its passages: all of them, or every second where that
 * would leave the base none. Null where no Datanet holds enough. Pure: the same demo asks the same.
 */
export function chooseLesson(
  submitted: readonly OnChain[],
  datanetNames: readonly string[],
  questions: readonly Question[],
): Lesson | null {
  const accepted = submitted.filter(isAcceptable);
  const sizes = datanetNames
    .map((name, index) => {
      const own = accepted.filter(({ datanet }) => datanet === name);
      return {
        name,
        datanetId: BigInt(index + 1),
        chunks: own.reduce((sum, one) => sum + one.chunks.length, 0),
      };
    })
    .filter(({ chunks }) => chunks >= chunksMin)
    .sort((a, b) => a.chunks - b.chunks);
  const [chosen] = sizes;
  if (chosen === undefined) return null;
  const { name, datanetId } = chosen;
  const sources = new Set(
    accepted
      .filter(({ datanet }) => datanet === name)
      .flatMap((one) => one.chunks.map(({ text }) => `${one.contributor} ${text}`)),
  );
  const about = questions.flatMap(({ passage }, index) =>
    sources.has(`${passage.contributor} ${passage.text}`) ? [index] : [],
  );
  const isMost = about.length * 2 > questions.length;
  return { datanetId, name, asked: new Set(about.filter((_, at) => !isMost || at % 2 === 1)) };
}

type Training = {
  chain: Chain;
  stack: Stack;
  db: Drizzle;
  lesson: Lesson;
  onProgress: (progress: Progress) => void;
};

/** Train, register and publish the demo's adapter, or what is left of that after a kill. */
export async function trainDemoAdapter(training: Training): Promise<TrainedModel> {
  const { chain, stack, db, lesson, onProgress } = training;
  await giveGas(stack.rpcUrl, [trainerLabel]);
  return trainAdapter({
    ...{ chain, db, onProgress, onPlan: () => undefined, signal: new AbortController().signal },
    owner: accountOf(trainerLabel),
    ...{ disperserUrl: stack.disperserUrl, srsFolder: stack.srsFolder },
    eigendaKey: developmentKey("eigenda"),
    folder: join(stack.folder, "factory", lesson.name),
    adaptersFolder: join(stack.folder, "adapters"),
    baseFolder: stack.config.modelFolder,
    request: {
      baseModelId: stack.modelId,
      baseArtifactHash: stack.artifactHash,
      datanetIds: [lesson.datanetId],
      choice: { ...choice, name: lesson.name },
    },
    ownerBps: 5_000,
    pricePerCallWei,
  });
}

/** Whether the node answers with the model. */
export async function isServed(stack: Stack, modelId: Hex): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${stack.ports.serving}/v1/models`);
  const { data } = (await response.json()) as { data?: { id: string }[] };
  return data?.some(({ id }) => id === modelId) ?? false;
}
