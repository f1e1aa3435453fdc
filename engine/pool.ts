import { Piscina } from "piscina";
import type { Hex } from "viem";
import { invariant } from "#schema/errors";
import { poolQueueMax } from "./constants.ts";

/** What a worker is asked. `contexts` are the passages of each prompt, in the order of the values wanted. */
export type PoolTask =
  | { kind: "describe" }
  | {
      kind: "values";
      question: string;
      contexts: readonly (readonly string[])[];
      answerTokenIds: readonly number[];
    };

export type TaskResult =
  | { ok: true; kind: "describe"; artifactHash: Hex; profile: string }
  | { ok: true; kind: "values"; nats: number[]; answer: string }
  | { ok: false; code: string; reason: string; retryable: boolean };

/** Log-probabilities of the answer under each context, in nats, and the text of its tokens, white space folded. */
export type Values =
  | { ok: true; nats: number[]; answer: string }
  | { ok: false; code: string; reason: string; retryable: boolean };

/** Threads that replay answers. Close it: its threads keep the process alive. */
export type Pool = AsyncDisposable & {
  artifactHash: Hex;
  /** The runtime's execution profile as canonical JSON. */
  profile: string;
  values: (task: Omit<Extract<PoolTask, { kind: "values" }>, "kind">) => Promise<Values>;
};

/** Open `workers` threads with the model of a folder. @throws what opening the model throws. */
export async function openPool(folder: string, workers: number): Promise<Pool> {
  const piscina = new Piscina({
    filename: new URL("./worker.ts", import.meta.url).href,
    workerData: { folder },
    minThreads: workers,
    maxThreads: workers,
    maxQueue: poolQueueMax,
    // The model's own thread talks to ours by events: do not block the loop between tasks.
    atomics: "disabled",
  });
  const run = (task: PoolTask): Promise<TaskResult> => piscina.run(task);
  try {
    const described = await run({ kind: "describe" });
    invariant(described.ok && described.kind === "describe", "a pool describes itself");
    return {
      artifactHash: described.artifactHash,
      profile: described.profile,
      values: async (task) => {
        const result = await run({ kind: "values", ...task });
        if (!result.ok) return result;
        invariant(
          result.kind === "values" && result.nats.length === task.contexts.length,
          "one value per context",
        );
        return result;
      },
      [Symbol.asyncDispose]: () => piscina.destroy(),
    };
  } catch (error) {
    await piscina.destroy();
    throw error;
  }
}
