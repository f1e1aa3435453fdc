/** How blobs are billed. Source: Layr-Labs/eigenda core/payments, docs/spec/src/protocol/payments/payment_system.md. Pure. */

export type BillingParameters = {
  /** Smallest billed size, in symbols. */
  symbolsMin: bigint;
  pricePerSymbolWei: bigint;
};

export type Reservation = {
  symbolsPerSecond: bigint;
  /** Unix seconds. */
  startS: number;
  endS: number;
  quorumNumbers: readonly number[];
};

/** What a client has taken of its reservation: symbols still in the bucket at a time. */
export type Bucket = { symbols: bigint; atNs: bigint };

/** How many seconds of the reservation a bucket holds; the server's holds more, so that clocks may differ. */
export const clientBucketS = 60n;
export const serverBucketS = 90n;
const nsPerS = 1_000_000_000n;

/** Quorums that on-demand payments may name. */
const onDemandQuorums: readonly number[] = [0, 1];

export function billedSymbols(length: number, { symbolsMin }: BillingParameters): bigint {
  return BigInt(length) > symbolsMin ? BigInt(length) : symbolsMin;
}

export function costWei(length: number, parameters: BillingParameters): bigint {
  return billedSymbols(length, parameters) * parameters.pricePerSymbolWei;
}

/** A client that knows nothing of the past assumes the bucket full: it may have just sent as much before a crash. */
export function fullBucket(reservation: Reservation, nowNs: bigint): Bucket {
  return { symbols: reservation.symbolsPerSecond * clientBucketS, atNs: nowNs };
}

/** The bucket with a time that is not in the future: a clock that was ahead and stepped back would otherwise stop the leak until it is there again. */
export function notAfter(bucket: Bucket, nowNs: bigint): Bucket {
  return bucket.atNs > nowNs ? { ...bucket, atNs: nowNs } : bucket;
}

/**
 * Pours a blob into the bucket. One that is not full takes any blob, once: it may overfill. A full one says when it will not be. The clock may step back: the
 * bucket then leaks from there on.
 */
export function pour(
  bucket: Bucket,
  reservation: Reservation,
  symbols: bigint,
  nowNs: bigint,
  bucketS = clientBucketS,
): { ok: true; bucket: Bucket } | { ok: false; waitMs: number } {
  const capacity = reservation.symbolsPerSecond * bucketS;
  const elapsedNs = nowNs - notAfter(bucket, nowNs).atNs;
  const leaked = (elapsedNs * reservation.symbolsPerSecond) / nsPerS;
  const held = bucket.symbols > leaked ? bucket.symbols - leaked : 0n;
  if (held < capacity) return { ok: true, bucket: { symbols: held + symbols, atNs: nowNs } };
  const excessNs = ((held - capacity + 1n) * nsPerS) / reservation.symbolsPerSecond;
  return { ok: false, waitMs: Number(excessNs / 1_000_000n) + 1 };
}

/** Why the reservation does not cover such a blob now, or null if it does. */
export function reservationFault(
  reservation: Reservation | null,
  quorums: readonly number[],
  nowNs: bigint,
): string | null {
  if (reservation === null) return "the account has no reservation";
  if (reservation.symbolsPerSecond <= 0n) return "the reservation is for nothing";
  const nowS = Number(nowNs / nsPerS);
  if (nowS < reservation.startS) return `the reservation starts at ${reservation.startS}, in Unix seconds`;
  if (nowS >= reservation.endS) return `the reservation ended at ${reservation.endS}, in Unix seconds`;
  const missing = quorums.find((quorum) => !reservation.quorumNumbers.includes(quorum));
  return missing === undefined ? null : `the reservation does not cover quorum ${missing}`;
}

/** Why on-demand payment cannot be used for these quorums, or null if it can. */
export function onDemandFault(quorums: readonly number[]): string | null {
  const missing = quorums.find((quorum) => !onDemandQuorums.includes(quorum));
  return missing === undefined ? null : `on-demand payment does not cover quorum ${missing}`;
}
