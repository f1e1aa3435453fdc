import { bytesToHex, type Hex, hexToBytes } from "viem";
import { type Certificate, decodeCertificate } from "../certificate/certificate.ts";
import { decodeBlob, type PolynomialForm } from "../codec/blob.ts";
import { readSymbols, symbolBytes } from "../curve/field.ts";
import { compressG1, isEqualG1 } from "../curve/points.ts";
import { EigenDaError } from "../errors.ts";
import { Relay } from "../gen/relay_pb.ts";
import { blobKey } from "../header/header.ts";
import { Committer } from "../kzg/committer.ts";
import type { Srs } from "../kzg/srs.ts";
import { RpcChannel } from "./channel.ts";

export type RelayClientOptions = {
  /** Where a relay key's server is; null if unknown. On a network the registry contract tells: `registryRelayUrl`. */
  relayUrl: (relayKey: number) => string | null | Promise<string | null>;
  srs: Srs;
  form?: PolynomialForm;
  /** Time for one call. */
  rpcMsMax?: number;
};

const rpcMsMaxDefault = 30_000;

/** Relays asked for one blob; certificates of the networks name one or two. */
const relaysMax = 8;

/** Retrieves payloads and trusts no relay. Holds connections and one arithmetic thread: close it. */
export class RelayClient implements AsyncDisposable {
  readonly #options: RelayClientOptions;
  readonly #committer: Committer;
  readonly #channels = new Map<string, RpcChannel>();

  constructor(options: RelayClientOptions) {
    this.#options = options;
    this.#committer = new Committer({ ...options.srs.points, g2: null, g2Trailing: null });
  }

  /**
   * The payload a certificate stands for. The relays it names are tried in order; bytes are returned only after their
   * commitment, recomputed here, equals the certificate's. Whether the certificate itself is good: see `verifyCertificate`.
   * @throws EigenDaError invalid (certificate, or a blob that is no payload), mismatch (every answer was wrong), failover (no answer).
   */
  async retrieve(certificate: Uint8Array, options: { signal?: AbortSignal } = {}): Promise<Uint8Array> {
    const decoded = decodeCertificate(certificate);
    if (!decoded.ok) throw new EigenDaError("invalid", decoded.reason);
    const blob = await this.#fetchVerified(decoded.value, options.signal);
    const payload = decodeBlob(blob, this.#options.form ?? "eval");
    if (!payload.ok) throw new EigenDaError("invalid", payload.reason);
    return payload.value;
  }

  async close(): Promise<void> {
    for (const channel of this.#channels.values()) channel.close();
    this.#channels.clear();
    await this.#committer[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #fetchVerified(certificate: Certificate, signal: AbortSignal | undefined): Promise<Uint8Array> {
    const { symbolsMax } = this.#options.srs;
    const { length } = certificate.header.commitment;
    if (length > symbolsMax) {
      throw new EigenDaError(
        "invalid",
        `The blob is longer than the SRS. Max: ${symbolsMax} symbols. Given: ${length} symbols.`,
      );
    }
    const key = blobKey(certificate.header);
    const failures: EigenDaError[] = [];
    for (const relayKey of certificate.relayKeys.slice(0, relaysMax)) {
      try {
        return await this.#verified(certificate, await this.#fetch(relayKey, key, signal));
      } catch (error) {
        if (!(error instanceof EigenDaError)) throw error;
        failures.push(error);
      }
    }
    throw summary(key, failures);
  }

  async #fetch(relayKey: number, key: Hex, signal: AbortSignal | undefined): Promise<Uint8Array> {
    const url = await this.#options.relayUrl(relayKey);
    if (url === null) throw new EigenDaError("failover", `The address of relay ${relayKey} is unknown.`);
    const channel = this.#channels.get(url) ?? new RpcChannel(url, this.#options.srs);
    this.#channels.set(url, channel);
    const call = { msMax: this.#options.rpcMsMax ?? rpcMsMaxDefault, signal };
    const reply = await channel.call(Relay.method.getBlob, { blobKey: hexToBytes(key) }, call);
    return reply.blob;
  }

  /** The full blob, if it is what the certificate commits to. A relay may have cut its trailing zeros. */
  async #verified(certificate: Certificate, bytes: Uint8Array): Promise<Uint8Array> {
    const { commitment, length } = certificate.header.commitment;
    if (bytes.length > length * symbolBytes) {
      throw new EigenDaError(
        "mismatch",
        `The relay sent more than the blob. Max: ${length * symbolBytes} bytes. Given: ${bytes.length} bytes.`,
      );
    }
    const blob = new Uint8Array(length * symbolBytes);
    blob.set(bytes);
    const symbols = readSymbols(blob);
    if (!symbols.ok)
      throw new EigenDaError("mismatch", `Symbol ${symbols.index} of the relay's blob is not canonical.`);
    const recomputed = await this.#committer.commitG1(blob);
    if (!isEqualG1(recomputed, commitment)) {
      const [wanted, given] = [commitment, recomputed].map((point) => bytesToHex(compressG1(point)));
      throw new EigenDaError(
        "mismatch",
        `The relay's blob has another commitment. Wanted: ${wanted}. Given: ${given}.`,
      );
    }
    return blob;
  }
}

/** A wrong answer says more than a missing one. */
function summary(key: Hex, failures: readonly EigenDaError[]): EigenDaError {
  const worst = failures.find(({ kind }) => kind === "mismatch") ?? failures.at(-1);
  if (worst === undefined)
    return new EigenDaError("invalid", `The certificate of blob ${key} names no relay.`);
  return new EigenDaError(worst.kind, `Blob ${key} cannot be retrieved: ${worst.message}`, { cause: worst });
}
