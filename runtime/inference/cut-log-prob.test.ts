import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { randomModel, temporaryFolder } from "#runtime/fixtures/folders";
import { initialAdapter, openModel, writeAdapter } from "#runtime/index";
import { readModelFolder } from "#runtime/weights/model-folder";
import { planCut } from "./cut-log-prob.ts";

const adaptableModules = ["q_proj", "o_proj", "down_proj"];

/** The folder of an adapter that changes what the model says. */
async function adapterOf(model: string): Promise<string> {
  const { config } = await readModelFolder(model);
  const settings = { baseModel: null, rank: 4, alpha: 4, isRankStabilized: false, seed: 1n };
  const adapter = initialAdapter(config, { ...settings, targetModules: adaptableModules });
  for (const { b } of adapter.modules.values())
    b.forEach((_, at) => {
      b[at] = ((at % 7) - 3) / 40;
    });
  const folder = await temporaryFolder();
  await writeAdapter(folder, adapter);
  return folder;
}

const draw = (length: number, salt: number) =>
  Array.from({ length }, (_, index) => (index * 31 + salt * 17) % 300);

const passages = [draw(20, 1), draw(67, 2), draw(1, 3), draw(40, 4)];

/** Every context made of some of the passages, in their order, cut after each. */
const requests = Array.from({ length: 2 ** passages.length }, (_, mask) => {
  const context = passages.filter((_, index) => (mask >> index) & 1);
  const ends = context.map((_, index) => 1 + context.slice(0, index + 1).flat().length);
  return { promptTokenIds: [7, ...context.flat(), ...draw(9, 5)], answerTokenIds: draw(6, 6), cuts: ends };
});

describe("prompts that are cut", () => {
  it("give what whole prompts give", async () => {
    await using model = await openModel(await randomModel());
    const whole = await model.logProb(requests.map(({ cuts: _, ...request }) => request));
    const cut = await model.logProb(requests);
    cut.forEach((logProb, index) => {
      expect(Math.abs(logProb / whole[index]! - 1)).toBeLessThan(1e-5);
    });
    expect(new Set(cut).size).toBe(requests.length);
  });

  it.each(["packed", "mapped"] as const)(
    "are judged the same bits alone, in any company and on any number of threads, %s",
    async (weightMode) => {
      const folder = await randomModel();
      await using model = await openModel(folder, { weightMode, threads: 2, adaptableModules });
      await model.loadAdapter("tuned", await adapterOf(folder));
      const mixed = [...requests, ...requests.map((request) => ({ ...request, adapter: "tuned" }))];
      const together = await model.logProb(mixed);
      expect(together.slice(0, requests.length)).not.toEqual(together.slice(requests.length));
      expect(await model.logProb(mixed.toReversed())).toEqual(together.toReversed());
      for (const [index, request] of mixed.entries()) {
        expect(await model.logProb([request])).toEqual([together[index]]);
      }
      await using plain = await openModel(folder, { weightMode });
      expect(await plain.logProb(requests)).toEqual(together.slice(0, requests.length));
    },
  );

  it("are judged the same bits in another process", async () => {
    const folder = await randomModel();
    await using model = await openModel(folder);
    const script = `
      import { openModel } from "#runtime/index";
      await using model = await openModel(process.argv[1]);
      console.log(JSON.stringify(await model.logProb(JSON.parse(process.argv[2]))));`;
    const given = requests.toReversed();
    const args = ["--input-type=module", "-e", script, folder, JSON.stringify(given)];
    const other = execFileSync(process.execPath, args, { cwd: import.meta.dirname, encoding: "utf8" });
    expect(JSON.parse(other)).toEqual(await model.logProb(given));
  });

  it("are brought together where they begin alike, a bounded number to a worker", () => {
    const placed = requests.map((request, position) => ({ position, request }));
    const [batch, ...others] = planCut(placed);
    expect(others).toEqual([]);
    const firsts = batch!.requests.map(({ request }) => request.promptTokenIds[1]);
    expect(firsts.filter((first, index) => first !== firsts[index - 1])).toHaveLength(new Set(firsts).size);
    expect(planCut(new Array(65).fill(placed[1])).map((each) => each.requests.length)).toEqual([64, 1]);
  });

  it("are refused where they are not ascending inside the prompt", async () => {
    await using model = await openModel(await randomModel());
    for (const cuts of [[0], [3, 3], [5, 4], [1.5], [10], [Number.NaN], new Array<number>(2)]) {
      const asked = model.logProb([{ promptTokenIds: draw(10, 1), answerTokenIds: [1], cuts }]);
      await expect(asked, String(cuts)).rejects.toThrow("cuts");
    }
  });
});
