/**
 * The demo under kill -9, one victim at a time. Slow (minutes each): `npm run test:survive`, or one with
 * `npm run test:survive -- -t engine`. SURVIVE_SEED decides the moments.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  comparablePlan,
  createRandom,
  type Finished,
  finish,
  kill,
  killChain,
  makeFolder,
  removeFolder,
  startDemo,
  untilHop,
  victims,
} from "../testing/demo-run.ts";

const seed = Number(process.env.SURVIVE_SEED ?? 1);
const demoMsMax = 1_200_000;

const folders: string[] = [];
let undisturbed: Finished;
let spanMs: number;

beforeAll(async () => {
  undisturbed = await finish(startDemo(newFolder(), comparablePlan));
  const { start, verify, ...hops } = undisturbed.timingsMs;
  spanMs = Object.values(hops).reduce((sum, ms) => sum + ms, 0);
}, demoMsMax);

afterAll(async () => {
  for (const folder of folders) await removeFolder(folder);
});

const random = createRandom(seed);
const cases = victims.map((victim) => ({ victim, percent: Math.floor(random() * 100) }));

it.each(cases)(
  "finishes with the same roots when $victim is killed after $percent % of the way, and all of it rebuilds",
  async ({ victim, percent }) => {
    const folder = newFolder();
    let run = startDemo(folder, [...comparablePlan, "--rebuild"]);
    await untilHop(run, "start");
    await sleep((spanMs * percent) / 100);
    console.log(`kill -9 of ${victim}, seed ${seed}, after:\n${run.output()}`);
    if (victim === "chain") await killChain(run);
    else await kill(run, victim);
    if (victim === "supervisor") {
      await run.ended;
      run = startDemo(folder, [...comparablePlan, "--rebuild"]);
    }
    const disturbed = await finish(run);
    expect(disturbed).toMatchObject({ conserved: true, verdict: "valid", roots: undisturbed.roots });
    expect(disturbed.content).toEqual(undisturbed.content);
  },
  2 * demoMsMax,
);

function newFolder(): string {
  const folder = makeFolder();
  folders.push(folder);
  return folder;
}
