import { createHash } from "node:crypto";
import { globSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { Deployment } from "./deployment.ts";

const rootDir = dirname(dirname(fileURLToPath(import.meta.url)));

/** All that shapes an indexed row. Ponder itself sees only `indexer/src` and the config object. */
const inputs = [
  "schema/onchain/*.ts",
  "schema/abi/*.ts",
  "schema/events.ts",
  "indexer/src/**/*.ts",
  "indexer/ponder.schema.ts",
  "ponder.config.ts",
];

/** sha256 over path and text of the inputs, ordered by path, as 64 hex digits. Ponder refuses to resume when it changes. */
export function sourceChecksum(root = rootDir): string {
  return checksumOf(inputs, root);
}

/** The same over the files of any patterns, tests and what only they read left out. */
export function checksumOf(patterns: readonly string[], root = rootDir): string {
  const paths = patterns
    .flatMap((pattern) => globSync(pattern, { cwd: root }))
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => !/\.test\.ts$|(^|\/)(testing|fixtures)\//.test(path))
    .sort();
  const hash = createHash("sha256");
  for (const path of paths) {
    const text = readFileSync(`${root}/${path}`);
    hash.update(`${path}\n${text.length}\n`).update(text);
  }
  return hash.digest("hex");
}

/** Schema of Ponder's tables: another code or another deployment is indexed anew, beside the old one. */
export function deploySchema(deployment: Deployment, startBlock: number): string {
  const hash = createHash("sha256").update(sourceChecksum());
  hash.update(`\n${deployment.chainId}\n${startBlock}\n`);
  for (const [name, address] of Object.entries(deployment.contracts).sort())
    hash.update(`${name}=${address}\n`);
  return `ponder_${hash.digest("hex").slice(0, 12)}`;
}
