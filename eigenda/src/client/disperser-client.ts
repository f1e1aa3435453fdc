import { setTimeout as sleep } from "node:timers/promises";
import { type ServiceError, status } from "@grpc/grpc-js";
import { keccak } from "hash-wasm";
import { type Address, bytesToHex, type Hex, hexToBytes } from "viem";
import { type CertificateVersion, certificateHash, encodeCertificate } from "../certificate/certificate.ts";
import { certificateFromReply, type SettledBlob } from "../certificate/reply.ts";
import { ownCertificateFault } from "../certificate/verify.ts";
import { encodeBlob, type PolynomialForm } from "../codec/blob.ts";
import { bigintFromBytes } from "../curve/field.ts";
import { loadMcl } from "../curve/mcl.ts";
import { compressG1 } from "../curve/points.ts";
import { EigenDaError } from "../errors.ts";
import { BlobStatus, type BlobStatusReply, Disperser } from "../gen/disperser_pb.ts";
import {
  anchorHash,
  chainIdHex,
  paymentStateHash,
  type Signer,
  signerFromKey,
  uniqueClockNs,
} from "../header/signer.ts";
import { headerToMessage, quorumNumberMax, type RequestHeader, requestHeader } from "../header/wire.ts";
import type { BlobCommitment } from "../kzg/commitment.ts";
import { Committer } from "../kzg/committer.ts";
import type { Srs } from "../kzg/srs.ts";
import { type Debit, Payer, type PaymentMode, type PaymentState } from "../payment/payer.ts";
import type { PaymentLedger } from "../payment/payment-ledger.ts";
import { Turns } from "../turns.ts";
import { RpcChannel } from "./channel.ts";

export type BlobStatusName = keyof typeof BlobStatus;

export type DisperserClientOptions = {
  /** `http://127.0.0.1:port`, or `https://host` for TLS. */
  url: string;
  /** secp256k1 key of the paying account: 32 bytes in hex, with 0x or without. */
  accountKey: string;
  /** Bound by the anchor signature. */
  chainId: bigint;
  srs: Srs;
  form?: PolynomialForm;
  quorums?: readonly number[];
  /** Least share of each quorum's stake that must have signed, 0 to 100. */
  thresholdPercent?: number;
  /** Which version networks take changes: ask the verifier contract (`certVersion`). */
  certificateVersion?: CertificateVersion;
  /** Keeps account of payments on disk. Without it blobs are sent under the reservation, unaccounted. */
  payment?: { ledger: PaymentLedger; mode?: PaymentMode; waitMsMax?: number } | null;
  /** Dispersals under way at the same time; others wait, and hold no blob meanwhile. */
  concurrentMax?: number;
  /** Dispersals that may wait. */
  waitingMax?: number;
  /** Dispersals tried in all, each with a fresh timestamp and so with its own blob key. */
  attemptsMax?: number;
  pollMs?: number;
  /** Time from acceptance to COMPLETE before `notReady`. */
  completeMsMax?: number;
  /** Time for one call. */
  rpcMsMax?: number;
  /** Unix nanoseconds; must not repeat a value. */
  nowNs?: () => bigint;
};

export type DisperseOptions = {
  signal?: AbortSignal;
  onStatus?: (event: { status: BlobStatusName; blobKey: Hex; attempt: number }) => void;
};

export type Dispersal = {
  /** Canonical bytes: 0x03 ‖ RLP of the V4 certificate (0x02 and V3 if asked for). */
  certificate: Uint8Array;
  /** keccak256(certificate): what goes on chain. */
  certificateHash: Hex;
  blobKey: Hex;
  /** keccak256(payload). */
  payloadHash: Hex;
  /** 32 bytes, compressed G1. */
  commitment: Hex;
  /** Symbols, a power of two. */
  length: number;
};

/** A blob's status; the rest is there once validators are signing. */
export type BlobReport = {
  status: BlobStatusName;
  /** Share of stake that signed, 0 to 100, by quorum. */
  signedPercent: Record<number, number>;
  referenceBlockNumber: number | null;
};

/** The only disperser there is today. */
const disperserId = 0;
const blobVersion = 0;

const defaults = {
  form: "eval" as PolynomialForm,
  quorums: [0, 1] as readonly number[],
  thresholdPercent: 55,
  certificateVersion: 4 as CertificateVersion,
  payment: null,
  concurrentMax: 16,
  waitingMax: 10_000,
  attemptsMax: 5,
  pollMs: 250,
  completeMsMax: 120_000,
  rpcMsMax: 30_000,
};

/** Longest time a timer can count. */
const timerMsMax = 2 ** 31 - 1;

/** Least and most of each number, both allowed. */
const ranges = {
  thresholdPercent: [0, 100],
  certificateVersion: [3, 4],
  concurrentMax: [1, 1_000],
  waitingMax: [0, 1_000_000],
  attemptsMax: [1, 100],
  pollMs: [1, timerMsMax],
  completeMsMax: [1, timerMsMax],
  rpcMsMax: [1, timerMsMax],
} as const;

/** Longest wait for room in the reservation. */
const paymentWaitMsMax = 30_000;

/** Pause before the second attempt; doubles with each further one. */
const backoffMs = 500;

/** Statuses by which the server says that it did not take a blob. */
const refusals: readonly status[] = [
  status.INVALID_ARGUMENT,
  status.ALREADY_EXISTS,
  status.UNAUTHENTICATED,
  status.PERMISSION_DENIED,
  status.RESOURCE_EXHAUSTED,
  status.UNIMPLEMENTED,
];

/** Answers in a row that the accepted blob is not known, before it counts as lost and a new attempt is made. */
const notFoundMax = 20;

/** A blob as it was asked for. */
type Asked = { header: RequestHeader; signature: Uint8Array };

type Sent = { asked: Asked; debit: Debit | undefined };

type Attempt = {
  commitment: BlobCommitment;
  blob: Uint8Array;
  /** From 1. */
  number: number;
  /** Sent in an attempt before, and never answered. */
  unanswered: Sent | null;
} & DisperseOptions;

/** Disperses payloads from a reservation. Holds one connection and up to three arithmetic threads: close it. */
export class DisperserClient implements AsyncDisposable {
  readonly #options: Required<DisperserClientOptions>;
  readonly #signer: Signer;
  readonly #channel: RpcChannel;
  readonly #committer: Committer;
  readonly #payer: Payer | null;
  readonly #turns: Turns;

  /** @throws EigenDaError invalid for a malformed key or URL, a number out of its range, or a forgeable SRS or plaintext outside loopback. */
  constructor(options: DisperserClientOptions) {
    this.#options = completeOptions(options);
    this.#signer = signerFromKey(options.accountKey);
    this.#channel = new RpcChannel(options.url, options.srs);
    this.#committer = new Committer(options.srs.points);
    const { concurrentMax, waitingMax } = this.#options;
    this.#turns = new Turns({ runningMax: concurrentMax, waitingMax });
    this.#payer = options.payment ? this.#payerOf(options.payment) : null;
  }

  get account(): Address {
    return this.#signer.address;
  }

  /**
   * Disperses one payload and returns when its certificate is verified: own blob key, inclusion, aggregate signature,
   * thresholds and commitment (level `inclusion+signature`).
   * A retry is a new dispersal, under a new key. Where a reply was lost the server is first asked whether it has the blob, so that none is sent twice unless
   * the server said that it does not know the first.
   * @throws EigenDaError; the signal's reason if aborted.
   */
  disperse(payload: Uint8Array, options: DisperseOptions = {}): Promise<Dispersal> {
    return this.#turns.run(() => this.#disperse(payload, options), options.signal);
  }

  async #disperse(payload: Uint8Array, options: DisperseOptions): Promise<Dispersal> {
    const { form, srs, attemptsMax } = this.#options;
    const blob = encodeBlob(payload, { form, symbolsMax: srs.symbolsMax });
    const commitment = await this.#committer.commit(blob);
    const payloadHash: Hex = `0x${await keccak(payload, 256)}`;
    const attempt: Attempt = { blob, commitment, number: 0, unanswered: null, ...options };
    for (let number = 1; ; number++) {
      try {
        options.signal?.throwIfAborted();
        attempt.number = number;
        return { payloadHash, ...(await this.#attempt(attempt)) };
      } catch (error) {
        if (!(error instanceof EigenDaError && error.retryable) || number >= attemptsMax) throw error;
        await pause(backoffMs * 2 ** (number - 1), options.signal);
      }
    }
  }

  /** The account's reservation and payments, as the disperser sees them. */
  async paymentState(options: { signal?: AbortSignal } = {}): Promise<PaymentState> {
    const timestamp = this.#options.nowNs();
    const { address } = this.#signer;
    const signature = await this.#signer.sign(paymentStateHash(address, timestamp));
    const request = { accountId: address, timestamp, signature };
    const reply = await this.#channel.call(
      Disperser.method.getPaymentState,
      request,
      this.#callOptions(options.signal),
    );
    const { reservation, paymentGlobalParams } = reply;
    return {
      symbolsMin: paymentGlobalParams?.minNumSymbols ?? 0n,
      pricePerSymbolWei: paymentGlobalParams?.pricePerSymbol ?? 0n,
      reservation: reservation
        ? {
            symbolsPerSecond: reservation.symbolsPerSecond,
            startS: reservation.startTimestamp,
            endS: reservation.endTimestamp,
            quorumNumbers: reservation.quorumNumbers,
          }
        : null,
      cumulativePaymentWei: bigintFromBytes(reply.cumulativePayment),
      onchainCumulativePaymentWei: bigintFromBytes(reply.onchainCumulativePayment),
    };
  }

  /**
   * What the disperser says now of a blob, unverified.
   * @throws EigenDaError; failover for a blob it does not know.
   */
  async blobStatus(blobKey: Hex, options: { signal?: AbortSignal } = {}): Promise<BlobReport> {
    const { status, signedBatch } = await this.#status(blobKey, options.signal);
    const { quorumNumbers = [], quorumSignedPercentages = new Uint8Array() } = signedBatch?.attestation ?? {};
    return {
      status: statusName(status),
      signedPercent: Object.fromEntries(
        quorumNumbers.map((quorum, index) => [quorum, quorumSignedPercentages[index] ?? 0]),
      ),
      referenceBlockNumber: signedBatch?.header ? Number(signedBatch.header.referenceBlockNumber) : null,
    };
  }

  async close(): Promise<void> {
    this.#channel.close();
    await this.#committer[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #attempt(attempt: Attempt): Promise<Omit<Dispersal, "payloadHash">> {
    const asked = (await this.#acceptedBefore(attempt)) ?? (await this.#send(attempt));
    const { header } = asked;
    const reply = await this.#follow(header, attempt);
    const certificate = await this.#verify(asked, reply);
    return {
      certificate,
      certificateHash: certificateHash(certificate),
      blobKey: header.blobKey,
      commitment: bytesToHex(compressG1(header.commitment.commitment)),
      length: header.commitment.length,
    };
  }

  /** Sends the blob under a fresh timestamp; the key that comes back must be the one computed here. */
  async #send(attempt: Attempt): Promise<Asked> {
    const { chainId, quorums, nowNs } = this.#options;
    const debit = await this.#payer?.pay(attempt.commitment.length, quorums, attempt.signal);
    const cumulativePaymentWei = debit?.cumulativePaymentWei ?? 0n;
    // The timestamp is taken after any wait for room: it must be fresh when it is sent.
    const header = requestHeader({
      version: blobVersion,
      quorumNumbers: quorums,
      commitment: attempt.commitment,
      payment: { accountId: this.#signer.address, timestampNs: nowNs(), cumulativePaymentWei },
    });
    const asked = { header, signature: await this.#signer.sign(header.blobKey) };
    const request = {
      blob: attempt.blob,
      blobHeader: headerToMessage(header),
      signature: asked.signature,
      anchorSignature: await this.#signer.sign(anchorHash(chainId, disperserId, header.blobKey)),
      disperserId,
      chainId: hexToBytes(chainIdHex(chainId)),
    };
    const reply = await this.#channel
      .call(Disperser.method.disperseBlob, request, this.#callOptions(attempt.signal))
      .catch(async (error) => {
        if (!(error instanceof EigenDaError)) throw error;
        if (error.kind === "payment") this.#payer?.refresh();
        // Only a refusal is known to cost nothing; a call that broke may have been accepted.
        if (isRefusal(error)) debit?.revert();
        else attempt.unanswered = { asked, debit };
        const accepted = await this.#acceptedBefore(attempt);
        if (accepted === null) throw error;
        return accepted;
      });
    // Not always what was sent now: a refusal of this attempt may find what an earlier one sent.
    if ("header" in reply) return reply;
    debit?.confirm();
    const answered = bytesToHex(reply.blobKey);
    if (answered !== header.blobKey) {
      throw new EigenDaError(
        "mismatch",
        `The disperser answered with another blob key. Ours: ${header.blobKey}. Given: ${answered}.`,
      );
    }
    return asked;
  }

  /**
   * What was sent and not answered, if the server says that it has its blob; null if it says that it has not.
   * @throws EigenDaError while it says neither: sent again, the blob might be there twice.
   */
  async #acceptedBefore(attempt: Attempt): Promise<Asked | null> {
    if (attempt.unanswered === null) return null;
    const { asked, debit } = attempt.unanswered;
    const reply = await this.#status(asked.header.blobKey, attempt.signal).catch((error) => {
      if (!isNotFound(error)) throw error;
      return null;
    });
    if (reply === null || reply.status === BlobStatus.UNKNOWN || reply.status === BlobStatus.FAILED)
      return null;
    attempt.unanswered = null;
    debit?.confirm();
    return asked;
  }

  /**
   * Polls until COMPLETE. A call that fails is repeated at the next poll: the blob is stored whatever happens to the
   * line. Only a server that keeps answering that it knows no such blob has lost it.
   */
  async #follow(header: RequestHeader, attempt: Attempt): Promise<BlobStatusReply> {
    const { completeMsMax, pollMs } = this.#options;
    const deadline = performance.now() + completeMsMax;
    let last: BlobStatus | null = null;
    let lastFailure: EigenDaError | undefined;
    let notFoundCount = 0;
    while (performance.now() < deadline) {
      const reply = await this.#status(header.blobKey, attempt.signal).catch((error) => {
        if (!(error instanceof EigenDaError && error.retryable)) throw error;
        lastFailure = error;
        return null;
      });
      notFoundCount = reply === null && isNotFound(lastFailure) ? notFoundCount + 1 : 0;
      if (notFoundCount === notFoundMax) {
        throw new EigenDaError(
          "failover",
          `The disperser accepted blob ${header.blobKey}, then did not know it ${notFoundMax} times in a row.`,
          { cause: lastFailure },
        );
      }
      if (reply !== null && reply.status !== last) {
        last = reply.status;
        attempt.onStatus?.({
          status: statusName(reply.status),
          blobKey: header.blobKey,
          attempt: attempt.number,
        });
      }
      if (reply?.status === BlobStatus.COMPLETE) return reply;
      if (reply !== null && (reply.status === BlobStatus.FAILED || reply.status === BlobStatus.UNKNOWN)) {
        throw new EigenDaError(
          "failover",
          `The disperser gave up blob ${header.blobKey}: ${statusName(reply.status)}.`,
        );
      }
      await pause(pollMs, attempt.signal);
    }
    const state = last === null ? "never seen" : statusName(last);
    throw new EigenDaError("notReady", `Blob ${header.blobKey} was ${state} after ${completeMsMax} ms.`, {
      cause: lastFailure,
    });
  }

  #status(blobKey: Hex, signal: AbortSignal | undefined): Promise<BlobStatusReply> {
    return this.#channel.call(
      Disperser.method.getBlobStatus,
      { blobKey: hexToBytes(blobKey) },
      this.#callOptions(signal),
    );
  }

  /** Level `inclusion+signature`: the commitment is the one computed here, and the signer this account because the signature is the one that was sent. */
  async #verify({ header, signature }: Asked, reply: BlobStatusReply): Promise<Uint8Array> {
    const { quorums, certificateVersion } = this.#options;
    const settled = certificateFromReply(reply, certificateVersion, header);
    if (!settled.ok) throw new EigenDaError("mismatch", settled.reason);
    const { certificate } = settled.value;
    const key = settled.value.header.blobKey;
    if (key !== header.blobKey)
      throw new EigenDaError("mismatch", `The reply is about another blob: ${key}.`);
    if (certificate.signature !== bytesToHex(signature))
      throw new EigenDaError("mismatch", "The reply carries another signature than the one sent.");
    this.#checkThresholds(settled.value);
    const bytes = encodeCertificate(certificate);
    const fault = ownCertificateFault(await loadMcl(), bytes, { key, requiredQuorums: quorums });
    if (fault !== null) throw new EigenDaError("mismatch", fault);
    return bytes;
  }

  /** COMPLETE does not mean that enough stake signed: each quorum is checked. */
  #checkThresholds({ signedPercent, header }: SettledBlob): void {
    const { quorums, thresholdPercent } = this.#options;
    for (const quorum of quorums) {
      const percent = signedPercent.get(quorum) ?? 0;
      if (percent >= thresholdPercent) continue;
      const given = `Wanted: ${thresholdPercent} %. Given: ${percent} %.`;
      throw new EigenDaError(
        "failover",
        `Too little of quorum ${quorum} signed blob ${header.blobKey}. ${given}`,
      );
    }
  }

  #payerOf({ ledger, mode, waitMsMax }: NonNullable<DisperserClientOptions["payment"]>): Payer {
    return new Payer({
      payer: { account: this.account, disperserUrl: this.#options.url, chainId: this.#options.chainId },
      ledger,
      mode: mode ?? "reservation",
      waitMsMax: waitMsMax ?? paymentWaitMsMax,
      nowNs: this.#options.nowNs,
      readState: (signal) => this.paymentState(signal ? { signal } : {}),
    });
  }

  #callOptions(signal: AbortSignal | undefined): { msMax: number; signal: AbortSignal | undefined } {
    return { msMax: this.#options.rpcMsMax, signal };
  }
}

/** A field that is there and undefined, as when it is passed on, means its default too. */
function completeOptions(options: DisperserClientOptions): Required<DisperserClientOptions> {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const complete = { ...defaults, nowNs: uniqueClockNs(), ...given } as Required<DisperserClientOptions>;
  for (const [name, [min, max]] of Object.entries(ranges)) {
    const value = complete[name as keyof typeof ranges];
    if (Number.isInteger(value) && value >= min && value <= max) continue;
    throw new EigenDaError("invalid", `${name} is a whole number from ${min} to ${max}. Given: ${value}.`);
  }
  const { quorums } = complete;
  const isQuorum = (quorum: number) => Number.isInteger(quorum) && quorum >= 0 && quorum <= quorumNumberMax;
  if (quorums.length === 0 || !quorums.every(isQuorum) || new Set(quorums).size < quorums.length)
    throw new EigenDaError(
      "invalid",
      `quorums are different numbers from 0 to ${quorumNumberMax}. Given: ${quorums}.`,
    );
  return complete;
}

/** Whether the server answered and did not take the blob. */
function isRefusal(error: EigenDaError): boolean {
  const code = (error.cause as Partial<ServiceError> | undefined)?.code;
  return code !== undefined && refusals.includes(code);
}

function isNotFound(error: unknown): boolean {
  if (!(error instanceof EigenDaError)) return false;
  return (error.cause as Partial<ServiceError> | undefined)?.code === status.NOT_FOUND;
}

function statusName(status: number): BlobStatusName {
  const names = Object.keys(BlobStatus) as BlobStatusName[];
  return names.find((name) => BlobStatus[name] === status) ?? "UNKNOWN";
}

/** Waits, or throws the signal's reason. */
async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(ms, undefined, signal ? { signal } : {}).catch((error) => {
    throw signal?.aborted ? signal.reason : error;
  });
}
