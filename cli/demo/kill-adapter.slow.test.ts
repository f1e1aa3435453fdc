/** The whole job with an adapter, engine and database killed while it stores gradients and while it scores. */
import { afterAll, expect, it } from "vitest";
import {
  finish,
  kill,
  makeFolder,
  type Run,
  removeFolder,
  smallPlan,
  startDemo,
  untilBack,
  untilHop,
  untilSaid,
} from "../testing/demo-run.ts";

const folder = makeFolder();
const testMsMax = 1_800_000;

afterAll(() => removeFolder(folder));

it(
  "comes to rows that rebuild to the same, stores of gradients included, and to a paid training row",
  async () => {
    const run = startDemo(folder, [...smallPlan, "--rebuild"]);
    await untilSaid(run, "the engine stores its gradients");
    for (const victim of ["engine", "postgres", "engine"]) await killOnce(run, victim);
    for (const [round, victims] of [
      [1, ["postgres", "engine"]],
      [2, ["engine", "postgres"]],
    ] as const) {
      await untilHop(run, `ask, round ${round}`);
      for (const victim of victims) await killOnce(run, victim);
    }
    const finished = await finish(run);
    expect(finished).toMatchObject({ conserved: true, verdict: "valid" });
    expect(finished.trainingRow, "a training row is paid").not.toBeNull();
    expect(finished.timingsMs, "the rebuilt state is equal, or this hop fails").toHaveProperty("rebuild");
  },
  testMsMax,
);

async function killOnce(run: Run, victim: string): Promise<void> {
  console.log(`kill -9 of ${victim} after:\n${run.output().trim().split("\n").at(-1)}`);
  await untilBack(run, await kill(run, victim));
}
