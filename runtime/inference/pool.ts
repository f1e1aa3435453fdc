import { MessageChannel, type MessagePort } from "node:worker_threads";
import { Piscina } from "piscina";
import { ModelClosedError, ModelRuntimeError } from "#runtime/errors";
import type { GeneratedToken, GenerateTask, Generation } from "./generate.ts";
import type { LogProbBatch } from "./log-prob.ts";
import type { WorkerReply, WorkerResults, WorkerSetup, WorkerTask } from "./protocol.ts";
import type { ModelSpec } from "./session.ts";

/** Most worker threads of one model; each holds its own copy of the packed weights. */
export const threadsMax = 64;

/** Tasks that may wait for a worker, unless the caller sets another limit. */
export const queueMaxDefault = 256;

export interface PoolOptions {
  readonly threads: number;
  /** Most tasks waiting; the next is refused with QueueFullError. */
  readonly queueMax: number;
  /** Most tasks a worker has at once: answers that it generates together, and log-probabilities between their steps. Default 1. */
  readonly rowsMax?: number;
  /** Module each worker runs; another one injects faults in tests. */
  readonly workerFile?: URL;
}

/** Worker threads that run one model's tasks, oldest first. */
export interface Pool {
  readonly ortVersion: string;
  readonly threads: number;
  generate(
    task: GenerateTask,
    signal: AbortSignal | undefined,
    onToken: (token: GeneratedToken) => void,
  ): Promise<Generation>;
  logProb(batch: LogProbBatch): Promise<number[]>;
  close(): Promise<void>;
}

/**
 * Start the workers and load the model in each.
 * @throws SessionError's code if ONNX Runtime refuses the graphs; WorkerCrashedError if a worker dies.
 */
export async function createPool(spec: ModelSpec, options: PoolOptions): Promise<Pool> {
  const closingFlag = new Int32Array(new SharedArrayBuffer(4));
  const rowsMax = options.rowsMax ?? 1;
  const workers = new Piscina({
    filename: (options.workerFile ?? new URL("./worker.ts", import.meta.url)).href,
    workerData: { spec, rowsMax, closingFlag } satisfies WorkerSetup,
    concurrentTasksPerWorker: rowsMax,
    minThreads: options.threads,
    maxThreads: options.threads,
  });
  const state: PoolState = {
    workers,
    queueMax: options.queueMax,
    running: new Set(),
    closingFlag,
    isClosed: false,
  };
  try {
    const warmed = await Promise.all(
      Array.from({ length: options.threads }, () => run<"warm">(state, { kind: "warm" })),
    );
    const ortVersion = warmed[0]?.ortVersion ?? "unknown";
    return {
      ortVersion,
      threads: options.threads,
      generate: (task, signal, onToken) => generate(state, task, signal, onToken),
      logProb: (batch) => run<"logProb">(state, { kind: "logProb", batch }),
      close: () => close(state),
    };
  } catch (error) {
    await close(state);
    throw error;
  }
}

interface PoolState {
  readonly workers: Piscina;
  readonly queueMax: number;
  /** Tasks handed to the workers and not answered; at most `queueMax` and one a worker. */
  readonly running: Set<Promise<unknown>>;
  /** One Int32 that workers ask before a task and between tokens: non-zero means end. */
  readonly closingFlag: Int32Array;
  isClosed: boolean;
}

async function generate(
  state: PoolState,
  task: GenerateTask,
  signal: AbortSignal | undefined,
  onToken: (token: GeneratedToken) => void,
): Promise<Generation> {
  const abortFlag = new Int32Array(new SharedArrayBuffer(4));
  const abort = () => Atomics.store(abortFlag, 0, 1);
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort);
  const { port1: tokens, port2: port } = new MessageChannel();
  const delivery = deliverInOrder(onToken, abort);
  tokens.on("message", delivery.take);
  try {
    const generation = await run<"generate">(state, { kind: "generate", task, port, abortFlag }, [port]);
    delivery.complete(generation);
    return generation;
  } finally {
    signal?.removeEventListener("abort", abort);
    tokens.close();
  }
}

/**
 * Tokens travel on their own port and may be overtaken by the result; what has not arrived by then is
 * taken from the result, so the listener sees every token once, in order, before `generate` resolves.
 * A listener that throws stops the generation and its error becomes the call's.
 */
function deliverInOrder(onToken: (token: GeneratedToken) => void, abort: () => void) {
  let delivered = 0;
  let failure: { error: unknown } | undefined;
  const take = (token: GeneratedToken) => {
    if (failure || token.index !== delivered) return;
    delivered += 1;
    try {
      onToken(token);
    } catch (error) {
      failure = { error };
      abort();
    }
  };
  const complete = ({ tokenIds, logProbs }: Generation) => {
    tokenIds.forEach((tokenId, index) => {
      take({ index, tokenId, logProb: logProbs[index] ?? Number.NaN });
    });
    if (failure) throw failure.error;
  };
  return { take, complete };
}

async function run<Kind extends WorkerTask["kind"]>(
  state: PoolState,
  task: Extract<WorkerTask, { kind: Kind }>,
  transferList: MessagePort[] = [],
): Promise<WorkerResults[Kind]> {
  if (state.isClosed) throw new ModelClosedError();
  if (state.workers.queueSize >= state.queueMax) throw new QueueFullError(state.queueMax);
  const working: Promise<WorkerReply<WorkerResults[Kind]>> = state.workers.run(task, { transferList });
  state.running.add(working);
  const reply = await working
    .catch((cause: unknown) => {
      throw new WorkerCrashedError(cause);
    })
    .finally(() => state.running.delete(working));
  if (state.isClosed) throw new ModelClosedError();
  if (!reply.ok) throw new ModelRuntimeError(reply.code, reply.message, { retryable: reply.retryable });
  return reply.result;
}

/**
 * End the workers once they are idle. A thread that is stopped inside ONNX Runtime takes the process with
 * it when the binding then throws, so what runs is told to end and waited for: a token or a batch at most.
 */
async function close(state: PoolState): Promise<void> {
  state.isClosed = true;
  Atomics.store(state.closingFlag, 0, 1);
  await Promise.allSettled(state.running);
  await state.workers.destroy();
}

/** Too many tasks wait for a worker. */
export class QueueFullError extends ModelRuntimeError {
  constructor(queueMax: number) {
    super("queue-full", `Queue is full. Max: ${queueMax} waiting tasks.`, { retryable: true });
  }
}

/** A worker thread died or failed under a task; the pool replaces a dead one, so the call may be repeated. */
export class WorkerCrashedError extends ModelRuntimeError {
  constructor(cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super("worker-crashed", `A model worker crashed: ${reason}.`, { retryable: true, cause });
  }
}
