import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { Advice, GivenRecord } from "#engine/similar-records";
import { PipelineError } from "#schema/errors";
import { root } from "../config.ts";

/** Compares records by a model's embeddings, in a process of its own: the terminal has no model. */
export type Adviser = AsyncDisposable & {
  /** First the records asked about, then those before them, in the order of registration. */
  add: (records: readonly GivenRecord[]) => Promise<void>;
  /** @throws AdviceError with what it says. */
  finish: () => Promise<Advice>;
};

export function openAdviser(modelFolder: string): Adviser {
  const script = join(root, "engine/similar-records.ts");
  const child = spawn(process.execPath, [script, modelFolder], { stdio: ["pipe", "pipe", "pipe"] });
  const ended = once(child, "close") as Promise<[number | null]>;
  const said = Promise.all([text(child.stdout), text(child.stderr), ended]);
  // One that ends early says why when it is finished; what it did not read is of no use.
  child.stdin.on("error", () => undefined);
  return {
    add: async (records) => {
      for (const record of records) {
        if (child.stdin.destroyed) return;
        const isTaken = child.stdin.write(`${JSON.stringify(record)}\n`);
        if (!isTaken) await Promise.race([once(child.stdin, "drain"), ended]);
      }
    },
    finish: async () => {
      child.stdin.end();
      const [out, reason, [code]] = await said;
      if (code !== 0) throw new AdviceError(reason.trim());
      return JSON.parse(out) as Advice;
    },
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await said;
    },
  };
}

export class AdviceError extends PipelineError {
  override readonly name = "AdviceError";
  constructor(reason: string) {
    super(reason, { code: "advice", retryable: false });
  }
}
