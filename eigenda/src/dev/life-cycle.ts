import { create } from "@bufbuild/protobuf";
import { bytesToHex, type Hex, hexToBytes } from "viem";
import { buildBatch } from "../certificate/merkle.ts";
import type { CurveBackend } from "../curve/backend.ts";
import {
  BlobStatus,
  type BlobStatusReply,
  BlobStatusReplySchema,
  type DisperseBlobRequest,
} from "../gen/disperser_pb.ts";
import { blobCertificateHash } from "../header/header.ts";
import type { BlobStore } from "./blob-store.ts";
import type { Faults } from "./faults.ts";
import { attest, type Operator } from "./operators.ts";

/** Blobs in one batch. */
const batchBlobsMax = 1024;

/** Relays that the certificates name; this server is both. */
const relayKeys: readonly number[] = [0, 1];

/** Stands in for an L1 block number: one every 12 seconds of Unix time. */
const blockMs = 12_000;

type Gathering = { root: Hex; referenceBlockNumber: number; replies: Map<Hex, BlobStatusReply> };

export type LifeCycleOptions = {
  backend: CurveBackend;
  operators: readonly Operator[];
  store: BlobStore;
  faults: Faults;
  stepMs: number;
  hasNonSigner: boolean;
  log: (message: string) => void;
};

/**
 * QUEUED → ENCODED → GATHERING_SIGNATURES → COMPLETE, one step each `stepMs`; FAILED from ENCODED by a fault switch,
 * or where the accepted request can no longer be read.
 * Only this class writes a blob's status. On a crash, whatever was not settled on disk starts again at QUEUED.
 */
export class LifeCycle {
  readonly #options: LifeCycleOptions;
  readonly #statuses = new Map<Hex, BlobStatus>();
  #gathering: Gathering | null = null;
  #timer: NodeJS.Timeout | null = null;
  #step: Promise<void> | null = null;
  #isClosed = false;

  constructor(options: LifeCycleOptions) {
    this.#options = options;
  }

  /** Takes up what is on disk: finished blobs as they are, the others from the start. */
  async resume(): Promise<{ settled: number; resumed: number }> {
    const { store } = this.#options;
    const settled = new Set(await store.settledKeys());
    const open = (await store.acceptedKeys()).filter((key) => !settled.has(key));
    for (const key of settled) this.#statuses.set(key, (await store.readSettled(key)).status);
    for (const key of open) this.#statuses.set(key, BlobStatus.QUEUED);
    this.#schedule();
    return { settled: settled.size, resumed: open.length };
  }

  /** Takes the key so that no second request gets it. False if it is known already. */
  reserve(key: Hex): boolean {
    if (this.#statuses.has(key)) return false;
    this.#statuses.set(key, BlobStatus.UNKNOWN);
    return true;
  }

  /** Starts a reserved blob whose request is on disk. */
  enqueue(key: Hex): void {
    this.#statuses.set(key, BlobStatus.QUEUED);
    this.#schedule();
  }

  /** Gives a reserved key back after its request could not be stored. */
  release(key: Hex): void {
    this.#statuses.delete(key);
  }

  /** The status reply of a blob, or null if it is not known here. */
  async reply(key: Hex): Promise<BlobStatusReply | null> {
    const status = this.#statuses.get(key);
    if (status === undefined || status === BlobStatus.UNKNOWN) return null;
    if (status === BlobStatus.COMPLETE || status === BlobStatus.FAILED)
      return await this.#options.store.readSettled(key);
    return this.#gathering?.replies.get(key) ?? create(BlobStatusReplySchema, { status });
  }

  /** Takes no further step. Resolves when the one under way has written what it writes. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#step;
  }

  #schedule(): void {
    if (this.#timer !== null || this.#step !== null || this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#step = this.#takeStep().finally(() => {
        this.#step = null;
        if (this.#hasOpenBlobs()) this.#schedule();
      });
    }, this.#options.stepMs);
  }

  async #takeStep(): Promise<void> {
    try {
      if (!this.#options.faults.has("slow")) await this.#advance();
    } catch (error) {
      this.#options.log(`a step failed and is repeated: ${error instanceof Error ? error.message : error}`);
    }
  }

  /** Latest stage first, so that a blob moves one stage a step. */
  async #advance(): Promise<void> {
    if (this.#gathering !== null) await this.#complete(this.#gathering);
    const encoded = this.#keysAt(BlobStatus.ENCODED).slice(0, batchBlobsMax);
    if (encoded.length > 0 && this.#options.faults.has("failed")) await this.#fail(encoded);
    else if (encoded.length > 0) this.#gathering = await this.#gather(await this.#readable(encoded));
    for (const key of this.#keysAt(BlobStatus.QUEUED)) this.#statuses.set(key, BlobStatus.ENCODED);
  }

  /** The requests that are whole on disk. The others are settled as FAILED: one of them must not hold up every batch. */
  async #readable(keys: readonly Hex[]): Promise<ReadonlyMap<Hex, DisperseBlobRequest>> {
    const requests = new Map<Hex, DisperseBlobRequest>();
    const unreadable: Hex[] = [];
    for (const key of keys) {
      const read = await this.#options.store.readAccepted(key);
      if (read.ok) requests.set(key, read.value);
      else {
        this.#options.log(
          `blob ${key} was accepted and can no longer be read; it ends FAILED: ${read.reason}`,
        );
        unreadable.push(key);
      }
    }
    await this.#fail(unreadable);
    return requests;
  }

  async #gather(accepted: ReadonlyMap<Hex, DisperseBlobRequest>): Promise<Gathering | null> {
    const { backend, operators } = this.#options;
    if (accepted.size === 0) return null;
    const [keys, requests] = [[...accepted.keys()], [...accepted.values()]];
    const batch = buildBatch(
      requests.map((request, index) =>
        blobCertificateHash(keys[index]!, bytesToHex(request.signature), relayKeys),
      ),
    );
    const referenceBlockNumber = Math.floor(Date.now() / blockMs);
    const signedBatch = attest(
      backend,
      operators,
      { root: batch.root, referenceBlockNumber },
      (_, index) => index === 0,
    );
    const replies = keys.map((key, index) => {
      const blobInclusionInfo = inclusionOf(requests[index]!, index, batch.proofs[index]!);
      const status = BlobStatus.GATHERING_SIGNATURES;
      return [key, create(BlobStatusReplySchema, { status, signedBatch, blobInclusionInfo })] as const;
    });
    for (const key of keys) this.#statuses.set(key, BlobStatus.GATHERING_SIGNATURES);
    return { root: batch.root, referenceBlockNumber, replies: new Map(replies) };
  }

  async #complete({ root, referenceBlockNumber, replies }: Gathering): Promise<void> {
    const { backend, operators, store, faults, hasNonSigner } = this.#options;
    const last = operators.length - 1;
    const signs = (_: Operator, index: number) =>
      faults.has("below-threshold") ? index === 0 : !(hasNonSigner && index === last);
    const signedBatch = attest(backend, operators, { root, referenceBlockNumber }, signs);
    for (const [key, { blobInclusionInfo }] of replies) {
      const init = {
        status: BlobStatus.COMPLETE,
        signedBatch,
        ...(blobInclusionInfo && { blobInclusionInfo }),
      };
      await store.writeSettled(key, create(BlobStatusReplySchema, init));
      this.#statuses.set(key, BlobStatus.COMPLETE);
    }
    this.#gathering = null;
  }

  async #fail(keys: readonly Hex[]): Promise<void> {
    for (const key of keys) {
      await this.#options.store.writeSettled(
        key,
        create(BlobStatusReplySchema, { status: BlobStatus.FAILED }),
      );
      this.#statuses.set(key, BlobStatus.FAILED);
    }
  }

  #keysAt(status: BlobStatus): Hex[] {
    return [...this.#statuses].filter(([, at]) => at === status).map(([key]) => key);
  }

  #hasOpenBlobs(): boolean {
    const open: readonly BlobStatus[] = [
      BlobStatus.QUEUED,
      BlobStatus.ENCODED,
      BlobStatus.GATHERING_SIGNATURES,
    ];
    return [...this.#statuses.values()].some((status) => open.includes(status));
  }
}

function inclusionOf(request: DisperseBlobRequest, blobIndex: number, proof: Hex) {
  const { blobHeader, signature } = request;
  const blobCertificate = { signature, relayKeys: [...relayKeys], ...(blobHeader && { blobHeader }) };
  return { blobCertificate, blobIndex, inclusionProof: hexToBytes(proof) };
}
