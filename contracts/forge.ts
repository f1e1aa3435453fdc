import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const rootDir = dirname(dirname(fileURLToPath(import.meta.url)));

/** Largest output of one command kept, in bytes: the JSON of all tests with their traces. */
const outputBytesMax = 64 * 1024 * 1024;

/**
 * Runs forge in the repository root with our configuration. The root is the repository's so that node_modules lies
 * inside it; the configuration travels by environment, since forge 1.7.1 finds no sources with --config-path.
 * @returns exit status and standard output; standard error is passed on.
 */
export function forge(args: string[]): { status: number | null; stdout: string } {
  const command = [
    "FOUNDRY_CONFIG=contracts/foundry.toml",
    join(rootDir, "node_modules/.bin/forge"),
    ...args,
  ];
  const { status, stdout, error } = spawnSync("env", command, {
    cwd: rootDir,
    encoding: "utf8",
    maxBuffer: outputBytesMax,
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (error !== undefined) throw error;
  return { status, stdout };
}
