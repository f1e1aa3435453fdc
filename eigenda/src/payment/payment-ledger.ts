import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Address } from "viem";
import { EigenDaError } from "../errors.ts";
import { type Bucket, fullBucket, notAfter, pour, type Reservation } from "./billing.ts";

/** How long a process waits for another one's transaction. They take a millisecond. */
const lockMsMax = 10_000;

const layout = `
  CREATE TABLE IF NOT EXISTS bucket (account TEXT PRIMARY KEY, symbols TEXT NOT NULL, at_ns TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS payment (account TEXT PRIMARY KEY, cumulative_wei TEXT NOT NULL);
`;

/**
 * What accounts have taken of their reservations and promised to pay, in one SQLite file that processes may share. Each debit is one transaction on
 * disk before a blob is sent under it, so that a crash overstates what was spent and never understates it.
 */
export class PaymentLedger implements Disposable {
  readonly #database: DatabaseSync;

  /** `path`: a file, created if absent; `:memory:` forgets. */
  constructor(path: string) {
    if (path !== ":memory:") mkdirSync(dirname(path), { recursive: true });
    this.#database = new DatabaseSync(path, { timeout: lockMsMax });
    this.#database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    this.#database.exec(layout);
  }

  /** Takes `symbols` of a reservation, or tells how long the bucket stays full. */
  takeReserved(
    account: Address,
    reservation: Reservation,
    symbols: bigint,
    nowNs: bigint,
  ): { ok: true } | { ok: false; waitMs: number } {
    return this.#transaction(() => {
      const bucket = notAfter(this.#bucket(account) ?? fullBucket(reservation, nowNs), nowNs);
      const poured = pour(bucket, reservation, symbols, nowNs);
      this.#writeBucket(account, poured.ok ? poured.bucket : bucket);
      return poured.ok ? { ok: true } : poured;
    });
  }

  /** Gives back what was taken for a blob that the server refused. */
  returnReserved(account: Address, symbols: bigint): void {
    this.#transaction(() => {
      const bucket = this.#bucket(account);
      if (bucket === null) return;
      const left = bucket.symbols > symbols ? bucket.symbols - symbols : 0n;
      this.#writeBucket(account, { ...bucket, symbols: left });
    });
  }

  /**
   * Promises `costWei` more, and returns the new cumulative payment: above every earlier one, and above what the server has seen.
   * @throws EigenDaError payment if the deposit does not cover it; nothing is promised then.
   */
  promise(account: Address, costWei: bigint, server: { seenWei: bigint; depositWei: bigint }): bigint {
    return this.#transaction(() => {
      const own = this.cumulativeWei(account);
      const isOwnHigher = own > server.seenWei;
      const cumulative = costWei + (isOwnHigher ? own : server.seenWei);
      if (cumulative > server.depositWei) {
        const figures = `Deposit: ${server.depositWei} wei. Needed: ${cumulative} wei.`;
        throw new EigenDaError("payment", `The account's deposit is used up. ${figures}`);
      }
      this.#writeCumulative(account, cumulative);
      return cumulative;
    });
  }

  /**
   * Takes back a promise that the server refused, if it is the last one. After a later promise it must stand, or the next would repeat a
   * smaller number than was sent; it then overstates the payments until the account's next fresh start.
   */
  withdraw(account: Address, cumulativeWei: bigint, costWei: bigint): void {
    this.#transaction(() => {
      if (this.cumulativeWei(account) === cumulativeWei)
        this.#writeCumulative(account, cumulativeWei - costWei);
    });
  }

  /** The highest cumulative payment promised; 0 if none. */
  cumulativeWei(account: Address): bigint {
    const row = this.#database.prepare("SELECT cumulative_wei FROM payment WHERE account = ?").get(account);
    return row === undefined ? 0n : BigInt(row.cumulative_wei as string);
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  #bucket(account: Address): Bucket | null {
    const row = this.#database.prepare("SELECT symbols, at_ns FROM bucket WHERE account = ?").get(account);
    return row === undefined
      ? null
      : { symbols: BigInt(row.symbols as string), atNs: BigInt(row.at_ns as string) };
  }

  #writeBucket(account: Address, { symbols, atNs }: Bucket): void {
    this.#database
      .prepare("INSERT OR REPLACE INTO bucket (account, symbols, at_ns) VALUES (?, ?, ?)")
      .run(account, String(symbols), String(atNs));
  }

  #writeCumulative(account: Address, wei: bigint): void {
    this.#database
      .prepare("INSERT OR REPLACE INTO payment (account, cumulative_wei) VALUES (?, ?)")
      .run(account, String(wei));
  }

  /** Takes the write lock first, so that what is read cannot change before it is written. */
  #transaction<T>(work: () => T): T {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.#database.exec("COMMIT");
      return result;
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
  }
}
