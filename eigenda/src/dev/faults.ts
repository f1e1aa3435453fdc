/**
 * Faults that the development disperser can be told to show.
 * - failed: blobs end FAILED.
 * - slow: no blob advances.
 * - below-threshold: blobs end COMPLETE with 40 % of the stake signed.
 * - lost-reply: blobs are accepted, and the answer that says so is lost.
 * - lost: blobs are accepted, and then no status is known of any.
 * - not-found: the relay knows no blob.
 * - corrupt: the relay flips one bit of every blob.
 * - throttled: the relay and the disperser answer that they are asked too often.
 * - out-of-funds: no account can pay.
 */
export const faultNames = [
  "failed",
  "slow",
  "below-threshold",
  "lost-reply",
  "lost",
  "not-found",
  "corrupt",
  "throttled",
  "out-of-funds",
] as const;
export type FaultName = (typeof faultNames)[number];

/** The faults shown now; may be changed while the server runs. */
export type Faults = Set<FaultName>;
