import { execFileSync } from "node:child_process";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { PipelineError } from "#schema/errors";

/**
 * A process we started. `birth` is what tells it from a stranger that was given the same pid later: the boot and the
 * tick it started at (Linux), or the start time `ps` prints (elsewhere).
 */
export type ProcessRecord = { name: string; pid: number; birth: string; stopSignal: NodeJS.Signals };

/** Time a leftover has to end after its stop signal before it is killed, in ms. */
export const leftoverStopMs = 10_000;

/** @returns What identifies the process that has this pid now, or undefined where none runs (a zombie does not run). */
export function readBirth(pid: number): string | undefined {
  return process.platform === "linux" ? readBirthFromProc(pid) : readBirthFromPs(pid);
}

export function isAlive(record: ProcessRecord): boolean {
  return readBirth(record.pid) === record.birth;
}

/** @returns The command line of a process that runs, its words separated by spaces. */
export function commandOf(pid: number): string {
  if (process.platform === "linux") return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  return execFileSync("ps", ["-o", "command=", "-p", String(pid)], { encoding: "utf8" });
}

/** @returns The recorded processes in the order they were started; empty where the file is missing or torn. */
export function readProcesses(path: string): ProcessRecord[] {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as ProcessRecord[];
  } catch (error) {
    // A torn file can only be left by a crash of the disk: the write is a rename. Nothing can be ended by it.
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** Writes the list at once (rename), or removes the file where nothing runs any more. */
export function writeProcesses(path: string, records: readonly ProcessRecord[]): void {
  if (records.length === 0) {
    rmSync(path, { force: true });
    return;
  }
  writeFileSync(`${path}.new`, `${JSON.stringify(records, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/**
 * Ends the processes a killed supervisor left behind, last started first, and removes the record. Only those whose
 * birth matches are touched. @returns Those that were ended.
 * @throws AlreadyRunningError if the supervisor itself still runs.
 */
export async function endLeftovers(path: string): Promise<ProcessRecord[]> {
  const records = readProcesses(path);
  const supervisor = records.find(({ name, pid }) => name === "supervisor" && pid !== process.pid);
  if (supervisor && isAlive(supervisor)) throw new AlreadyRunningError(supervisor.pid);
  const leftovers = records.filter((record) => record.pid !== process.pid && isAlive(record)).reverse();
  for (const leftover of leftovers) await endProcess(leftover, leftoverStopMs);
  writeProcesses(path, []);
  return leftovers;
}

/** Stop signal, then SIGKILL to its process group after `stopMs`. Does nothing where it has ended already. */
export async function endProcess(record: ProcessRecord, stopMs: number): Promise<void> {
  if (!isAlive(record)) return;
  signal(record.pid, record.stopSignal);
  if (await hasEndedWithin(record, stopMs)) return;
  signal(-record.pid, "SIGKILL");
  signal(record.pid, "SIGKILL");
  await hasEndedWithin(record, leftoverStopMs);
}

async function hasEndedWithin(record: ProcessRecord, ms: number): Promise<boolean> {
  for (const deadline = Date.now() + ms; Date.now() < deadline; await sleep(20)) {
    if (!isAlive(record)) return true;
  }
  return !isAlive(record);
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** Fields of /proc/<pid>/stat after the command's closing bracket: 0 is the state, 19 the start in ticks (proc(5)). */
function readBirthFromProc(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return undefined;
    return `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()}:${fields[19]}`;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH") return undefined;
    throw error;
  }
}

function readBirthFromPs(pid: number): string | undefined {
  try {
    return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" }).trim();
  } catch (error) {
    // ps exits with 1 where no such process runs.
    if ((error as { status?: number }).status === 1) return undefined;
    throw error;
  }
}

export class AlreadyRunningError extends PipelineError {
  override readonly name = "AlreadyRunningError";
  constructor(pid: number) {
    super(
      `Tributary already runs on this data folder (pid ${pid}). Stop it with Ctrl-C there, or \`kill ${pid}\`.`,
      {
        code: "already_running",
        retryable: false,
      },
    );
  }
}
