/** The rules of STYLE.md that a machine can judge. A failure names the file and the remedy. */
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { expect, it } from "vitest";
import { missingOptional } from "./complete-lockfile.ts";
import { listFiles, readSources, root, type Source } from "./source.ts";

const files = listFiles();
const sources = readSources(files);
const product = sources.filter(
  ({ path }) => !isTest(path) && !/^(tools|benchmarks)\//.test(path) && path.includes("/"),
);

/** What each stage may import besides `schema/` and itself. The pure folders are open to those that need the same bytes. */
const mayImport: Record<string, RegExp[]> = {
  contracts: [],
  schema: [/^contracts\/deploy\.ts$/],
  indexer: [/^ponder\.config\.ts$/],
  runtime: [],
  serving: [/^runtime\//, /^eigenda\//, /^settlement\/(tree|blob)\//],
  factory: [/^runtime\//, /^settlement\/(tree|blob)\//],
  engine: [/^runtime\//, /^eigenda\//, /^settlement\/(tree|blob)\//],
  settlement: [/^eigenda\//, /^engine\/(score|composite|reputation|duplicates)\//],
  eigenda: [],
  api: [/^eigenda\//, /^settlement\/(tree|blob)\//],
  cli: [
    /^contracts\//,
    /^eigenda\//,
    /^serving\/payment\//,
    /^settlement\/(tree|blob|allocation)\//,
    /^engine\/(score|composite|reputation|duplicates)\//,
    /^engine\/(rescore|similar-records)\.ts$/,
    /^factory\//,
  ],
};
const independent = ["eigenda", "runtime"];
const pure =
  /^(engine\/(score|influence|faithfulness|spans|duplicates|composite|reputation)|settlement\/(tree|blob|allocation)|serving\/(retrieval|payment)|runtime\/onnx)\//;
const impure =
  /\bprocess\.|\bDate\b|\bMath\.random\b|\bfetch\(|"node:(fs|net|http|https|child_process|worker_threads)/;
const attic = /^(utils?|helpers?|common|lib|misc|singleton)(\.|$)/;

it("lets stages meet only in the schema and on the chain", () => {
  const crossings = sources
    .filter(({ path }) => path.includes("/") && !isTest(path))
    .flatMap((source) =>
      source.imports
        .filter((target) => !isAllowed(source.path, target))
        .map((target) => `${source.path} → ${target}`),
    );
  expect(crossings, "see mayImport; stages exchange rows, not functions").toEqual([]);
});

it("keeps the pure folders free of input, output, clock and chance", () => {
  const breaches = product
    .filter(({ path, text }) => pure.test(path) && impure.test(withoutComments(text)))
    .map(({ path }) => path);
  expect(breaches, "move the effect to the stage's shell").toEqual([]);
});

it("keeps files under 500 lines and functions under 71", () => {
  const long = product.flatMap(({ path, lines, functions }) => [
    ...(lines > 500 ? [`${path}: ${lines} lines`] : []),
    ...functions
      .filter((found) => found.lines > 70)
      .map((found) => `${path} ${found.name}: ${found.lines} lines`),
  ]);
  expect(long, "split by decision and action").toEqual([]);
});

it("names files by what they are", () => {
  const vague = files.filter((path) => path.split("/").some((part) => attic.test(part)));
  const cased = sources.filter(({ path }) => !/^[a-z0-9.-]+$/.test(basename(path))).map(({ path }) => path);
  expect([...vague, ...cased], "kebab-case noun or verb phrase, no attic").toEqual([]);
});

it("reads the environment in config files alone", () => {
  const readers = product
    .filter(({ path, text }) => /process\.env/.test(withoutComments(text)) && !isConfig(path))
    .map(({ path }) => path);
  expect(readers, "use the stage's config.ts").toEqual([]);
});

it("throws typed errors", () => {
  const untyped = product
    .filter(({ text }) => /throw new Error\(/.test(withoutComments(text)))
    .map(({ path }) => path);
  expect(untyped, "invariant() for our bugs, a class at the bottom of the module for the world").toEqual([]);
});

it("hashes encoded bytes, never JSON text", () => {
  const hashers = product
    .filter(({ text }) => /keccak256\([^)]*JSON\.stringify/.test(text))
    .map(({ path }) => path);
  expect(hashers, "use settlement/blob").toEqual([]);
});

it("imports every file from somewhere", () => {
  const entries =
    /(^|\/)(main|config|worker|index|start|.*\.config|.*-worker)\.ts$|\.d\.ts$|^(indexer|schema\/testing|contracts)\//;
  const imported = new Set(sources.flatMap(({ imports }) => imports));
  const mentioned = (path: string) => sources.some(({ text }) => text.includes(`./${basename(path)}"`));
  const orphans = product
    .filter(({ path }) => !entries.test(path) && !imported.has(path) && !mentioned(path))
    .map(({ path }) => path);
  expect(orphans, "delete it, or use it").toEqual([]);
});

it("opens every stage's README with what goes in and what comes out", () => {
  const stages = [...new Set(product.map(({ path }) => path.split("/")[0]!))].filter(
    (stage) => stage in mayImport,
  );
  const silent = stages.filter(
    (stage) => !files.includes(`${stage}/README.md`) || !headOf(`${stage}/README.md`).includes("→"),
  );
  expect(silent, "first line: in → out").toEqual([]);
});

it("names no registry host and no machine's path", () => {
  const lock = readFileSync(join(root, "package-lock.json"), "utf8");
  expect(
    /"resolved": *"https?:/.test(lock),
    "regenerate the lockfile with omit-lockfile-registry-resolved",
  ).toBe(false);
  const paths = sources
    .filter(({ path, text }) => path !== "tools/tidy.test.ts" && /["'`](\/work|\/root|\/opt)\//.test(text))
    .map(({ path }) => path);
  expect(paths).toEqual([]);
});

it("lists every platform's binaries in the lockfile, also those a registry lacks", () => {
  const lockfile = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  expect(Object.keys(missingOptional(lockfile)), "run node tools/complete-lockfile.ts").toEqual([]);
});

it("pins every dependency exactly", () => {
  const manifests = ["package.json", "eigenda/package.json"].map((path) =>
    JSON.parse(readFileSync(join(root, path), "utf8")),
  );
  const loose = manifests
    .flatMap((manifest) => Object.entries<string>({ ...manifest.dependencies, ...manifest.devDependencies }))
    .filter(([, version]) => !/^\d+\.\d+\.\d+/.test(version));
  expect(loose).toEqual([]);
});

function isAllowed(from: string, target: string): boolean {
  const stage = from.split("/")[0]!;
  const allowed = mayImport[stage];
  if (allowed === undefined || !target.includes("/") || !target.endsWith(".ts") || target.startsWith("@"))
    return true;
  if (target.startsWith(`${stage}/`)) return true;
  if (target.startsWith("schema/") && !independent.includes(stage)) return true;
  return allowed.some((pattern) => pattern.test(target));
}

function isTest(path: string): boolean {
  return /\.test\.ts$|(^|\/)(test|testing)\//.test(path);
}

function isConfig(path: string): boolean {
  return /(^|\/)config\.ts$|\.config\.ts$/.test(path);
}

function headOf(path: string): string {
  return readFileSync(join(root, path), "utf8").split("\n").slice(0, 3).join("\n");
}

function withoutComments(text: Source["text"]): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*$/gm, "");
}
