import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

export const rootDir = dirname(dirname(fileURLToPath(import.meta.url)));

/** Largest output of one command kept, in bytes: the JSON of all tests with their traces. */
const outputBytesMax = 64 * 1024 * 1024;

export type Finished = { status: number; stdout: string; stderr: string };

/**
 * Runs forge in the repository root with our configuration. The root is the repository's so that node_modules lies
 * inside it; the configuration travels by environment, since forge 1.7.1 finds no sources with --config-path.
 * @param settings Further FOUNDRY_ variables.
 */
export function forge(args: string[], settings: Record<string, string> = {}): Promise<Finished> {
  const given = Object.entries(settings).map(([name, value]) => `${name}=${value}`);
  return run("env", ["FOUNDRY_CONFIG=contracts/foundry.toml", ...given, forgeBinary(), ...args]);
}

/** The npm package's own command is a wrapper that exits with 0 when forge fails; this is what it runs. */
function forgeBinary(): string {
  const arch = process.arch === "x64" ? "amd64" : process.arch;
  const suffix = process.platform === "win32" ? ".exe" : "";
  const require = createRequire(import.meta.url);
  return require.resolve(`@foundry-rs/forge-${process.platform}-${arch}/bin/forge${suffix}`);
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
