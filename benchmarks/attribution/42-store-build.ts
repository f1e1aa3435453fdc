import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildStore } from "#engine/gradient-store/build";
import { openGradients } from "#runtime/index";
import { alone, type Benchmark, compare, cpuMs, median, type Row } from "../report.ts";
import { pythonVariable, startPeer } from "../runtime/peer.ts";
import { randomTokens, seven, writeAdapters, writeModel } from "../runtime/random-model.ts";
import { adapterHash } from "./made-up-gradients.ts";

const [examples, tokens, rounds] = [16, 128, 5];

export const benchmark: Benchmark = {
  name: "store",
  title: "Building a gradient store: gradients of each example, to int8, hashed, on disk",
  conditions: `${examples} examples of ${tokens} tokens, a random Llama of 4 layers and 256 columns, LoRA of rank 8 on seven modules, one thread each, CPU time, medians of ${rounds} alternating rounds; peer: ${pythonVariable} with captured activations and batched products, which only makes the gradients and stores nothing`,
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
  const ids = randomTokens(examples * tokens);
  const rows = Array.from({ length: examples }, (_, i) => ids.slice(i * tokens, (i + 1) * tokens));
  const blocks = [...adapter!.modules].flatMap(([name, { a, b }]) => [
    { name: `${name}.a`, columns: a.length },
    { name: `${name}.b`, columns: b.length },
  ]);
  const build = (round: number) =>
    buildStore({
      folder: join(folder, `store-${round}`),
      description: {
        engineVersion: 1,
        adapterHash,
        content: "gradients",
        layout: { encoding: "int8", blocks },
        recordsPerShard: examples,
      },
      recordIds: rows.map((_, i) => `r${i}`),
      gradientsOf: async (wanted) => {
        const found = await gradients.of(
          wanted.map((id) => ({ tokenIds: rows[Number(id.slice(1))]!, answerFrom: 1 })),
        );
        return found.map(({ factors }) => blocks.map(({ name }) => factors.get(name)!));
      },
    });
  await using peer = startPeer();
  const times = { ours: [] as number[], peer: [] as number[] };
  for (let round = 0; round <= rounds; round++) {
    times.ours.push(await cpuMs(() => build(round)));
    if (peer === null) continue;
    // The peer takes eight at a time, as in `gradients`.
    let ms = 0;
    for (let first = 0; first < examples; first += 8) {
      const request = {
        work: "gradients",
        model,
        adapters,
        adapterCount: 1,
        tokenIds: rows.slice(first, first + 8),
      };
      ms += (await peer.ask(request)).cpuMs;
    }
    times.peer.push(ms);
  }
  const perSecond = (all: readonly number[]) => (examples / median(all.slice(1))) * 1_000;
  if (peer === null) return [alone("stored", "examples/s", perSecond(times.ours), { min: 0 })];
  return [compare("stored", "examples/s", perSecond(times.ours), perSecond(times.peer), "PyTorch", 1.6)];
}
