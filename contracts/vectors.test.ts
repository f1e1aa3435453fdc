/** Bytes of a copy of `vectors/leaf.json` are flipped: both languages must notice, or their tests compare nothing. */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readLeafVectors } from "#schema/testing/vectors";
import { forge, rootDir, run } from "./forge.ts";

const folder = join(rootDir, "contracts", "cache", "flipped");

beforeAll(() => mkdir(folder, { recursive: true }));
afterAll(() => rm(folder, { recursive: true }));

type Vectors = Record<string, Record<string, string | string[]>[]>;

/** On a clean checkout forge compiles first, on machines where the compiler runs as WebAssembly. */
const testMsMax = 600_000;

/** What is compared → the test in Solidity, and the file of tests in TypeScript. */
const tests = {
  rewards: [
    "test_reward_leaves_roots_and_proofs_are_those_of_the_vectors",
    "settlement/tree/vectors.test.ts",
  ],
  receipts: ["test_receipt_digests_are_those_of_the_vectors", "settlement/blob/vectors.test.ts"],
  vouchers: ["test_voucher_digests_are_those_of_the_vectors", "serving/payment/vectors.test.ts"],
} as const;

type Compared = keyof typeof tests;

/** Two flips a copy, so that each run shows both what fails by them and what passes without. */
const copies: [title: string, flip: (vectors: Vectors) => void, failing: Compared[]][] = [
  [
    "a reward leaf and the digest of a receipt",
    (v) => {
      const leaves = v.rewardTrees![2]!.leaves as string[];
      leaves[1] = flipped(leaves[1]!);
      flip(v.receipts![1]!, "digest");
    },
    ["rewards", "receipts"],
  ],
  [
    "the root of a tree and the digest of a voucher",
    (v) => {
      flip(v.rewardTrees![3]!, "root");
      flip(v.vouchers![0]!, "digest");
    },
    ["rewards", "vouchers"],
  ],
];

it.each(copies)(
  "a flipped byte of %s fails in Solidity and in TypeScript",
  async (title, flip, failing) => {
    const vectors = readLeafVectors() as Vectors;
    flip(vectors);
    const path = join(folder, `${title.replaceAll(" ", "-")}.json`);
    await writeFile(path, JSON.stringify(vectors));
    const [inSolidity, inTypeScript] = await Promise.all([
      failingInSolidity(path),
      failingInTypeScript(path),
    ]);
    expect(inSolidity).toEqual(failing);
    expect(inTypeScript).toEqual(failing);
  },
  testMsMax,
);

/** Those of `tests` that fail with the file at `path`. @throws where one did not run. */
async function failingInSolidity(path: string): Promise<Compared[]> {
  const { stdout } = await forge(["test", "--root", ".", "--json", "--match-contract", "VectorsTest"], {
    LEAF_VECTORS: path,
  });
  const report = JSON.parse(stdout.slice(stdout.indexOf("{"))) as Record<
    string,
    { test_results: Record<string, { status: string }> }
  >;
  const results = Object.values(report)[0]!.test_results;
  return failures(([name]) => results[`${name}()`]!.status === "Success");
}

async function failingInTypeScript(path: string): Promise<Compared[]> {
  const report = `${path}.report`;
  const vitest = join(rootDir, "node_modules", "vitest", "vitest.mjs");
  const files = Object.values(tests).map(([, file]) => file);
  const args = ["run", "--reporter=json", `--outputFile=${report}`, ...files];
  await run("env", [`LEAF_VECTORS=${path}`, process.execPath, vitest, ...args]);
  const { testResults } = JSON.parse(await readFile(report, "utf8")) as {
    testResults: { name: string; status: string; assertionResults: unknown[] }[];
  };
  return failures(([, file]) => {
    const result = testResults.find(({ name }) => relative(rootDir, name) === file)!;
    expect(result.assertionResults.length).toBeGreaterThan(0);
    return result.status === "passed";
  });
}

function failures(passes: (test: (typeof tests)[Compared]) => boolean): Compared[] {
  return (Object.keys(tests) as Compared[]).filter((compared) => !passes(tests[compared]));
}

function flip(entry: Record<string, string | string[]>, name: string): void {
  entry[name] = flipped(entry[name] as string);
}

/** The last byte with its lowest bit flipped. */
function flipped(hex: string): string {
  const last = Number.parseInt(hex.slice(-2), 16) ^ 1;
  return hex.slice(0, -2) + last.toString(16).padStart(2, "0");
}
