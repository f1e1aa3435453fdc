import { blobSymbolsMax } from "../codec/blob.ts";
import type { CurveBackend } from "../curve/backend.ts";
import { isEqualG1 } from "../curve/points.ts";
import { invariant } from "../errors.ts";
import { type BlobCommitment, isCommitmentConsistent } from "../kzg/commitment.ts";
import { Committer } from "../kzg/committer.ts";
import { developmentSrsAnchor, developmentSrsG1 } from "../kzg/development-srs.ts";

/** Lengths of the lists of points, each derived when a blob first needs it; the last is for the largest blobs there are. */
const listSymbols: readonly number[] = [64, 4_096, 32_768, blobSymbolsMax];

/**
 * Recomputes commitments as a server without any secret must: the one in G1 from the blob's bytes, the two in G2 by both pairing equations, which have no
 * other solution. τ is not used. The lists are kept in `folder`; the longest takes some 10 CPU seconds at first use.
 * Holds an arithmetic thread for each list in use: close it.
 */
export class CommitmentCheck implements AsyncDisposable {
  readonly #backend: CurveBackend;
  readonly #folder: string;
  readonly #committers = new Map<number, Promise<Committer>>();

  constructor(backend: CurveBackend, folder: string) {
    this.#backend = backend;
    this.#folder = folder;
  }

  /** `blob`: canonical symbols, no more than the largest blob has. Points must be in their groups. */
  async isCommitmentTo(blob: Uint8Array, claimed: BlobCommitment): Promise<boolean> {
    if (!isCommitmentConsistent(this.#backend, developmentSrsAnchor, claimed)) return false;
    const committer = await this.#committerFor(claimed.length);
    return isEqualG1(await committer.commitG1(blob), claimed.commitment);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const committer of this.#committers.values()) await (await committer)[Symbol.asyncDispose]();
  }

  #committerFor(length: number): Promise<Committer> {
    const symbolsMax = listSymbols.find((symbols) => symbols >= length);
    invariant(symbolsMax !== undefined, "the size was checked");
    const known = this.#committers.get(symbolsMax);
    if (known !== undefined) return known;
    const opening = developmentSrsG1({ folder: this.#folder, symbolsMax }).then(
      ({ points }) => new Committer(points),
    );
    this.#committers.set(symbolsMax, opening);
    // A folder that cannot be written now may be later.
    opening.catch(() => this.#committers.delete(symbolsMax));
    return opening;
  }
}
