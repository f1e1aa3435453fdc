import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readPackageDocuments } from "#cli/demo/documents";
import { buildStore } from "#engine/gradient-store/build";
import {
  type Adapter,
  type Example,
  type Gradients,
  openGradients,
  promptedExample,
  readTokenizer,
} from "#runtime/index";
import { examplesOf } from "#settlement/blob/training/examples";
import { modelFolder } from "../answered.ts";
import { alone, type Benchmark, compare, cpuMs, median, type Row } from "../report.ts";
import { pythonVariable, startPeer } from "../runtime/peer.ts";
import { randomTokens, seven, vocabularySize, writeAdapters, writeModel } from "../runtime/random-model.ts";
import { adapterHash, methodHash } from "./made-up-gradients.ts";

const [tokens, rounds, peerBatch] = [128, 5, 8];
const counts = { even: 16, records: 64 };

export const benchmark: Benchmark = {
  name: "store",
  title: "Building a gradient store: gradients of each example, to int8, on disk",
  conditions: `a random Llama of 4 layers, 256 columns and ${vocabularySize} tokens, LoRA of rank 8 on seven modules, one thread each, CPU time, medians of ${rounds} alternating rounds; examples: ${counts.even} of ${tokens} tokens, all learned; ${counts.records} as training makes them of installed packages' documentation (template quote-closed-book-1), only answers learned. Peer: ${pythonVariable} with captured activations and batched products, ${peerBatch} of like length at a time, to int8 by factor into one file; ours writes checksums too`,
  run: async () => {
    const folder = await mkdtemp(join(tmpdir(), "benchmark-store-"));
    try {
      return await measure(folder);
    } finally {
      await rm(folder, { recursive: true });
    }
  },
};

async function measure(folder: string): Promise<Row[]> {
  const [model, adapters] = [join(folder, "model"), join(folder, "adapters")];
  await writeModel(model, "tiny");
  const [adapter] = await writeAdapters(adapters, model, 1, seven);
  const gradients = await openGradients(model, adapter!, { kind: "full" });
  const ids = randomTokens(counts.even * tokens);
  const even = Array.from({ length: counts.even }, (_, i): Example => {
    return { tokenIds: ids.slice(i * tokens, (i + 1) * tokens), answerFrom: 1 };
  });
  const sides = { folder, model, adapters, adapter: adapter!, gradients };
  return [
    await measureSet(sides, `${tokens} tokens each, all learned`, even),
    await measureSet(sides, "records of the demo, answers learned", await recordExamples()),
  ];
}

/** Examples of the first records; ids of the project's tokenizer, folded into the random model's vocabulary. */
async function recordExamples(): Promise<Example[]> {
  const tokenizer = await readTokenizer(modelFolder);
  const records = readPackageDocuments(join(import.meta.dirname, "../../node_modules")).flatMap(
    ({ documents }) => documents.flatMap(({ source, chunks }) => chunks.map((text) => ({ source, text }))),
  );
  return records
    .flatMap(examplesOf)
    .filter((_, index) => index % 97 === 0)
    .slice(0, counts.records)
    .map(({ question, answer }) => promptedExample(tokenizer, { passages: [], question }, answer))
    .map(({ tokenIds, answerFrom }) => ({ tokenIds: tokenIds.map((id) => id % vocabularySize), answerFrom }));
}

type Sides = { folder: string; model: string; adapters: string; adapter: Adapter; gradients: Gradients };

async function measureSet(sides: Sides, work: string, examples: readonly Example[]): Promise<Row> {
  const { folder, model, adapters } = sides;
  await using peer = startPeer();
  const request = {
    ...{ work: "store", model, adapters, adapterCount: 1, batch: peerBatch, path: join(folder, "peer.bin") },
    tokenIds: examples.map(({ tokenIds }) => tokenIds),
    answerFrom: examples.map(({ answerFrom }) => answerFrom),
  };
  const times = { ours: [] as number[], peer: [] as number[] };
  for (let round = 0; round <= rounds; round++) {
    times.ours.push(await cpuMs(() => build(sides, examples, join(folder, `${examples.length}-${round}`))));
    if (peer !== null) times.peer.push((await peer.ask(request)).cpuMs);
  }
  const perSecond = (all: readonly number[]) => (examples.length / median(all.slice(1))) * 1_000;
  if (peer === null) return alone(work, "examples/s", perSecond(times.ours), { min: 0 });
  await assertLike(sides, examples, (await peer.ask(request)).check);
  return compare(work, "examples/s", perSecond(times.ours), perSecond(times.peer), "PyTorch", 1.6);
}

async function build(
  { adapter, gradients }: Sides,
  examples: readonly Example[],
  folder: string,
): Promise<void> {
  const blocks = [...adapter.modules].flatMap(([name, { a, b }]) => [
    { name: `${name}.a`, columns: a.length },
    { name: `${name}.b`, columns: b.length },
  ]);
  await buildStore({
    folder,
    description: {
      ...{ methodHash, adapterHash, content: "gradients", recordsPerShard: 64 },
      layout: { encoding: "int8", blocks },
    },
    recordIds: examples.map((_, i) => `r${i}`),
    gradientsOf: async (wanted) => {
      const found = await gradients.of(wanted.map((id) => examples[Number(id.slice(1))]!));
      return found.map(({ factors }) => blocks.map(({ name }) => factors.get(name)!));
    },
  });
}

/** Both sides made the same gradients: their norm over all examples. */
async function assertLike({ gradients }: Sides, examples: readonly Example[], check: number): Promise<void> {
  let squares = 0;
  for (const { factors } of await gradients.of(examples))
    for (const values of factors.values()) for (const x of values) squares += x * x;
  const norm = Math.sqrt(squares);
  if (Math.abs(norm / check - 1) > 1e-4)
    throw new RangeError(`unlike work: ours gives ${norm}, PyTorch ${check}`);
}
