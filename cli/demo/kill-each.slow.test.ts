/** The whole job at a small size, undisturbed and with each of its processes killed once. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect, it } from "vitest";
import {
  comparablePlan,
  createRandom,
  finish,
  kill,
  killChain,
  type Lost,
  makeFolder,
  removeFolder,
  savedCalls,
  startDemo,
  untilBack,
  untilHop,
  victims,
} from "../testing/demo-run.ts";

const seed = Number(process.env.SURVIVE_SEED ?? 1);
/** A kill follows each of these hops, after up to so many ms. */
const hops = [
  ...["start", "contribute", "vote", "pay in", "index"],
  ...["ask, round 1", "settle 1", "ask, round 2", "settle 2"],
];
const delayMsMax = 4_000;
const testMsMax = 900_000;

const folders = [makeFolder(), makeFolder()] as const;

afterAll(async () => {
  for (const folder of folders) await removeFolder(folder);
});

it(
  "comes to the same roots and rows when each process is killed once, and all of it rebuilds",
  async () => {
    const [undisturbed, { disturbed, lost }] = await Promise.all([
      finish(startDemo(folders[0], comparablePlan)),
      disturb(folders[1], [...comparablePlan, "--rebuild"]),
    ]);
    expect(undisturbed).toMatchObject({ conserved: true, verdict: "valid" });
    expect(undisturbed.roots.map(({ epoch }) => epoch)).toEqual(["1", "2"]);
    expect(disturbed).toMatchObject({ conserved: true, verdict: "valid", roots: undisturbed.roots });
    expect(disturbed.content).toEqual(undisturbed.content);
    expect(disturbed.timingsMs, "the rebuilt state is equal, or this hop fails").toHaveProperty("rebuild");
    expect(lost.length).toBeGreaterThan(0);
    const calls = savedCalls(folders[1]).map(nameOf);
    for (const call of lost) expect(calls).toContain(nameOf(call));
  },
  testMsMax,
);

/** One demo whose parts are killed one after another, in an order and at moments the seed decides. */
async function disturb(folder: string, options: readonly string[]) {
  const random = createRandom(seed);
  const order = victims.map((victim) => ({ victim, at: random() })).sort((a, b) => a.at - b.at);
  let run = startDemo(folder, options);
  let lost: Lost[] = [];
  for (const [index, { victim }] of order.entries()) {
    await untilHop(run, hops[index]!);
    await sleep(random() * delayMsMax);
    console.log(`kill -9 of ${victim} after "${hops[index]}", seed ${seed}`);
    if (victim === "supervisor") {
      await kill(run, victim);
      await run.ended;
      run = startDemo(folder, options);
      continue;
    }
    const killed = victim === "chain" ? await killChain(run) : { record: await kill(run, victim), lost };
    lost = killed.lost;
    await untilBack(run, killed.record);
  }
  return { disturbed: await finish(run), lost };
}

/** Who called which function of whom: gas and certificates may differ when it is sent again. */
function nameOf({ from, to, data }: Lost): string {
  return `${from.toLowerCase()} ${to.toLowerCase()} ${data.slice(0, 10)}`;
}
