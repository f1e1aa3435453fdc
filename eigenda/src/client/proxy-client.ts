import { bytesToHex } from "viem";
import { type Certificate, certificateBytesMax, encodeCertificate } from "../certificate/certificate.ts";
import { verifyCertificate } from "../certificate/verify.ts";
import { blobOfEncoded, encodeBlob, type PolynomialForm } from "../codec/blob.ts";
import { symbolBytes } from "../curve/field.ts";
import { isEqualG1 } from "../curve/points.ts";
import { EigenDaError, type EigenDaErrorKind } from "../errors.ts";
import { checkedBlob, checkSize } from "../kzg/blob-check.ts";
import { Committer } from "../kzg/committer.ts";
import type { Srs } from "../kzg/srs.ts";
import { type BlobSource, retrievePayload } from "./blob-source.ts";
import { checkEndpoint } from "./channel.ts";
import { readBody, readErrorText } from "./response-body.ts";

export type ProxyClientOptions = {
  /** Where an eigenda-proxy listens, `http://127.0.0.1:3100`. */
  url: string;
  srs: Srs;
  /** Must be the proxy's: eval unless it runs with `--eigenda.v2.disable-point-evaluation`. */
  form?: PolynomialForm;
  /** What the certificate of a `put` must pass. A proxy on its in-memory store makes certificates that only have the structure. */
  level?: "structure" | "inclusion+signature";
  callMsMax?: number;
};

/** A `put` waits for a dispersal. */
const callMsMaxDefault = 120_000;

const kindByStatus: Record<number, EigenDaErrorKind> = {
  400: "invalid",
  403: "invalid",
  404: "failover",
  // The proxy's word for a certificate that must be dropped.
  418: "mismatch",
};

/**
 * Disperses and retrieves through an eigenda-proxy's REST API (standard commitments), and trusts it no more than a relay. Source of the routes:
 * Layr-Labs/eigenda api/proxy/servers/rest @ 61019b4e9f91. Holds one arithmetic thread: close it.
 */
export class ProxyClient implements AsyncDisposable, BlobSource {
  readonly #options: ProxyClientOptions;
  readonly #committer: Committer;

  /** @throws EigenDaError invalid for a malformed URL, or a forgeable SRS outside loopback. */
  constructor(options: ProxyClientOptions) {
    checkEndpoint(options.url, options.srs);
    this.#options = options;
    this.#committer = new Committer({ ...options.srs.points, g2: null, g2Trailing: null });
  }

  /**
   * The certificate of the payload, after it was verified and its commitment found to be the payload's.
   * @throws EigenDaError.
   */
  async put(payload: Uint8Array, options: { signal?: AbortSignal } = {}): Promise<Uint8Array> {
    const { srs, form = "eval", level = "inclusion+signature" } = this.#options;
    const blob = encodeBlob(payload, { form, symbolsMax: srs.symbolsMax });
    const init = { method: "POST", body: Uint8Array.from(payload) };
    const bytes = await this.#call(
      "/put?commitment_mode=standard",
      certificateBytesMax,
      options.signal,
      init,
    );
    const verdict = await verifyCertificate(bytes, level === "structure" ? { level } : { level, srs });
    if (!verdict.ok) throw new EigenDaError("mismatch", verdict.reason);
    const { commitment, length } = verdict.certificate.header.commitment;
    const own = await this.#committer.commitG1(blob);
    if (length !== blob.length / symbolBytes || !isEqualG1(own, commitment))
      throw new EigenDaError("mismatch", "The proxy answered with the certificate of another payload.");
    return bytes;
  }

  /** As `RelayClient.retrieve`. */
  async get(certificate: Uint8Array, options: { signal?: AbortSignal } = {}): Promise<Uint8Array> {
    const form = this.#options.form ?? "eval";
    return (await retrievePayload(certificate, [this], { form, ...options })).payload;
  }

  async retrieveBlob(certificate: Certificate, options: { signal?: AbortSignal | undefined }) {
    const { form = "eval" } = this.#options;
    const { commitment } = certificate.header;
    checkSize(this.#committer, commitment);
    const path = `/get/${bytesToHex(encodeCertificate(certificate))}?commitment_mode=standard&return_encoded_payload=true`;
    const encoded = await this.#call(path, commitment.length * symbolBytes, options.signal);
    const whole = new Uint8Array(commitment.length * symbolBytes);
    whole.set(encoded);
    const bytes = blobOfEncoded(whole, form);
    if (!bytes.ok) throw new EigenDaError("mismatch", bytes.reason);
    return { blob: await checkedBlob(this.#committer, commitment, bytes.value), servedBy: "proxy" };
  }

  close(): Promise<void> {
    return this.#committer[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #call(path: string, bytesMax: number, signal: AbortSignal | undefined, init: RequestInit = {}) {
    const timeout = AbortSignal.timeout(this.#options.callMsMax ?? callMsMaxDefault);
    const either = signal ? AbortSignal.any([signal, timeout]) : timeout;
    try {
      const response = await fetch(new URL(path, this.#options.url), { ...init, signal: either });
      if (response.ok) return await readBody(response, bytesMax, "The proxy");
      const text = await readErrorText(response);
      const kind = kindByStatus[response.status] ?? "failover";
      throw new EigenDaError(kind, `The proxy answered ${response.status}: ${text}`);
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      if (error instanceof EigenDaError) throw error;
      throw new EigenDaError("failover", `The proxy cannot be reached: ${error}`, { cause: error });
    }
  }
}
