import { channel } from "node:diagnostics_channel";
import { Worker } from "node:worker_threads";
import { EigenDaError, invariant } from "../errors.ts";
import type { KzgJob, KzgReply, KzgRequest } from "./kzg-worker.ts";
import type { SrsPoints } from "./srs.ts";

/** Compiled packages have it as JavaScript. */
const workerFile = import.meta.url.endsWith(".ts") ? "./kzg-worker.ts" : "./kzg-worker.js";

/** Each thread is announced here when it starts, for who measures: a message is the `Worker`. */
export const kzgThreads = channel("eigenda.kzg-thread");

type Pending = { resolve: (bytes: Uint8Array) => void; reject: (error: unknown) => void };

/**
 * One thread of heavy arithmetic, started at the first job and not keeping the process alive when idle.
 * Jobs run one at a time in the order given. A thread that dies rejects its jobs with `failover`; the next job starts a
 * new one. Once closed, jobs are refused with `invalid`.
 */
export class KzgThread implements AsyncDisposable {
  readonly #points: Partial<SrsPoints>;
  readonly #pending = new Map<number, Pending>();
  #worker: Worker | null = null;
  #isClosed = false;
  #nextId = 0;

  /** The lists the thread works on, in shared memory. */
  constructor(points: Partial<SrsPoints>) {
    this.#points = points;
  }

  async run(job: KzgJob): Promise<Uint8Array> {
    if (this.#isClosed) throw closedError();
    const worker = this.#worker ?? this.#start();
    const request: KzgRequest = { id: this.#nextId++, job };
    return await new Promise((resolve, reject) => {
      this.#pending.set(request.id, { resolve, reject });
      worker.ref();
      worker.postMessage(request);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const worker = this.#worker;
    this.#isClosed = true;
    this.#worker = null;
    await worker?.terminate();
    this.#rejectAll(closedError());
  }

  #start(): Worker {
    const worker = new Worker(new URL(workerFile, import.meta.url), { workerData: this.#points });
    worker.on("message", (reply: KzgReply) => this.#settle(worker, reply));
    worker.on("error", (cause) => this.#drop(worker, cause.message, cause));
    worker.on("exit", (code) => this.#drop(worker, `exit code ${code}`));
    this.#worker = worker;
    kzgThreads.publish(worker);
    return worker;
  }

  #settle(worker: Worker, reply: KzgReply): void {
    const pending = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if (this.#pending.size === 0) worker.unref();
    invariant(pending !== undefined, "every reply has a job");
    if (reply.ok) pending.resolve(reply.bytes);
    else pending.reject(new EigenDaError("invalid", `The arithmetic failed: ${reply.message}`));
  }

  #drop(worker: Worker, reason: string, cause?: Error): void {
    if (this.#worker !== worker) return;
    this.#worker = null;
    this.#rejectAll(new EigenDaError("failover", `The arithmetic thread died: ${reason}.`, { cause }));
  }

  #rejectAll(error: EigenDaError): void {
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
  }
}

function closedError(): EigenDaError {
  return new EigenDaError("invalid", "The arithmetic thread is closed.");
}
