/** The whole job at a small size. Its kills and its rebuild: the slow tests beside. */
import { afterAll, expect, it } from "vitest";
import { finish, makeFolder, removeFolder, smallPlan, startDemo } from "../testing/demo-run.ts";

const folder = makeFolder();

afterAll(() => removeFolder(folder));

it("goes round once: trained, asked, paid, attributed, settled in two epochs, claimed and verified", async () => {
  const run = startDemo(folder, [...smallPlan, "--json"]);
  const finished = await finish(run);
  expect(finished).toMatchObject({ conserved: true, verdict: "valid" });
  expect(finished.roots.map(({ epoch }) => epoch)).toEqual(["1", "2"]);
  const told = JSON.parse(run.output().trim().split("\n").at(-1)!);
  expect(told).toMatchObject({ answers: 8, receipts: 8, epochs: 2, conserved: true, verdict: "valid" });
  const [fees, ...parts] = [told.feesWei, told.splitsWei, told.leavesWei, told.carriedWei].map(BigInt);
  expect(fees).toBe(parts.reduce((sum, part) => sum + part, 0n));
  expect(told.claimedWei).toBe(told.leavesWei);
  const { trainingRow } = told;
  // A block's hash draws the rows, so that rarely none of them passes its gate and helps: then the demo says so.
  const said = trainingRow
    ? `trace ${trainingRow.claimTx} --account ${trainingRow.account}`
    : "no training row of";
  expect(run.output()).toContain(said);
  // Traced by the hop "verify", which fails where the trace does not lead to it.
  if (trainingRow) expect(BigInt(trainingRow.amountWei)).toBeGreaterThan(0n);
}, 900_000);
