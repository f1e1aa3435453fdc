import { type Hex, keccak256, toHex } from "viem";

/**
 * Private key of a development account: keccak256("tributary development key: " ‖ label). Anyone can derive it, so
 * it is worth nothing on a public chain; `up` says so in its log.
 */
export function developmentKey(label: string): Hex {
  return keccak256(toHex(`tributary development key: ${label}`));
}
