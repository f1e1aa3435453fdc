import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Address } from "viem";
import { afterAll, beforeAll, expect, it } from "vitest";
import { DisperserClient } from "../client/disperser-client.ts";
import { accountKey, samplePayload, startTestDisperser } from "../testing/disperser.ts";
import { billedSymbols, fullBucket, pour, type Reservation, reservationFault } from "./billing.ts";
import { Payer, type PaymentState } from "./payer.ts";
import { type PayingAccount, PaymentLedger } from "./payment-ledger.ts";

const account: Address = `0x${"aa".repeat(20)}`;
const payer: PayingAccount = { account, disperserUrl: "http://127.0.0.1:32005", chainId: 1n };
const reservation: Reservation = { symbolsPerSecond: 100n, startS: 10, endS: 20, quorumNumbers: [0, 1] };
const second = 1_000_000_000n;
/** 4,096 symbols at 0.447 gwei. */
const blobWei = 4096n * 447_000_000n;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "eigenda-payment-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it("bills 4,096 symbols at least", () => {
  const parameters = { symbolsMin: 4096n, pricePerSymbolWei: 1n };
  expect([64, 4096, 8192].map((length) => billedSymbols(length, parameters))).toEqual([4096n, 4096n, 8192n]);
});

it("leaks a bucket by time, lets a blob overfill it once, and says when it is no longer full", () => {
  const full = fullBucket(reservation, 0n);
  expect(pour(full, reservation, 1n, 0n)).toEqual({ ok: false, waitMs: 11 });
  const later = pour(full, reservation, 50_000n, second);
  expect(later).toEqual({ ok: true, bucket: { symbols: 55_900n, atNs: second } });
  if (!later.ok) return;
  const refused = pour(later.bucket, reservation, 1n, second);
  expect(refused.ok ? 0 : refused.waitMs).toBe(499_011);
  expect(pour(later.bucket, reservation, 1n, 0n).ok).toBe(false);
  expect(pour(later.bucket, reservation, 1n, 501n * second).ok).toBe(true);
});

it("leaks again at once after the clock stepped back by an hour", () => {
  using ledger = new PaymentLedger(":memory:");
  const take = (nowNs: bigint) => ledger.takeReserved(payer, reservation, 1n, nowNs);
  expect(take(3_700n * second).ok).toBe(false);
  expect(take(100n * second).ok).toBe(false);
  expect(take(101n * second).ok).toBe(true);
});

it("knows whom, when and which quorums a reservation covers", () => {
  expect(reservationFault(reservation, [0, 1], 15n * second)).toBeNull();
  expect(reservationFault(reservation, [2], 15n * second)).toContain("quorum 2");
  expect(reservationFault(reservation, [0], 9n * second)).toContain("starts at 10");
  expect(reservationFault(reservation, [0], 20n * second)).toContain("ended at 20");
  expect(reservationFault(null, [0], 15n * second)).toContain("no reservation");
});

it("keeps cumulative payments rising across restarts and connections, and stops at the deposit", () => {
  const path = join(folder, "ledger.sqlite");
  {
    using ledger = new PaymentLedger(path);
    ledger.observe(payer, ledger.beginReading(0n), 5n);
    expect(ledger.promise(payer, 10n, 100n, 0n)).toBe(15n);
  }
  using one = new PaymentLedger(path);
  using two = new PaymentLedger(path);
  const numbers = Array.from({ length: 8 }, (_, index) =>
    (index % 2 ? one : two).promise(payer, 10n, 100n, 0n),
  );
  expect(numbers).toEqual([25n, 35n, 45n, 55n, 65n, 75n, 85n, 95n]);
  expect(() => one.promise(payer, 10n, 100n, 0n)).toThrow(
    expect.objectContaining({ kind: "payment", retryable: false }),
  );
});

it("gives back what was refused, in whichever order, and what was never answered once it cannot be taken any more", () => {
  using ledger = new PaymentLedger(":memory:");
  const promise = (nowNs: bigint) => ledger.promise(payer, 10n, 30n, nowNs);
  const [first, middle] = [promise(0n), promise(0n)];
  promise(0n);
  expect(() => promise(0n)).toThrow("deposit is used up");
  // Not the last one: its number is not used again while others are open, and its money is free.
  ledger.withdraw(payer, middle);
  expect(ledger.spentWei(payer)).toBe(20n);
  expect(promise(0n)).toBe(40n);
  // The first was taken; the third and the fourth were never answered.
  ledger.taken(payer, first);
  ledger.observe(payer, ledger.beginReading(100n * second), 10n);
  expect(ledger.spentWei(payer)).toBe(30n);
  ledger.observe(payer, ledger.beginReading(121n * second), 10n);
  expect(ledger.spentWei(payer)).toBe(10n);
  expect(promise(121n * second)).toBe(20n);
});

it("counts a payment once, whether the tally was read before or after the server took it, and by whichever process", () => {
  const path = join(folder, "readings.sqlite");
  using one = new PaymentLedger(path);
  using two = new PaymentLedger(path);
  const cumulative = one.promise(payer, 10n, 100n, 0n);
  const early = two.beginReading(0n);
  one.taken(payer, cumulative);
  two.observe(payer, early, 0n);
  expect(one.spentWei(payer)).toBe(10n);
  const [slow, fast] = [one.beginReading(0n), two.beginReading(0n)];
  two.observe(payer, fast, 10n);
  one.observe(payer, slow, 0n);
  expect(one.spentWei(payer)).toBe(10n);
});

it("keeps the accounts of one key with several dispersers and networks apart", () => {
  using ledger = new PaymentLedger(":memory:");
  const others = [
    { ...payer, chainId: 2n },
    { ...payer, disperserUrl: "https://disperser.example" },
    { ...payer, account: `0x${"bb".repeat(20)}` as const },
  ];
  expect(ledger.promise(payer, 10n, 10n, 0n)).toBe(10n);
  for (const other of others) expect(ledger.promise(other, 10n, 10n, 0n)).toBe(10n);
  const same = { ...payer, disperserUrl: "http://127.0.0.1:32005/" };
  expect(() => ledger.promise(same, 10n, 10n, 0n)).toThrow("used up");
  for (const each of [payer, ...others]) {
    expect(ledger.takeReserved(each, reservation, 1n, 0n).ok).toBe(false);
    expect(ledger.takeReserved(each, reservation, 1n, second).ok).toBe(true);
  }
});

it("pays from the reservation first and on demand when the bucket is full", async () => {
  using ledger = new PaymentLedger(":memory:");
  let now = 15n * second;
  const paying = payerOf(ledger, { nowNs: () => now });
  expect((await paying.pay(64, [0, 1])).cumulativePaymentWei).toBe(blobWei);
  now += second;
  expect((await paying.pay(64, [0, 1])).cumulativePaymentWei).toBe(0n);
  const both = await Promise.all([paying.pay(64, [0, 1]), paying.pay(8192, [0])]);
  expect(both.map(({ cumulativePaymentWei }) => cumulativePaymentWei)).toEqual([2n * blobWei, 4n * blobWei]);
  both[1]!.revert();
  expect((await paying.pay(64, [0])).cumulativePaymentWei).toBe(3n * blobWei);
  await expect(paying.pay(64, [2])).rejects.toMatchObject({ kind: "payment" });
});

it("waits for room in the reservation no longer than it may", async () => {
  using ledger = new PaymentLedger(":memory:");
  const started = performance.now();
  const nowNs = () => 15n * second + BigInt(Math.round((performance.now() - started) * 1e6));
  await payerOf(ledger, { nowNs, mode: "reservation", waitMsMax: 5_000 }).pay(64, [0]);
  await expect(
    payerOf(ledger, { nowNs, mode: "reservation", waitMsMax: 50 }).pay(64, [0]),
  ).rejects.toMatchObject({
    kind: "payment",
    message: expect.stringContaining("stays full"),
  });
});

it("lets go at once who leaves, also behind one that waits for room, and takes nothing for him", async () => {
  using ledger = new PaymentLedger(":memory:");
  const started = performance.now();
  const nowNs = () => 15n * second + BigInt(Math.round((performance.now() - started) * 1e6));
  const paying = payerOf(ledger, { nowNs, mode: "reservation", waitMsMax: 600_000 });
  await paying.pay(64, [0]);
  const leaving = ["the one that waits left", "the one behind left"].map((reason) => {
    const abort = new AbortController();
    return { reason, abort, paid: paying.pay(64, [0], abort.signal) };
  });
  for (const { reason, abort, paid } of leaving.reverse()) {
    abort.abort(reason);
    await expect(paid).rejects.toBe(reason);
  }
  // One blob of 4,096 symbols leaks in 41 s.
  expect(ledger.takeReserved(payer, reservation, 1n, 60n * second).ok).toBe(true);
});

it("disperses on demand until the deposit is used up, counted over a restart of the client", async () => {
  const deposits = new Map<Address, bigint>();
  await using setup = await startTestDisperser({ accounts: [], deposits });
  deposits.set(setup.client.account, 3n * blobWei);
  await expect(setup.client.disperse(samplePayload(1))).rejects.toMatchObject({ kind: "payment" });
  const path = join(folder, "on-demand.sqlite");
  for (const count of [1, 2]) {
    using ledger = new PaymentLedger(path);
    await using client = new DisperserClient({
      url: setup.server.url,
      accountKey,
      chainId: 31337n,
      srs: setup.srs,
      pollMs: 5,
      payment: { ledger, mode: "on-demand" },
    });
    await Promise.all(
      Array.from({ length: count }, (_, index) => client.disperse(samplePayload(10 * count + index))),
    );
    const wei = ledger.spentWei(payerAt(setup.server.url, client.account));
    expect(wei).toBe(BigInt(count === 1 ? 1 : 3) * blobWei);
    expect(await client.paymentState()).toMatchObject({ cumulativePaymentWei: wei });
    if (count === 1) continue;
    await expect(client.disperse(samplePayload(99))).rejects.toMatchObject({
      kind: "payment",
      retryable: false,
    });
    expect(ledger.spentWei(payerAt(setup.server.url, client.account))).toBe(wei);
  }
});

it("takes a payment back when the server refuses the blob, and keeps it when the line broke", async () => {
  const deposits = new Map<Address, bigint>();
  await using setup = await startTestDisperser({ deposits });
  deposits.set(setup.client.account, 10n * blobWei);
  using ledger = new PaymentLedger(":memory:");
  const options = { accountKey, chainId: 31337n, srs: setup.srs, pollMs: 5, attemptsMax: 1 } as const;
  await using client = new DisperserClient({
    ...options,
    url: setup.server.url,
    payment: { ledger, mode: "on-demand" },
  });
  const spentWei = () => ledger.spentWei(payerAt(setup.server.url, client.account));
  setup.server.faults.add("out-of-funds");
  await expect(client.disperse(samplePayload(5))).rejects.toMatchObject({ kind: "payment" });
  expect(spentWei()).toBe(0n);
  setup.server.faults.delete("out-of-funds");
  setup.server.faults.add("throttled");
  await expect(client.disperse(samplePayload(5))).rejects.toMatchObject({
    kind: "failover",
    retryable: true,
  });
  expect(spentWei()).toBe(0n);
  setup.server.faults.delete("throttled");
  await client.disperse(samplePayload(5));
  setup.server.faults.add("lost-reply");
  await client.disperse(samplePayload(6));
  expect(spentWei()).toBe(2n * blobWei);
  expect(await client.paymentState()).toMatchObject({ cumulativePaymentWei: 2n * blobWei });
  await setup.server[Symbol.asyncDispose]();
  await expect(client.disperse(samplePayload(7))).rejects.toMatchObject({ kind: "failover" });
  expect(spentWei()).toBe(3n * blobWei);
});

it("asks again before it says that the deposit is used up", async () => {
  using ledger = new PaymentLedger(":memory:");
  let now = 0n;
  let depositWei = blobWei;
  const paying = payerOf(ledger, { mode: "on-demand", nowNs: () => now }, () => ({
    onchainCumulativePaymentWei: depositWei,
  }));
  await paying.pay(64, [0]);
  await expect(paying.pay(64, [0])).rejects.toMatchObject({ kind: "payment" });
  now += 121n * second;
  expect((await paying.pay(64, [0])).cumulativePaymentWei).toBe(blobWei);
  depositWei *= 2n;
  expect((await paying.pay(64, [0])).cumulativePaymentWei).toBe(2n * blobWei);
});

function payerAt(disperserUrl: string, account: Address): PayingAccount {
  return { account, disperserUrl, chainId: 31337n };
}

function payerOf(
  ledger: PaymentLedger,
  options: Partial<ConstructorParameters<typeof Payer>[0]>,
  change: () => Partial<PaymentState> = () => ({}),
): Payer {
  const state: PaymentState = {
    symbolsMin: 4096n,
    pricePerSymbolWei: 447_000_000n,
    reservation,
    cumulativePaymentWei: 0n,
    onchainCumulativePaymentWei: 10n ** 18n,
  };
  return new Payer({
    payer,
    mode: "reservation-first",
    ledger,
    waitMsMax: 0,
    nowNs: () => 15n * second,
    readState: async () => ({ ...state, ...change() }),
    ...options,
  });
}
