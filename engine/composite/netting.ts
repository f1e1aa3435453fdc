import { apportion, sum } from "#schema/apportion";
import { invariant } from "#schema/errors";
import type { Line } from "./receipt-shares.ts";

const wad = 10n ** 18n;

/** What decides about one model's lines of one epoch beside the lines themselves. */
export type Standing = {
  /** Records that may be paid: see `gate.ts`. */
  readonly passesGate: (recordId: string) => boolean;
  /** Attenuation of an owner by reputation, in wad, at most one. */
  readonly attenuationWad: (owner: string) => bigint;
};

/** One owner's pay, and the lines it is made of: Σ lines = payWei, each at most what its receipt gave. */
export type OwnerPay = {
  readonly owner: string;
  readonly payWei: bigint;
  readonly lines: readonly PaidLine[];
};
export type PaidLine = { readonly receiptDigest: string; readonly recordId: string; readonly wei: bigint };

export type Netted = {
  /** Ascending by owner, only who is paid. */
  readonly pays: readonly OwnerPay[];
  /** Given by receipts and not paid: gated out, netted away or attenuated. Carried for this model, nobody else's. */
  readonly carriedWei: bigint;
};

/**
 * Net one model's lines over one epoch per owner: what its records helped minus what they harmed, never below zero, times
 * its attenuation. Records that do not pass the gate are not paid, but their harm counts. Netting over an epoch, not over
 * an answer: within one answer an owner of noise could keep every lucky draw.
 *
 * An owner's pay comes from its own lines' receipts, so many cheap answers move nobody else's fee.
 * Σ pay + carried = Σ positive lines.
 */
export function net(lines: readonly Line[], { passesGate, attenuationWad }: Standing): Netted {
  const byOwner = new Map<string, Line[]>();
  for (const line of lines) {
    const owned = byOwner.get(line.owner);
    if (owned === undefined) byOwner.set(line.owner, [line]);
    else owned.push(line);
  }
  const pays = [...byOwner]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([owner, owned]) => {
      const paid = owned.filter(({ recordId, signedWei }) => signedWei > 0n && passesGate(recordId));
      const helpedWei = sum(paid.map(({ signedWei }) => signedWei));
      const harmedWei = -sum(owned.map(({ signedWei }) => (signedWei < 0n ? signedWei : 0n)));
      const attenuation = attenuationWad(owner);
      invariant(attenuation >= 0n && attenuation <= wad, "reputation attenuates, it gives no bonus");
      const netWei = helpedWei > harmedWei ? helpedWei - harmedWei : 0n;
      return payOf(owner, paid, (netWei * attenuation) / wad);
    })
    .filter(({ payWei }) => payWei > 0n);
  const givenWei = sum(lines.map(({ signedWei }) => (signedWei > 0n ? signedWei : 0n)));
  return { pays, carriedWei: givenWei - sum(pays.map(({ payWei }) => payWei)) };
}

/** Every line shrinks by the same factor, so none exceeds what its receipt gave. */
function payOf(owner: string, paid: readonly Line[], payWei: bigint): OwnerPay {
  if (payWei === 0n) return { owner, payWei, lines: [] };
  const parts = apportion(
    payWei,
    paid.map(({ signedWei }) => signedWei),
  );
  const lines = paid.map(({ receiptDigest, recordId }, i) => ({ receiptDigest, recordId, wei: parts[i]! }));
  return { owner, payWei, lines: lines.filter(({ wei }) => wei > 0n) };
}
