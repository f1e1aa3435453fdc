import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { type Address, bytesToHex, getAddress, type Hex, hexToBytes, isAddress, numberToHex } from "viem";
import type { CurveBackend } from "../curve/backend.ts";
import { loadMcl } from "../curve/mcl.ts";
import {
  BlobStatus,
  type BlobStatusReply,
  type BlobStatusRequest,
  type DisperseBlobRequest,
  Disperser,
  type GetPaymentStateRequest,
} from "../gen/disperser_pb.ts";
import { type GetBlobRequest, Relay } from "../gen/relay_pb.ts";
import { paymentStateHash, recoverSigner } from "../header/signer.ts";
import { developmentSrsAnchor } from "../kzg/development-srs.ts";
import { AccountBook, billing } from "./account-book.ts";
import { admit } from "./admission.ts";
import { BlobStore } from "./blob-store.ts";
import { CommitmentCheck } from "./commitment-check.ts";
import type { Faults } from "./faults.ts";
import { LifeCycle } from "./life-cycle.ts";
import { developmentOperators } from "./operators.ts";
import { RpcRefusal, RpcServer } from "./rpc-server.ts";

export type DevelopmentDisperserOptions = {
  /** Blobs and statuses; created if absent. One process at a time. */
  dataFolder: string;
  /** 0 lets the system choose. */
  port?: number;
  /** Time between two states of a blob. */
  stepMs?: number;
  /** The chain that anchor signatures must name. */
  chainId?: bigint;
  /** Accounts with a reservation; without it everyone has one. */
  accounts?: readonly Address[];
  /** Bandwidth of each reservation; symbols. */
  symbolsPerSecond?: bigint;
  /** Wei deposited by accounts for on-demand payment; none: only reservations pay. */
  deposits?: ReadonlyMap<Address, bigint>;
  /** Whether the smallest operator, 10 % of the stake, never signs. */
  hasNonSigner?: boolean;
  faults?: Faults;
  log?: (message: string) => void;
};

export type DevelopmentDisperser = AsyncDisposable & { url: string; port: number; faults: Faults };

export const developmentChainId = 31337n;

const stepMsDefault = 500;
const nsPerMs = 1_000_000n;

/** How old a payment-state request may be. */
const paymentStateNsMax = 300_000n * nsPerMs;

const symbolsPerSecondDefault = 1_000_000n;

const notices: readonly string[] = [
  "This is a DEVELOPMENT disperser, listening on 127.0.0.1 alone.",
  "It keeps blobs on this disk: no erasure coding, no custody by others, no expiry.",
  "Its operators' keys are derived from published text and no stake stands behind them: the BLS signatures are real, the security is not.",
  `Commitments are recomputed and paired in full, under the ${developmentSrsAnchor.name}: anyone can forge them.`,
];

/**
 * Starts the disperser and relay services on one port. Resolves when it accepts calls.
 * @throws EigenDaError invalid if the port is taken; nothing goes on running then.
 */
export async function startDevelopmentDisperser(
  options: DevelopmentDisperserOptions,
): Promise<DevelopmentDisperser> {
  const log = options.log ?? (() => undefined);
  const faults: Faults = options.faults ?? new Set();
  const [backend, store] = await Promise.all([loadMcl(), BlobStore.open(options.dataFolder)]);
  const operators = developmentOperators(backend);
  const stepMs = options.stepMs ?? stepMsDefault;
  const lifeCycle = new LifeCycle({
    backend,
    operators,
    store,
    faults,
    stepMs,
    hasNonSigner: options.hasNonSigner ?? false,
    log,
  });
  for (const notice of notices) log(notice);
  log(
    options.accounts
      ? `Reservations: ${options.accounts.join(", ")}.`
      : "Payments: every account has an open development reservation.",
  );
  const { settled, resumed } = await lifeCycle.resume();
  log(`Found ${settled} finished blobs; going on with ${resumed} that were accepted.`);
  const commitments = new CommitmentCheck(backend, join(options.dataFolder, "srs"));
  const service = new Service({
    backend,
    commitments,
    store,
    lifeCycle,
    faults,
    chainId: options.chainId ?? developmentChainId,
    book: new AccountBook({
      accounts: options.accounts ?? null,
      deposits: options.deposits ?? new Map(),
      symbolsPerSecond: options.symbolsPerSecond ?? symbolsPerSecondDefault,
    }),
  });
  const server = new RpcServer(log);
  server.add(Disperser, {
    disperseBlob: (request) => service.disperse(request),
    getBlobStatus: (request) => service.status(request),
    getPaymentState: (request) => service.paymentState(request),
  });
  server.add(Relay, { getBlob: (request) => service.blob(request) });
  const close = async () => {
    server.close();
    await lifeCycle.close();
    await commitments[Symbol.asyncDispose]();
  };
  const port = await server.listen(options.port ?? 0).catch(async (error) => {
    await close();
    throw error;
  });
  return { url: `http://127.0.0.1:${port}`, port, faults, [Symbol.asyncDispose]: close };
}

type ServiceParts = {
  backend: CurveBackend;
  commitments: CommitmentCheck;
  store: BlobStore;
  lifeCycle: LifeCycle;
  faults: Faults;
  chainId: bigint;
  book: AccountBook;
};

/** The methods, as functions from request to reply; they refuse with `RpcRefusal`. */
class Service {
  readonly #parts: ServiceParts;
  /** Latest payment-state timestamp seen of each account: a request works once. */
  readonly #paymentTimestamps = new Map<Address, bigint>();

  constructor(parts: ServiceParts) {
    this.#parts = parts;
  }

  async disperse(request: DisperseBlobRequest) {
    const { book, lifeCycle, store, faults } = this.#parts;
    this.#throttle();
    const now = nowNs();
    const admission = await admit(request, {
      ...this.#parts,
      nowNs: now,
      acceptsOnDemand: book.acceptsOnDemand,
    });
    if (!admission.ok) throw new RpcRefusal(admission.code, admission.reason);
    const key = admission.header.blobKey;
    if (!lifeCycle.reserve(key)) throw new RpcRefusal(status.ALREADY_EXISTS, `blob already exists: ${key}`);
    const unpaid = faults.has("out-of-funds") ? "no account has funds" : book.charge(admission.header, now);
    if (unpaid !== null) {
      lifeCycle.release(key);
      throw new RpcRefusal(status.PERMISSION_DENIED, unpaid);
    }
    try {
      await store.writeAccepted(key, request);
    } catch (error) {
      lifeCycle.release(key);
      throw error;
    }
    lifeCycle.enqueue(key);
    if (faults.has("lost-reply")) throw new RpcRefusal(status.UNAVAILABLE, "the line broke");
    return { result: BlobStatus.QUEUED, blobKey: Buffer.from(key.slice(2), "hex") };
  }

  async status(request: BlobStatusRequest): Promise<BlobStatusReply> {
    const { lifeCycle, faults } = this.#parts;
    const reply = await lifeCycle.reply(readKey(request.blobKey));
    if (reply === null || faults.has("lost")) throw new RpcRefusal(status.NOT_FOUND, "no such blob found");
    return reply;
  }

  async paymentState(request: GetPaymentStateRequest) {
    const account = isAddress(request.accountId, { strict: false }) ? getAddress(request.accountId) : null;
    if (account === null) throw new RpcRefusal(status.INVALID_ARGUMENT, "account ID is not an address");
    const signer = await recoverSigner(paymentStateHash(account, request.timestamp), request.signature);
    const age = nowNs() - request.timestamp;
    const isFresh = age <= paymentStateNsMax && age >= -paymentStateNsMax;
    const isReplay = request.timestamp <= (this.#paymentTimestamps.get(account) ?? 0n);
    if (!signer.ok || signer.value !== account || !isFresh || isReplay) {
      throw new RpcRefusal(
        status.UNAUTHENTICATED,
        "failed to validate signature: wrong signer, stale or repeated timestamp",
      );
    }
    this.#paymentTimestamps.set(account, request.timestamp);
    const { book } = this.#parts;
    const reservation = book.reservation(account);
    const { spentWei, depositWei } = book.payments(account);
    return {
      paymentGlobalParams: {
        minNumSymbols: billing.symbolsMin,
        pricePerSymbol: book.acceptsOnDemand ? billing.pricePerSymbolWei : 0n,
      },
      ...(reservation && {
        reservation: {
          symbolsPerSecond: reservation.symbolsPerSecond,
          startTimestamp: reservation.startS,
          endTimestamp: reservation.endS,
          quorumNumbers: [...reservation.quorumNumbers],
          quorumSplits: [50, 50],
        },
      }),
      cumulativePayment: bytesOf(spentWei),
      onchainCumulativePayment: bytesOf(depositWei),
    };
  }

  async blob(request: GetBlobRequest) {
    const { lifeCycle, store, faults } = this.#parts;
    this.#throttle();
    const key = readKey(request.blobKey);
    const reply = await lifeCycle.reply(key);
    if (reply?.status !== BlobStatus.COMPLETE || faults.has("not-found")) {
      throw new RpcRefusal(status.NOT_FOUND, `blob ${key} not found`);
    }
    const accepted = await store.readAccepted(key);
    if (!accepted.ok) throw new RpcRefusal(status.INTERNAL, `blob ${key} cannot be read: ${accepted.reason}`);
    const { blob } = accepted.value;
    if (faults.has("corrupt")) blob[blob.length - 1] = blob[blob.length - 1]! ^ 1;
    return { blob };
  }

  #throttle(): void {
    if (this.#parts.faults.has("throttled"))
      throw new RpcRefusal(status.RESOURCE_EXHAUSTED, "request rate limit exceeded");
  }
}

/** Minimal big-endian bytes; none for 0. */
function bytesOf(wei: bigint): Uint8Array {
  return wei === 0n ? new Uint8Array() : hexToBytes(numberToHex(wei));
}

function readKey(bytes: Uint8Array): Hex {
  if (bytes.length !== 32)
    throw new RpcRefusal(status.INVALID_ARGUMENT, `invalid blob key: ${bytes.length} bytes`);
  return bytesToHex(bytes);
}

function nowNs(): bigint {
  return BigInt(Date.now()) * nsPerMs;
}
