import { setTimeout as sleep } from "node:timers/promises";
import colors from "picocolors";
import { PipelineError } from "#schema/errors";

/** Tells what is going on, hop by hop with its time; a failure carries the hop's name. */
export type Progress = {
  hop<T>(name: string, work: (say: (text: string) => void) => Promise<T>): Promise<T>;
  /** A line on the way through a hop. */
  note(text: string): void;
  readonly timings: Record<string, number>;
};

const nameColumns = 12;
const pollMs = 250;

export function createProgress(write: (line: string) => void): Progress {
  const timings: Record<string, number> = {};
  return {
    timings,
    note: (text) => write(colors.dim(`  ${text}`)),
    async hop(name, work) {
      const startedAt = Date.now();
      let told = "";
      try {
        const result = await work((text) => {
          told = text;
        });
        timings[name] = Date.now() - startedAt;
        const seconds = (timings[name] / 1_000).toFixed(1).padStart(6);
        write(`${colors.green("✓")} ${name.padEnd(nameColumns)} ${colors.dim(`${seconds} s`)}  ${told}`);
        return result;
      } catch (cause) {
        write(`${colors.red("✗")} ${name.padEnd(nameColumns)}`);
        throw new HopFailedError(name, cause);
      }
    },
  };
}

/**
 * Asks until the answer is yes. What fails meanwhile (a database or node that is being restarted) counts as no, unless
 * it says that another try is in vain. @throws WaitedTooLongError with the last thing that was seen.
 */
export async function waitUntil(
  what: string,
  msMax: number,
  look: () => Promise<{ isDone: boolean; seen: string }>,
): Promise<void> {
  let seen = "nothing";
  for (const deadline = Date.now() + msMax; Date.now() < deadline; await sleep(pollMs)) {
    try {
      const answer = await look();
      if (answer.isDone) return;
      seen = answer.seen;
    } catch (error) {
      if (error instanceof PipelineError && !error.retryable) throw error;
      seen = error instanceof Error ? error.message : String(error);
    }
  }
  throw new WaitedTooLongError(what, msMax, seen);
}

export class HopFailedError extends PipelineError {
  override readonly name = "HopFailedError";
  readonly hop: string;
  constructor(hop: string, cause: unknown) {
    super(`The demo failed at the hop "${hop}": ${cause instanceof Error ? cause.message : String(cause)}`, {
      code: "hop_failed",
      retryable: cause instanceof PipelineError && cause.retryable,
      cause,
    });
    this.hop = hop;
  }
}

export class WaitedTooLongError extends PipelineError {
  override readonly name = "WaitedTooLongError";
  constructor(what: string, msMax: number, seen: string) {
    super(`${what}: not within ${msMax / 1_000} s. Last seen: ${seen}.`, {
      code: "waited_too_long",
      retryable: true,
    });
  }
}
