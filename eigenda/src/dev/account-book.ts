import type { Address } from "viem";
import type { RequestHeader } from "../header/wire.ts";
import {
  type BillingParameters,
  type Bucket,
  billedSymbols,
  costWei,
  onDemandFault,
  pour,
  type Reservation,
  reservationFault,
  serverBucketS,
} from "../payment/billing.ts";

export type AccountBookOptions = {
  /** Accounts with a reservation; null: everyone. */
  accounts: readonly Address[] | null;
  /** Wei that accounts have deposited for on-demand payment. Without any, only reservations pay, as the real server's default. */
  deposits: ReadonlyMap<Address, bigint>;
  symbolsPerSecond: bigint;
};

/** Smallest billed size and price, as on the networks. */
export const billing: BillingParameters = { symbolsMin: 4096n, pricePerSymbolWei: 447_000_000n };

/** Who may disperse how much: reservations as leaky buckets, on-demand payments as a tally of the server's own. Forgotten at restart. */
export class AccountBook {
  readonly #options: AccountBookOptions;
  readonly #buckets = new Map<Address, Bucket>();
  readonly #spentWei = new Map<Address, bigint>();

  constructor(options: AccountBookOptions) {
    this.#options = options;
  }

  get acceptsOnDemand(): boolean {
    return this.#options.deposits.size > 0;
  }

  /** Charges for a blob. Why it is not paid, or null. */
  charge({ payment, commitment, quorumNumbers }: RequestHeader, nowNs: bigint): string | null {
    const { accountId, cumulativePaymentWei } = payment;
    return cumulativePaymentWei === 0n
      ? this.#chargeReservation(accountId, commitment.length, quorumNumbers, nowNs)
      : this.#chargeDeposit(accountId, commitment.length, quorumNumbers);
  }

  reservation(account: Address): Reservation | null {
    const { accounts, symbolsPerSecond } = this.#options;
    if (accounts !== null && !accounts.includes(account)) return null;
    return { symbolsPerSecond, startS: 0, endS: 0xffff_ffff, quorumNumbers: [0, 1] };
  }

  /** Wei: what the server has charged, and what was deposited. */
  payments(account: Address): { spentWei: bigint; depositWei: bigint } {
    return {
      spentWei: this.#spentWei.get(account) ?? 0n,
      depositWei: this.#options.deposits.get(account) ?? 0n,
    };
  }

  #chargeReservation(account: Address, length: number, quorums: readonly number[], nowNs: bigint) {
    const reservation = this.reservation(account);
    if (reservation === null) return `account ${account} has no reservation`;
    const fault = reservationFault(reservation, quorums, nowNs);
    if (fault !== null) return `account ${account}: ${fault}`;
    const bucket = this.#buckets.get(account) ?? { symbols: 0n, atNs: nowNs };
    const poured = pour(bucket, reservation, billedSymbols(length, billing), nowNs, serverBucketS);
    if (!poured.ok) return `account ${account}: the reservation's bandwidth is used up`;
    this.#buckets.set(account, poured.bucket);
    return null;
  }

  /** The number in the header says only that it is an on-demand payment; the tally is kept here, as the newer specification says. */
  #chargeDeposit(account: Address, length: number, quorums: readonly number[]) {
    const fault = onDemandFault(quorums);
    if (fault !== null) return `account ${account}: ${fault}`;
    const { spentWei, depositWei } = this.payments(account);
    const total = spentWei + costWei(length, billing);
    if (total > depositWei)
      return `account ${account}: insufficient on-demand deposit: ${depositWei} of ${total} wei`;
    this.#spentWei.set(account, total);
    return null;
  }
}
