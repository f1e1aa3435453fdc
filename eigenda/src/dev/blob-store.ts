import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Hex } from "viem";
import { unfinishedSuffix, writeDurably } from "../durable-file.ts";
import type { Decoded } from "../errors.ts";
import {
  type BlobStatusReply,
  BlobStatusReplySchema,
  type DisperseBlobRequest,
  DisperseBlobRequestSchema,
} from "../gen/disperser_pb.ts";
import { signatureBytes } from "../header/signer.ts";

/**
 * Blobs on disk, one file a fact, each written whole:
 * `accepted/<key>` is the request as it came, `settled/<key>` the final status reply. A key with the first only was
 * accepted and not finished; it goes on after a restart.
 */
export class BlobStore {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Opens or creates the folder, and removes what a killed process left half written. */
  static async open(folder: string): Promise<BlobStore> {
    for (const kind of ["accepted", "settled"]) {
      await mkdir(join(folder, kind), { recursive: true });
      const halves = (await readdir(join(folder, kind))).filter((name) => name.endsWith(unfinishedSuffix));
      for (const half of halves) await rm(join(folder, kind, half));
    }
    return new BlobStore(folder);
  }

  acceptedKeys(): Promise<Hex[]> {
    return this.#keys("accepted");
  }

  settledKeys(): Promise<Hex[]> {
    return this.#keys("settled");
  }

  writeAccepted(key: Hex, request: DisperseBlobRequest): Promise<void> {
    return this.#write("accepted", key, toBinary(DisperseBlobRequestSchema, request));
  }

  /** Refuses a file that is gone, damaged or not whole. */
  async readAccepted(key: Hex): Promise<Decoded<DisperseBlobRequest>> {
    try {
      const request = fromBinary(DisperseBlobRequestSchema, await this.#read("accepted", key));
      const isWhole = request.blobHeader !== undefined && request.signature.length === signatureBytes;
      return isWhole
        ? { ok: true, value: request }
        : { ok: false, reason: "the file lacks the header or the signature" };
    } catch (error) {
      return { ok: false, reason: error instanceof Error ? error.message : String(error) };
    }
  }

  writeSettled(key: Hex, reply: BlobStatusReply): Promise<void> {
    return this.#write("settled", key, toBinary(BlobStatusReplySchema, reply));
  }

  async readSettled(key: Hex): Promise<BlobStatusReply> {
    return fromBinary(BlobStatusReplySchema, await this.#read("settled", key));
  }

  async #keys(kind: string): Promise<Hex[]> {
    return (await readdir(join(this.#folder, kind))).sort().map((name): Hex => `0x${name}`);
  }

  #read(kind: string, key: Hex): Promise<Uint8Array> {
    return readFile(join(this.#folder, kind, key.slice(2)));
  }

  #write(kind: string, key: Hex, bytes: Uint8Array): Promise<void> {
    return writeDurably(join(this.#folder, kind, key.slice(2)), bytes);
  }
}
