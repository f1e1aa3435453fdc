import { type Address, type Hex, isAddress } from "viem";
import { PipelineError } from "#schema/errors";

/** A transaction hash or digest, in lowercase. `what` names it in the refusal. @throws UsageError */
export function hashFrom(text: string | undefined, what: string): Hex {
  if (text === undefined) throw new UsageError(`Give ${what}.`);
  if (/^0x[0-9a-fA-F]{64}$/.test(text)) return text.toLowerCase() as Hex;
  throw new UsageError(`Expected ${what}: 0x and 64 hex digits. Given: ${text}`);
}

/** An account in lowercase. @throws UsageError */
export function addressFrom(text: string): Address {
  if (isAddress(text, { strict: false })) return text.toLowerCase() as Address;
  throw new UsageError(`An account is 0x and 40 hex digits. Given: ${text}`);
}

/** An HTTP address, as it was given. @throws UsageError */
export function urlFrom(text: string, option: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text;
  throw new UsageError(`--${option} is http://host:port or https://host. Given: ${text}`);
}

/** A count of at least one. @throws UsageError */
export function countFrom(text: string, option: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new UsageError(`--${option} is a count of at least 1. Given: ${text}`);
}

/** A positive number. @throws UsageError */
export function numberFrom(text: string, option: string): number {
  const number = Number(text);
  if (text.trim() !== "" && Number.isFinite(number) && number >= 0) return number;
  throw new UsageError(`--${option} is a number. Given: ${text}`);
}

/** The command was called in a way it does not understand. */
export class UsageError extends PipelineError {
  override readonly name = "UsageError";
  constructor(message: string) {
    super(message, { code: "usage", retryable: false });
  }
}
