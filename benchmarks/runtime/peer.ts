/** The PyTorch side: a process that does the same work when asked, and says how much CPU time it took. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** What one piece of work took, and a number that ours must agree with. */
export interface PeerAnswer {
  readonly cpuMs: number;
  readonly check: number;
}

/** The same by the clock on the wall, and where it ran. */
export interface WallAnswer {
  readonly wallMs: number;
  readonly check: number;
  readonly device: "cpu" | "cuda";
}
export interface Peer<Answer = PeerAnswer> extends AsyncDisposable {
  ask(request: Record<string, unknown>): Promise<Answer>;
}

/** The environment variable that names a Python with torch, transformers and peft. */
export const pythonVariable = "PYTHON";

/** Start the peer on one thread, or another script that answers in its way; null without a Python. */
export function startPeer(script = join(import.meta.dirname, "peer.py")): Peer | null {
  return start(script, { OMP_NUM_THREADS: "1", MKL_NUM_THREADS: "1" });
}

/** Start the peer on a GPU where its torch has one, else on every core. */
export function startWallPeer(): Peer<WallAnswer> | null {
  return start(join(import.meta.dirname, "peer.py"), { CLOCK: "wall" });
}

function start<Answer>(script: string, environment: Record<string, string>): Peer<Answer> | null {
  const python = process.env[pythonVariable];
  if (!python) return null;
  const child = spawn(python, [script], {
    env: { ...process.env, HF_HUB_OFFLINE: "1", ...environment },
    stdio: ["pipe", "pipe", "ignore"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    ask: async (request) => {
      child.stdin.write(`${JSON.stringify(request)}\n`);
      const { value, done } = await lines.next();
      if (done) throw new RangeError(`the peer stopped: run ${script} by hand to see why`);
      return JSON.parse(value);
    },
    [Symbol.asyncDispose]: async () => {
      child.stdin.end();
      child.kill();
    },
  };
}

/** CPU time of this process for `work`, user and system, in ms. */
export async function cpuMs(work: () => Promise<unknown>): Promise<number> {
  const start = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}
