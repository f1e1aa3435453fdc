import { availableParallelism } from "node:os";
import { type G1, g1AffineBytes, g1FromAffineBytes, g2FromAffineBytes } from "../curve/points.ts";
import { type BlobCommitment, checkLength } from "./commitment.ts";
import { KzgThread } from "./kzg-thread.ts";
import type { ListName } from "./kzg-worker.ts";
import type { SrsPoints } from "./srs.ts";

/** Which lists share a thread, by how many threads there are: a G2 list costs about three times the G1 list. */
const lanes: readonly (readonly ListName[])[][] = [
  [["g1", "g2", "g2Trailing"]],
  [["g1", "g2"], ["g2Trailing"]],
  [["g1"], ["g2"], ["g2Trailing"]],
];

/**
 * Commitments of one process under one SRS: up to three threads, each with lists of its own, so that no list is held twice.
 * Close it. Errors are those of `KzgThread` and `checkLength`.
 */
export class Committer implements AsyncDisposable {
  readonly #points: SrsPoints;
  readonly #threads: KzgThread[];
  readonly #threadOf = new Map<ListName, KzgThread>();

  constructor(points: SrsPoints, options: { threads?: number } = {}) {
    const threads = Math.min(
      options.threads ?? availableParallelism(),
      points.g2 === null ? 1 : lanes.length,
    );
    this.#points = points;
    this.#threads = lanes[threads - 1]!.map((names) => {
      const lists = names.filter((name) => points[name] !== null);
      const thread = new KzgThread(Object.fromEntries(lists.map((name) => [name, points[name]])));
      for (const name of lists) this.#threadOf.set(name, thread);
      return thread;
    });
  }

  /** Longest blob, in symbols. */
  get symbolsMax(): number {
    return this.#points.g1.length / g1AffineBytes;
  }

  /** All three multi-scalar multiplications of a dispersal. `blob`: canonical symbols, a power of two of them. */
  async commit(blob: Uint8Array): Promise<BlobCommitment> {
    const length = checkLength(this.#points, blob);
    // In shared memory: it goes to up to three threads.
    const scalars = new Uint8Array(new SharedArrayBuffer(blob.length));
    scalars.set(blob);
    const [commitment, lengthCommitment, lengthProof] = await Promise.all([
      this.#msm("g1", scalars, 0),
      this.#msm("g2", scalars, 0),
      this.#msm("g2Trailing", scalars, this.symbolsMax - length),
    ]);
    return {
      commitment: g1FromAffineBytes(commitment),
      lengthCommitment: g2FromAffineBytes(lengthCommitment),
      lengthProof: g2FromAffineBytes(lengthProof),
      length,
    };
  }

  /** The G1 part alone: what retrieval recomputes. */
  async commitG1(blob: Uint8Array): Promise<G1> {
    return g1FromAffineBytes(await this.#msm("g1", blob, 0));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const thread of this.#threads) await thread[Symbol.asyncDispose]();
  }

  #msm(list: ListName, scalars: Uint8Array, offset: number): Promise<Uint8Array> {
    return this.#threadOf.get(list)!.run({ kind: "msm", list, scalars, offset });
  }
}
