/** Error kinds shared by the stages: `invariant` for our bugs, `PipelineError` for the world. Untrusted bytes throw nothing (see `Decoded`). */

/** Result of decoding untrusted bytes: a value, or the reason it was refused. Never an exception. */
export type Decoded<T> = { ok: true; value: T } | { ok: false; reason: string };

/**
 * A condition of the world that stopped a step. `code` is stable and machine-readable; `retryable` is what the
 * queue reads. Subclasses stand at the bottom of the module that throws them and give the value and its limit.
 */
export class PipelineError extends Error {
  override readonly name: string = "PipelineError";
  readonly code: string;
  readonly retryable: boolean;

  constructor(message: string, options: { code: string; retryable: boolean; cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.retryable = options.retryable;
  }
}

/** Our own bug: crashes with the message. Pair it: assert before writing and after reading. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}

export class InvariantError extends Error {
  override readonly name = "InvariantError";
}
