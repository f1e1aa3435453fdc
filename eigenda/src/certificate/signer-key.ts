import type { CurveBackend, PairingValue } from "../curve/backend.ts";
import { isSameKey } from "../curve/bls.ts";
import { type G1, g1Generator, g1Infinity, g2Generator, isInfinityG1, negateG1 } from "../curve/points.ts";
import type { Certificate } from "./certificate.ts";

/**
 * Whether the signers' key is the quorums' keys less the non-signers'. `undetermined`: there are more non-signers than can be tried; only the
 * registry knows who belongs to which quorum.
 */
export type SignerKeyState = "consistent" | "inconsistent" | "undetermined";

/** Sums kept of one half of the non-signers: 24 of them in two quorums, 14 in three, 12 in four, 10 in five. */
const sumsMax = 4096;

/**
 * apkG1 = Σ quorum keys − Σ m_i · non-signer_i, where m_i, from 1 to the number of quorums, says to how many of them a non-signer belongs. The m_i
 * are not in a certificate, and apkG1 is known by its twin in G2 alone. So the wanted sum's pairing with the generator is compared with those of
 * all candidates, met in the middle: the candidates of one half in a table, those of the other looked up.
 * At most 2 · 4,096 multiplications of pairing values: some 0.3 s; without or with one non-signer, 10 ms. No point may be at infinity.
 */
export function signerKeyState(
  backend: CurveBackend,
  { quorumApks, nonSignerPubkeys, apkG2 }: Certificate,
): SignerKeyState {
  const sum = (keys: readonly G1[]) => keys.reduce((total, key) => backend.addG1(total, key), g1Infinity);
  const total = sum(quorumApks);
  const nonSigners = sum(nonSignerPubkeys);
  const less = (times: number) => backend.addG1(total, negateG1(backend.mulG1(nonSigners, BigInt(times))));
  // Mostly all belong to every quorum, or each to one.
  if (isSameKey(backend, less(quorumApks.length), apkG2)) return "consistent";
  const most = less(1);
  if (isSameKey(backend, most, apkG2)) return "consistent";
  if (nonSignerPubkeys.length === 0 || quorumApks.length < 2) return "inconsistent";
  const half = Math.ceil(nonSignerPubkeys.length / 2);
  if (quorumApks.length ** half > sumsMax) return "undetermined";
  // Without any key at all the rest is the inverse of the signers' key; it cannot be reached by adding keys that are nobody's.
  const rest = [{ g1: negateG1(g1Generator), g2: apkG2 }];
  if (!isInfinityG1(most)) rest.push({ g1: most, g2: g2Generator });
  const wanted = backend.pairingProduct(rest);
  const values = nonSignerPubkeys.map((g1) => backend.pairingProduct([{ g1, g2: g2Generator }]));
  const table = new Set(
    products(values.slice(0, half), quorumApks.length).map((value) => value?.key() ?? one(wanted)),
  );
  const inverses = values.slice(half).map((value) => value.inverse());
  return products(inverses, quorumApks.length).some((value) =>
    table.has((value === null ? wanted : wanted.times(value)).key()),
  )
    ? "consistent"
    : "inconsistent";
}

/** Every Π values_i^d_i with 0 ≤ d_i < `powers`; null stands for the empty product. */
function products(values: readonly PairingValue[], powers: number): (PairingValue | null)[] {
  let all: (PairingValue | null)[] = [null];
  for (const value of values) {
    let layer = all;
    const next = [...all];
    for (let power = 1; power < powers; power++) {
      layer = layer.map((product) => product?.times(value) ?? value);
      next.push(...layer);
    }
    all = next;
  }
  return all;
}

function one(value: PairingValue): string {
  return value.times(value.inverse()).key();
}
