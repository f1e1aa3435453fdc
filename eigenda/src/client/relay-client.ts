import { type Hex, hexToBytes } from "viem";
import type { Certificate } from "../certificate/certificate.ts";
import type { PolynomialForm } from "../codec/blob.ts";
import { EigenDaError } from "../errors.ts";
import { Relay } from "../gen/relay_pb.ts";
import { blobKey } from "../header/header.ts";
import { checkedBlob, checkSize } from "../kzg/blob-check.ts";
import { Committer } from "../kzg/committer.ts";
import type { Srs } from "../kzg/srs.ts";
import { type BlobSource, firstAnswer, retrievePayload } from "./blob-source.ts";
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
export class RelayClient implements AsyncDisposable, BlobSource {
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
    const form = this.#options.form ?? "eval";
    return (await retrievePayload(certificate, [this], { form, ...options })).payload;
  }

  /** The verified blob, and `relay <key>` of the relay that served it. */
  async retrieveBlob(certificate: Certificate, options: { signal?: AbortSignal | undefined }) {
    const key = blobKey(certificate.header);
    checkSize(this.#committer, certificate.header.commitment);
    const asks = certificate.relayKeys.slice(0, relaysMax).map((relayKey) => ({
      name: `relay ${relayKey}`,
      ask: async () => {
        const bytes = await this.#fetch(relayKey, key, options.signal);
        const blob = await checkedBlob(this.#committer, certificate.header.commitment, bytes);
        return { blob, servedBy: `relay ${relayKey}` };
      },
    }));
    return await firstAnswer(key, asks, options.signal);
  }

  async close(): Promise<void> {
    for (const channel of this.#channels.values()) channel.close();
    this.#channels.clear();
    await this.#committer[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
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
}
