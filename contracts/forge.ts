import { execFile } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const rootDir = dirname(dirname(fileURLToPath(import.meta.url)));

/** Largest output of one command kept, in bytes: the JSON of all tests with their traces. */
const outputBytesMax = 64 * 1024 * 1024;

export type Finished = { status: number; stdout: string; stderr: string };

/**
 * Runs forge in the repository root with our configuration. The root is the repository's so that node_modules lies
 * inside it; the configuration travels by environment, since forge 1.7.1 finds no sources with --config-path.
 */
export function forge(args: string[]): Promise<Finished> {
  const command = [
    "FOUNDRY_CONFIG=contracts/foundry.toml",
    join(rootDir, "node_modules/.bin/forge"),
    ...args,
  ];
  return run("env", command);
}

/** @returns whatever the exit status is; rejects only where the command could not be started or was killed. */
export function run(file: string, args: string[]): Promise<Finished> {
  const { promise, resolve, reject } = Promise.withResolvers<Finished>();
  execFile(file, args, { cwd: rootDir, maxBuffer: outputBytesMax }, (error, stdout, stderr) => {
    if (error !== null && typeof error.code !== "number") return reject(error);
    resolve({ status: Number(error?.code ?? 0), stdout, stderr });
  });
  return promise;
}
