/** CPU time that processes took, from /proc: of Linux alone. */
import { readdirSync, readFileSync } from "node:fs";

/** Length of a tick of /proc: 100 a second on every Linux that Node runs on. */
const tickMs = 10;

type Ticks = { parent: number; own: number; ended: number };

/** User and system time of a process and all its threads so far, in ms. */
export function processMs(pid: number): number {
  return ticksOf(pid).own * tickMs;
}

/** The same of a process and its children, those that ended included. */
export function familyMs(pid: number): number {
  const { own, ended } = ticksOf(pid);
  const children = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ticksOrNull(Number(name)))
    .filter((ticks) => ticks?.parent === pid);
  return (own + ended + children.reduce((sum, ticks) => sum + ticks!.own, 0)) * tickMs;
}

export function parentOf(pid: number): number {
  return ticksOf(pid).parent;
}

/** Null where it ended between the listing and the look. */
function ticksOrNull(pid: number): Ticks | null {
  try {
    return ticksOf(pid);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH") return null;
    throw error;
  }
}

/** Source: proc_pid_stat(5), fields 4 and 14 to 17; the second, in brackets, may hold spaces. */
function ticksOf(pid: number): Ticks {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = text
    .slice(text.lastIndexOf(")") + 2)
    .split(" ")
    .map(Number);
  const [parent, user, system, endedUser, endedSystem] = [1, 11, 12, 13, 14].map((at) => fields[at]!);
  return { parent: parent!, own: user! + system!, ended: endedUser! + endedSystem! };
}
