import type { Decoder } from "#runtime/decoder/description";
import { excerpt, ModelRuntimeError } from "./errors.ts";

/** @throws InvalidRequestError naming the field unless `holds`. */
export function check(holds: boolean, field: string, allowed: string, given: unknown): void {
  if (!holds) throw new InvalidRequestError(field, allowed, given);
}

/** Check that there are tokens and that each is of the model's vocabulary. @throws InvalidRequestError */
export function checkTokens(
  { vocabularySize }: Pick<Decoder, "vocabularySize">,
  field: string,
  tokenIds: readonly number[],
): void {
  check(Array.isArray(tokenIds), field, "a list of token ids", tokenIds);
  check(tokenIds.length >= 1, field, "at least one token", tokenIds.length);
  const stray = strayIndex(tokenIds, vocabularySize);
  check(stray < 0, field, `token ids below ${vocabularySize}`, tokenIds[stray]);
}

/** Index of the first that is no token of the vocabulary, -1 if all are. Looks at holes too, as `every` would not. */
export function strayIndex(tokenIds: readonly number[], vocabularySize: number): number {
  return tokenIds.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocabularySize);
}

/** Whether a value has fields that can be read. */
export function isObject(given: unknown): given is object {
  return typeof given === "object" && given !== null;
}

/** A request or option outside its range. `field` names it. */
export class InvalidRequestError extends ModelRuntimeError {
  readonly field: string;

  constructor(field: string, allowed: string, given: unknown) {
    super("request-invalid", `${field}: allowed is ${allowed}. Given: ${excerpt(given)}.`);
    this.field = field;
  }
}
