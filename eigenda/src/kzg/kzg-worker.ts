import { parentPort, workerData } from "node:worker_threads";
import { loadMcl } from "../curve/mcl.ts";
import type { G1 } from "../curve/points.ts";
import { EigenDaError, type EigenDaErrorKind, invariant } from "../errors.ts";
import { type BlobCommitment, commitBlob, commitG1, prepareBases } from "./commitment.ts";
import { derivePoints } from "./development-srs.ts";
import type { SrsPoints } from "./srs.ts";

/** What the thread can be asked to do, and what it answers. */
export type KzgJob =
  | { kind: "derive"; symbolsMax: number }
  | { kind: "commit"; blob: Uint8Array }
  | { kind: "commitG1"; blob: Uint8Array };
export type KzgAnswer<Job extends KzgJob> = {
  derive: Uint8Array;
  commit: BlobCommitment;
  commitG1: G1;
}[Job["kind"]];

export type KzgRequest = { id: number; job: KzgJob };
export type KzgReply = { id: number } & (
  | { ok: true; answer: KzgAnswer<KzgJob> }
  | { ok: false; message: string; kind: EigenDaErrorKind | null }
);

const port = parentPort;
if (port !== null) {
  const points = workerData as SrsPoints | null;
  const backend = await loadMcl();
  const bases = points === null ? null : prepareBases(backend, points);
  const run = (job: KzgJob): KzgAnswer<KzgJob> => {
    if (job.kind === "derive") return derivePoints(backend, job.symbolsMax);
    invariant(bases !== null, "a commitment thread has points");
    return job.kind === "commit" ? commitBlob(bases, job.blob) : commitG1(bases, job.blob);
  };
  port.on("message", ({ id, job }: KzgRequest) => {
    port.postMessage(reply(id, () => run(job)));
  });
}

function reply(id: number, run: () => KzgAnswer<KzgJob>): KzgReply {
  try {
    return { id, ok: true, answer: run() };
  } catch (error) {
    return { id, ok: false, message: String(error), kind: error instanceof EigenDaError ? error.kind : null };
  }
}
