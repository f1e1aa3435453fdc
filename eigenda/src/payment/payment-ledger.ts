import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Address } from "viem";
import { EigenDaError } from "../errors.ts";
import { type Bucket, fullBucket, notAfter, pour, type Reservation } from "./billing.ts";

/** Whose money it is, and who counts it: one account may pay several dispersers, and has a reservation and a deposit with each network. */
export type PayingAccount = { account: Address; disperserUrl: string; chainId: bigint };

/** A look at the disperser's tally, from before it was asked. */
export type Reading = { turn: number; startedNs: bigint };

/** How long a process waits for another one's transaction. They take a millisecond. */
const lockMsMax = 10_000;

/**
 * After this a promise whose outcome is unknown is no longer counted on top of the server's tally. A header's timestamp is made when its promise is, and the server
 * takes none that is more than 45 s off a clock that may itself be 45 s off ours: by now the tally has the blob, or never will.
 */
const promiseNsMax = 120n * 1_000_000_000n;

const layout = `
  CREATE TABLE IF NOT EXISTS reserved (payer TEXT PRIMARY KEY, symbols TEXT NOT NULL, at_ns TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS tally (payer TEXT PRIMARY KEY, seen_wei TEXT NOT NULL, turn INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS promise (
    payer TEXT NOT NULL, cumulative_wei TEXT NOT NULL, cost_wei TEXT NOT NULL, until_ns TEXT NOT NULL, taken_turn INTEGER,
    PRIMARY KEY (payer, cumulative_wei)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS turn (id INTEGER PRIMARY KEY CHECK (id = 0), last INTEGER NOT NULL) STRICT;
  INSERT OR IGNORE INTO turn VALUES (0, 0);
`;

type Promised = { cumulativeWei: bigint; costWei: bigint; untilNs: bigint; takenTurn: number | null };

/**
 * What accounts have taken of their reservations and promised to pay, in one SQLite file that processes may share. Each debit is one transaction on
 * disk before a blob is sent under it.
 *
 * On-demand payments: spent = the disperser's tally when last read + the cost of every promise since that the tally need not hold yet. A promise leaves
 * the sum when it is withdrawn, because the server refused the blob, or when the tally is read after the server took the blob, or after it no longer
 * can. So a crash overstates what was spent, for two minutes, and never understates it.
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
    payer: PayingAccount,
    reservation: Reservation,
    symbols: bigint,
    nowNs: bigint,
  ): { ok: true } | { ok: false; waitMs: number } {
    return this.#transaction(() => {
      const bucket = notAfter(this.#bucket(payer) ?? fullBucket(reservation, nowNs), nowNs);
      const poured = pour(bucket, reservation, symbols, nowNs);
      this.#writeBucket(payer, poured.ok ? poured.bucket : bucket);
      return poured.ok ? { ok: true } : poured;
    });
  }

  /** Gives back what was taken for a blob that the server refused. */
  returnReserved(payer: PayingAccount, symbols: bigint): void {
    this.#transaction(() => {
      const bucket = this.#bucket(payer);
      if (bucket === null) return;
      const left = bucket.symbols > symbols ? bucket.symbols - symbols : 0n;
      this.#writeBucket(payer, { ...bucket, symbols: left });
    });
  }

  /** To be called before the disperser is asked for its tally, so that `observe` knows what it can hold. */
  beginReading(startedNs: bigint): Reading {
    return this.#transaction(() => ({ turn: this.#nextTurn(), startedNs }));
  }

  /** Takes note of the tally, unless a later look at it was faster, and forgets the promises that are in it or never will be. */
  observe(payer: PayingAccount, { turn, startedNs }: Reading, seenWei: bigint): void {
    this.#transaction(() => {
      if (turn <= this.#tally(payer).turn) return;
      this.#database
        .prepare("INSERT OR REPLACE INTO tally (payer, seen_wei, turn) VALUES (?, ?, ?)")
        .run(keyOf(payer), String(seenWei), turn);
      for (const { cumulativeWei, untilNs, takenTurn } of this.#promises(payer)) {
        const isInTally = takenTurn !== null && takenTurn < turn;
        if (isInTally || untilNs < startedNs) this.#deletePromise(payer, cumulativeWei);
      }
    });
  }

  /**
   * Promises `costWei` more, and returns the cumulative payment to send: above what the tally has seen and above every other promise that is open.
   * @throws EigenDaError payment if the deposit does not cover it; nothing is promised then.
   */
  promise(payer: PayingAccount, costWei: bigint, depositWei: bigint, nowNs: bigint): bigint {
    return this.#transaction(() => {
      const needed = this.#spentWei(payer) + costWei;
      if (needed > depositWei) {
        const figures = `Deposit: ${depositWei} wei. Needed: ${needed} wei.`;
        throw new EigenDaError("payment", `The account's deposit is used up. ${figures}`);
      }
      let highestWei = this.#tally(payer).seenWei;
      for (const one of this.#promises(payer))
        if (one.cumulativeWei > highestWei) highestWei = one.cumulativeWei;
      const cumulativeWei = highestWei + costWei;
      this.#database
        .prepare("INSERT INTO promise (payer, cumulative_wei, cost_wei, until_ns) VALUES (?, ?, ?, ?)")
        .run(keyOf(payer), String(cumulativeWei), String(costWei), String(nowNs + promiseNsMax));
      return cumulativeWei;
    });
  }

  /** Takes back a promise that the server refused. */
  withdraw(payer: PayingAccount, cumulativeWei: bigint): void {
    this.#transaction(() => this.#deletePromise(payer, cumulativeWei));
  }

  /** The server took the blob: its tally has the promise from now on. */
  taken(payer: PayingAccount, cumulativeWei: bigint): void {
    this.#transaction(() => {
      this.#database
        .prepare("UPDATE promise SET taken_turn = ? WHERE payer = ? AND cumulative_wei = ?")
        .run(this.#nextTurn(), keyOf(payer), String(cumulativeWei));
    });
  }

  /** What the account has spent or may have. */
  spentWei(payer: PayingAccount): bigint {
    return this.#transaction(() => this.#spentWei(payer));
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  #spentWei(payer: PayingAccount): bigint {
    return this.#promises(payer).reduce((sum, { costWei }) => sum + costWei, this.#tally(payer).seenWei);
  }

  #tally(payer: PayingAccount): { seenWei: bigint; turn: number } {
    const row = this.#database.prepare("SELECT seen_wei, turn FROM tally WHERE payer = ?").get(keyOf(payer));
    return row === undefined
      ? { seenWei: 0n, turn: 0 }
      : { seenWei: BigInt(row.seen_wei as string), turn: row.turn as number };
  }

  #promises(payer: PayingAccount): Promised[] {
    const rows = this.#database.prepare("SELECT * FROM promise WHERE payer = ?").all(keyOf(payer));
    return rows.map((row) => ({
      cumulativeWei: BigInt(row.cumulative_wei as string),
      costWei: BigInt(row.cost_wei as string),
      untilNs: BigInt(row.until_ns as string),
      takenTurn: row.taken_turn as number | null,
    }));
  }

  #deletePromise(payer: PayingAccount, cumulativeWei: bigint): void {
    this.#database
      .prepare("DELETE FROM promise WHERE payer = ? AND cumulative_wei = ?")
      .run(keyOf(payer), String(cumulativeWei));
  }

  /** Orders readings and the server's acceptances over all processes, whatever their clocks say. */
  #nextTurn(): number {
    const row = this.#database.prepare("UPDATE turn SET last = last + 1 RETURNING last").get();
    return row!.last as number;
  }

  #bucket(payer: PayingAccount): Bucket | null {
    const row = this.#database
      .prepare("SELECT symbols, at_ns FROM reserved WHERE payer = ?")
      .get(keyOf(payer));
    return row === undefined
      ? null
      : { symbols: BigInt(row.symbols as string), atNs: BigInt(row.at_ns as string) };
  }

  #writeBucket(payer: PayingAccount, { symbols, atNs }: Bucket): void {
    this.#database
      .prepare("INSERT OR REPLACE INTO reserved (payer, symbols, at_ns) VALUES (?, ?, ?)")
      .run(keyOf(payer), String(symbols), String(atNs));
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

function keyOf({ account, disperserUrl, chainId }: PayingAccount): string {
  return `${chainId} ${new URL(disperserUrl).origin} ${account}`;
}
