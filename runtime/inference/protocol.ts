import type { MessagePort } from "node:worker_threads";
import type { GenerateTask, Generation } from "./generate.ts";
import type { LogProbBatch } from "./log-prob.ts";
import type { ModelSpec } from "./session.ts";

/** What a worker gets when it starts. `closingFlag` holds one Int32: non-zero means the pool is closing. */
export interface WorkerSetup {
  readonly spec: ModelSpec;
  /** Most answers a worker generates together. */
  readonly rowsMax: number;
  readonly closingFlag: Int32Array;
}

/** What the pool asks of a worker. `abortFlag` holds one Int32: non-zero means stop; `port` gets GeneratedToken. */
export type WorkerTask =
  | { readonly kind: "warm" }
  | {
      readonly kind: "generate";
      readonly task: GenerateTask;
      readonly port: MessagePort;
      readonly abortFlag: Int32Array;
    }
  | { readonly kind: "logProb"; readonly batch: LogProbBatch };

/** What each task gives back. */
export interface WorkerResults {
  warm: { readonly ortVersion: string };
  generate: Generation;
  logProb: number[];
}

/** A failure crosses threads as plain fields: structured cloning drops an error's class and its code. */
export type WorkerReply<Result> =
  | { readonly ok: true; readonly result: Result }
  | { readonly ok: false; readonly code: string; readonly retryable: boolean; readonly message: string };
