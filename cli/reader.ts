import { setImmediate } from "node:timers/promises";

/** Whether whoever read standard output or standard error has left. */
let hasLeft = false;

/**
 * Have the process end when its reader leaves, as in `verify … | head`: quietly, and where a command stops what it started
 * on SIGTERM, after that. The code is 2, which is no verdict; 1 would say that a payout is invalid.
 */
export function endWithReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
      if (hasLeft) return;
      hasLeft = true;
      if (!process.emit("SIGTERM")) process.exit(2);
    });
  }
}

/** Leave with the code of a command that has ended. */
export async function exit(code: number): Promise<never> {
  await setImmediate(); // The last line's error, if it had no reader, is told by now.
  process.exit(hasLeft ? 2 : code);
}
