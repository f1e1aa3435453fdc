import { setTimeout as sleep } from "node:timers/promises";
import { EigenDaError } from "../errors.ts";
import { Turns } from "../turns.ts";
import {
  type BillingParameters,
  billedSymbols,
  costWei,
  onDemandFault,
  type Reservation,
  reservationFault,
} from "./billing.ts";
import type { PayingAccount, PaymentLedger } from "./payment-ledger.ts";

/** The account as the disperser sees it. */
export type PaymentState = BillingParameters & {
  /** Null if the account has none. Times in Unix seconds. */
  reservation: Reservation | null;
  /** What the server has seen promised. */
  cumulativePaymentWei: bigint;
  /** What the account has deposited in the payment vault. */
  onchainCumulativePaymentWei: bigint;
};

/** From which means blobs are paid; `reservation-first` pays on demand where the reservation does not cover the blob or its bucket is full. */
export type PaymentMode = "reservation" | "on-demand" | "reservation-first";

/** One blob's payment, made before the blob is sent. */
export type Debit = {
  /** 0 pays from the reservation. */
  cumulativePaymentWei: bigint;
  /** The server took the blob. */
  confirm(): void;
  /** Takes the debit back, after the server refused the blob. Neither of the two after a send whose outcome is unknown. */
  revert(): void;
};

export type PayerOptions = {
  payer: PayingAccount;
  mode: PaymentMode;
  ledger: PaymentLedger;
  /** Longest wait for room in the reservation's bucket. */
  waitMsMax: number;
  nowNs: () => bigint;
  readState: (signal: AbortSignal | undefined) => Promise<PaymentState>;
};

/** The account's reservation and prices are read again after this. */
const stateMsMax = 60_000;

/** Debits that may wait for those before them. */
const waitingMax = 10_000;

/** Pays for blobs from a reservation or on demand, by a ledger on disk. Debits are made one after the other. */
export class Payer {
  readonly #options: PayerOptions;
  readonly #turns = new Turns({ runningMax: 1, waitingMax });
  #state: { value: PaymentState; readAtMs: number } | null = null;

  constructor(options: PayerOptions) {
    this.#options = options;
  }

  /**
   * Pays for a blob of `length` symbols.
   * @throws EigenDaError payment if neither means covers it, failover if too many wait; whatever reading the state throws; the signal's reason, at once.
   */
  pay(length: number, quorums: readonly number[], signal?: AbortSignal): Promise<Debit> {
    return this.#turns.run(() => this.#pay(length, quorums, signal), signal);
  }

  /** Forgets what the server said, so that the next debit asks again: after it refused a payment. */
  refresh(): void {
    this.#state = null;
  }

  async #pay(length: number, quorums: readonly number[], signal: AbortSignal | undefined): Promise<Debit> {
    const { mode } = this.#options;
    if (mode === "on-demand") return await this.#payOnDemand(length, quorums, signal);
    const state = await this.#readState(signal);
    const fault = reservationFault(state.reservation, quorums, this.#options.nowNs());
    if (fault === null && state.reservation !== null) {
      const wait = mode === "reservation-first" ? 0 : this.#options.waitMsMax;
      const debit = await this.#payReserved(state.reservation, billedSymbols(length, state), wait, signal);
      if (debit !== null) return debit;
    }
    if (mode === "reservation-first") return await this.#payOnDemand(length, quorums, signal);
    const reason = fault ?? `its bucket stays full for more than ${this.#options.waitMsMax} ms`;
    throw new EigenDaError(
      "payment",
      `The reservation of ${this.#options.payer.account} cannot pay: ${reason}.`,
    );
  }

  async #payReserved(
    reservation: Reservation,
    symbols: bigint,
    waitMsMax: number,
    signal: AbortSignal | undefined,
  ): Promise<Debit | null> {
    const { ledger, payer, nowNs } = this.#options;
    const deadlineMs = performance.now() + waitMsMax;
    for (;;) {
      const taken = ledger.takeReserved(payer, reservation, symbols, nowNs());
      if (taken.ok) {
        const revert = () => ledger.returnReserved(payer, symbols);
        return { cumulativePaymentWei: 0n, confirm: () => undefined, revert };
      }
      if (performance.now() + taken.waitMs > deadlineMs) return null;
      await sleep(taken.waitMs, undefined, signal ? { signal } : {}).catch((error) => {
        throw signal?.aborted ? signal.reason : error;
      });
    }
  }

  /** Where the deposit seems used up by what was known a while ago, the server is asked again: promises that came to nothing free it. */
  async #payOnDemand(
    length: number,
    quorums: readonly number[],
    signal: AbortSignal | undefined,
  ): Promise<Debit> {
    const isKnownBefore = this.#knownState() !== null;
    const state = await this.#readState(signal);
    try {
      return this.#promise(state, length, quorums);
    } catch (error) {
      if (!isKnownBefore || !(error instanceof EigenDaError)) throw error;
      this.refresh();
      return this.#promise(await this.#readState(signal), length, quorums);
    }
  }

  #promise(state: PaymentState, length: number, quorums: readonly number[]): Debit {
    const { ledger, payer, nowNs } = this.#options;
    const fault = onDemandFault(quorums);
    if (fault !== null) throw new EigenDaError("payment", `The blob cannot be paid for: ${fault}.`);
    const cost = costWei(length, state);
    if (cost === 0n) throw new EigenDaError("payment", "The disperser names no price for on-demand payment.");
    const cumulativePaymentWei = ledger.promise(payer, cost, state.onchainCumulativePaymentWei, nowNs());
    return {
      cumulativePaymentWei,
      confirm: () => ledger.taken(payer, cumulativePaymentWei),
      revert: () => ledger.withdraw(payer, cumulativePaymentWei),
    };
  }

  #knownState(): PaymentState | null {
    return this.#state !== null && performance.now() - this.#state.readAtMs < stateMsMax
      ? this.#state.value
      : null;
  }

  async #readState(signal: AbortSignal | undefined): Promise<PaymentState> {
    const known = this.#knownState();
    if (known !== null) return known;
    const { ledger, payer, nowNs, readState } = this.#options;
    const reading = ledger.beginReading(nowNs());
    const value = await readState(signal);
    ledger.observe(payer, reading, value.cumulativePaymentWei);
    this.#state = { value, readAtMs: performance.now() };
    return value;
  }
}
