/** The whole job on documents of the real world: 584 improvement proposals by 220 first authors. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { root } from "../config.ts";
import { finish, makeFolder, removeFolder, startDemo } from "../testing/demo-run.ts";

const datanet = join(process.env.TRIBUTARY_SHARED ?? join(root, "../shared"), "datanets/eips");
const isPresent = existsSync(datanet);
if (!isPresent) console.warn(`SKIPPED: the demo on real documents; ${datanet} is absent.`);

const everything = "100000";
const options = [
  ...["--datanet", datanet, "--contributions", everything, "--documents", everything, "--chunks", "2"],
  ...["--questions", "16", "--batch", "4", "--epoch", "2", "--no-adapter"],
];
const testMsMax = 1_200_000;

const folder = makeFolder();

afterAll(() => removeFolder(folder));

it.skipIf(!isPresent)(
  "pays the authors of 584 documents to the wei, and every payout verifies",
  async () => {
    const finished = await finish(startDemo(folder, options));
    expect(finished).toMatchObject({ conserved: true, verdict: "valid", documents: 584 });
    expect(finished.contributors).toBeGreaterThanOrEqual(200);
    expect(finished.roots.map(({ epoch }) => epoch)).toEqual(["1", "2"]);
  },
  testMsMax,
);
