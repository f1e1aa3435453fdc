/** Assert something only our own code can break. Never use it on data from outside. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}

/** A value from outside as it may stand in a message: at most 80 characters, whatever its size or depth. */
export function excerpt(value: unknown): string {
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "a list" : "an object";
  if (typeof value !== "string") return String(value).slice(0, 80);
  return JSON.stringify(value.slice(0, 80)) + (value.length > 80 ? "…" : "");
}

/**
 * Root of every failure this library reports about the world: files, requests, workers.
 * `code` is stable and meant for programs; `retryable` says whether the same call may succeed later.
 */
export class ModelRuntimeError extends Error {
  readonly code: string;
  readonly retryable: boolean;

  constructor(code: string, message: string, options: { retryable?: boolean; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.retryable = options.retryable ?? false;
  }
}

/** The weights give values that are no numbers: damaged or diverged, however well formed their file is. */
export class NotFiniteError extends ModelRuntimeError {
  constructor(what: string) {
    super("not-finite", `The model's ${what} is not a finite number: its weights are damaged.`);
  }
}

/** What was asked was closed before or while the call ran. */
export class ModelClosedError extends ModelRuntimeError {
  constructor() {
    super("model-closed", "The model is closed.");
  }
}

/** A broken assumption of our own. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}
