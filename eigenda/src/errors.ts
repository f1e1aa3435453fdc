/**
 * What went wrong, by what the caller can do about it.
 *
 * - invalid: the input or the certificate is wrong; sending it again is useless.
 * - auth: the server refused the signature or the account.
 * - payment: no reservation or deposit covers the blob.
 * - clock: the local clock is more than 45 s off the server's.
 * - duplicate: this blob key is already known; a fresh timestamp makes a new one.
 * - failover: this server cannot serve now; try again or elsewhere.
 * - notReady: accepted, but not finished within the time given.
 * - mismatch: the server answered with something that is not what was asked for. Never trust the answer.
 */
export type EigenDaErrorKind =
  | "invalid"
  | "auth"
  | "payment"
  | "clock"
  | "duplicate"
  | "failover"
  | "notReady"
  | "mismatch";

const retryableKinds: readonly EigenDaErrorKind[] = ["duplicate", "failover", "notReady"];

/** Result of decoding bytes from outside: never thrown, so a reader can record the reason and go on. */
export type Decoded<T> = { ok: true; value: T } | { ok: false; reason: string };

/** The one error class this package throws for the world. `retryable` follows from `kind`. */
export class EigenDaError extends Error {
  readonly kind: EigenDaErrorKind;
  /** Whether the same call may succeed later without a change by the caller. */
  readonly retryable: boolean;

  constructor(kind: EigenDaErrorKind, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "EigenDaError";
    this.kind = kind;
    this.retryable = retryableKinds.includes(kind);
  }
}

/** Crashes on a broken assumption of ours; never used for data from outside. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new BrokenInvariantError(message);
}

/** A bug of this package, never a state of the world: nothing catches it. */
class BrokenInvariantError extends Error {
  constructor(message: string) {
    super(`Broken invariant: ${message}`);
    this.name = "BrokenInvariantError";
  }
}
