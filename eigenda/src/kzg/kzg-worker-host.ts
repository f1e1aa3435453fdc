import { Worker } from "node:worker_threads";
import { EigenDaError } from "../errors.ts";
import type { KzgAnswer, KzgJob, KzgReply, KzgRequest } from "./kzg-worker.ts";
import type { SrsPoints } from "./srs.ts";

type Pending = { resolve: (answer: never) => void; reject: (error: unknown) => void };

/**
 * One thread that does this client's heavy arithmetic, started at the first job and not keeping the process alive when idle.
 * Jobs run one at a time in the order given. A thread that dies rejects its jobs with `failover`; the next job starts a
 * new one. Once closed, jobs are refused with `invalid`.
 */
export class KzgThread implements AsyncDisposable {
  readonly #points: SrsPoints | null;
  readonly #pending = new Map<number, Pending>();
  #worker: Worker | null = null;
  #isClosed = false;
  #nextId = 0;

  constructor(points: SrsPoints | null) {
    this.#points = points && sharePoints(points);
  }

  async run<Job extends KzgJob>(job: Job): Promise<KzgAnswer<Job>> {
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
    const worker = new Worker(new URL("./kzg-worker.ts", import.meta.url), { workerData: this.#points });
    worker.on("message", (reply: KzgReply) => this.#settle(worker, reply));
    worker.on("error", (cause) => this.#drop(worker, cause.message, cause));
    worker.on("exit", (code) => this.#drop(worker, `exit code ${code}`));
    this.#worker = worker;
    return worker;
  }

  #settle(worker: Worker, reply: KzgReply): void {
    const pending = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if (this.#pending.size === 0) worker.unref();
    if (reply.ok) pending?.resolve(reply.answer as never);
    else
      pending?.reject(
        reply.kind === null ? new Error(reply.message) : new EigenDaError(reply.kind, reply.message),
      );
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

/** One job on a thread of its own. */
export async function runInWorker<Job extends KzgJob>(job: Job): Promise<KzgAnswer<Job>> {
  await using thread = new KzgThread(null);
  return await thread.run(job);
}

function closedError(): EigenDaError {
  return new EigenDaError("invalid", "The arithmetic thread is closed.");
}

/** Copies the lists once into memory that every thread can read, so that posting them costs nothing. */
function sharePoints(points: SrsPoints): SrsPoints {
  return {
    g1: shared(points.g1),
    g2: points.g2 && shared(points.g2),
    g2Trailing: points.g2Trailing && shared(points.g2Trailing),
  };
}

function shared(bytes: Uint8Array): Uint8Array {
  if (bytes.buffer instanceof SharedArrayBuffer) return bytes;
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.length));
  copy.set(bytes);
  return copy;
}
