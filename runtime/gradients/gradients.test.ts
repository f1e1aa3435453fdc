import { expect, it } from "vitest";
import { fixture } from "#runtime/fixtures/folders";
import { relativeError } from "#runtime/fixtures/golden-family";
import { adamWDefaults } from "#runtime/training/adamw";
import { initialAdapter } from "#runtime/training/initial-adapter";
import { packInOrder } from "#runtime/training/packing";
import { openTrainer } from "#runtime/training/trainer";
import { readModelFolder } from "#runtime/weights/model-folder";
import { openGradients } from "./gradients.ts";

const folder = fixture("tied");
const model = await readModelFolder(folder);
const start = initialAdapter(model.config, {
  baseModel: null,
  rank: 3,
  alpha: 6,
  isRankStabilized: true,
  targetModules: ["q_proj", "v_proj", "down_proj"],
  seed: 2n,
});
const lengths = [9, 80, 30, 64, 65, 12, 100, 31];
const examples = lengths.map((length, index) => ({
  tokenIds: Array.from({ length }, (_, at) => (index * 31 + at * 17) % 300),
  answerFrom: 1 + (index % 5),
}));

/** The adapter after some updates, so that B is not zero. */
async function trained() {
  const trainer = await openTrainer(model, start, { optimizer: adamWDefaults, gradientNormMax: 1 });
  for (let step = 0; step < 3; step++) {
    await trainer.step(packInOrder(examples, { rowTokens: 128, rowCount: 4 }), 1e-2);
  }
  return trainer.adapter();
}

it("gives each example the same bits alone, in any company, in order", async () => {
  const gradients = await openGradients(folder, await trained(), { kind: "full" });
  const together = await gradients.of(examples);
  expect(together.map(({ loss }) => loss > 0)).toEqual(examples.map(() => true));
  for (const [index, example] of examples.entries()) {
    const [alone] = await gradients.of([example]);
    expect(alone, `example ${index}`).toEqual(together[index]);
  }
});

it("multiplies every example's gradient with queries", async () => {
  const adapter = await trained();
  const full = await (await openGradients(folder, adapter, { kind: "full" })).of(examples);
  const queries = full.slice(0, 2);
  const names = [...full[0]!.factors.keys()];
  const stacked = names.map((name) => {
    const rows = queries.flatMap(({ factors }) => [...factors.get(name)!]);
    return [name, Float32Array.from(rows)] as const;
  });
  const products = await openGradients(folder, adapter, { kind: "products" });
  const found = await products.of(examples, { count: 2, factors: new Map(stacked) });
  for (const name of names) {
    const expected = full.flatMap(({ factors }) =>
      queries.map((query) =>
        factors.get(name)!.reduce((sum, value, at) => sum + value * query.factors.get(name)![at]!, 0),
      ),
    );
    const given = found.flatMap(({ factors }) => [...factors.get(name)!]);
    expect(relativeError(given, expected), name).toBeLessThan(1e-5);
  }
});

it("refuses an example that does not fit the model", async () => {
  const gradients = await openGradients(folder, start, { kind: "full" });
  await expect(gradients.of([{ tokenIds: [300, 1], answerFrom: 1 }])).rejects.toMatchObject({
    code: "example-invalid",
  });
});
