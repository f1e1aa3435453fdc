import { invariant } from "#schema/errors";

/** Smallest step of a published value: one micro-nat in wad (docs/formats.md, "Score and money"). */
export const scoreQuantumWad = 1_000_000_000_000n;

const wad = 1_000_000_000_000_000_000n;

/**
 * Natural-log probability → micro-nats, rounded half away from zero.
 * The product `nats · 1e6` is a double, so values up to 2^53 micro-nats (9e9 nats) are exact integers afterwards.
 */
export function quantise(nats: number): bigint {
  invariant(Number.isFinite(nats), `a log-probability must be finite, got ${nats}`);
  const scaled = Math.abs(nats) * 1e6;
  invariant(
    scaled <= Number.MAX_SAFE_INTEGER,
    `a log-probability must be below 2^53 micro-nats, got ${nats}`,
  );
  const floor = Math.floor(scaled);
  const magnitude = BigInt(scaled - floor >= 0.5 ? floor + 1 : floor);
  return nats < 0 ? -magnitude : magnitude;
}

/** Micro-nats → wad of nats. */
export function toWad(micro: bigint): bigint {
  return micro * scoreQuantumWad;
}

/**
 * Share of the fee that the context earned: clip((v(N) − v(∅)) / −v(∅), 0, 1) in wad, rounded down.
 * It is the part of the answer's surprise without context that the context removes. Zero where v(∅) = 0: an
 * answer that was certain anyway owes nothing to the context. Both values in micro-nats, both ≤ 0 for probabilities.
 */
export function dataShare(valueEmptyMicro: bigint, valueFullMicro: bigint): bigint {
  const gain = valueFullMicro - valueEmptyMicro;
  const surprise = -valueEmptyMicro;
  if (surprise <= 0n || gain <= 0n) return 0n;
  return gain >= surprise ? wad : (gain * wad) / surprise;
}
