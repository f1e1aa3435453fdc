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

/** What becomes of one positive line: givenWei = gatedWei + nettedWei + attenuatedWei + wei. */
export type NettedLine = {
  readonly receiptDigest: string;
  readonly recordId: string;
  readonly owner: string;
  readonly givenWei: bigint;
  /** All of it where the record is not let through. */
  readonly gatedWei: bigint;
  /** Taken because the owner's records harmed other answers. */
  readonly nettedWei: bigint;
  /** Taken by the owner's reputation. */
  readonly attenuatedWei: bigint;
  /** Paid. */
  readonly wei: bigint;
};

/** One owner's pay, and the lines it is made of: Σ wei of the lines = payWei. */
export type OwnerPay = {
  readonly owner: string;
  readonly payWei: bigint;
  readonly lines: readonly NettedLine[];
};

export type Netted = {
  /** Of every owner with a positive line, ascending. */
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
export function net(lines: readonly Line[], standing: Standing): Netted {
  const byOwner = Map.groupBy(lines, ({ owner }) => owner);
  const pays = [...byOwner]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([owner, owned]) => payOf(owner, owned, standing))
    .filter((pay) => pay.lines.length > 0);
  const givenWei = sum(lines.map(({ signedWei }) => (signedWei > 0n ? signedWei : 0n)));
  return { pays, carriedWei: givenWei - sum(pays.map(({ payWei }) => payWei)) };
}

/** Every line shrinks by the same factor, first by netting, then by attenuation: none exceeds what its receipt gave. */
function payOf(owner: string, owned: readonly Line[], { passesGate, attenuationWad }: Standing): OwnerPay {
  const helping = owned.filter(({ signedWei }) => signedWei > 0n);
  const given = helping.map(({ recordId, signedWei }) => (passesGate(recordId) ? signedWei : 0n));
  const helpedWei = sum(given);
  const harmedWei = -sum(owned.map(({ signedWei }) => (signedWei < 0n ? signedWei : 0n)));
  const attenuation = attenuationWad(owner);
  invariant(attenuation >= 0n && attenuation <= wad, "reputation attenuates, it gives no bonus");
  const netWei = helpedWei > harmedWei ? helpedWei - harmedWei : 0n;
  const payWei = (netWei * attenuation) / wad;
  const netted = apportion(netWei, given);
  // By what netting left, so that no line gets more than that: shares of largest remainder can fall as a total rises.
  const paid = apportion(payWei, netted);
  const lines = helping.map(({ signedWei, ...line }, i) => ({
    ...line,
    givenWei: signedWei,
    gatedWei: signedWei - given[i]!,
    nettedWei: given[i]! - netted[i]!,
    attenuatedWei: netted[i]! - paid[i]!,
    wei: paid[i]!,
  }));
  return { owner, payWei, lines };
}
