import { invariant } from "../errors.ts";
import { threadRoots } from "../kernel/roots.ts";
import type { CurveBackend } from "./backend.ts";
import { bigintFromBytes, fpModulus } from "./field.ts";
import {
  type G1,
  type G2,
  g1Generator,
  g2Generator,
  isInfinityG1,
  isInfinityG2,
  negateG1,
  rightSideG1,
} from "./points.ts";

/** Every other x has a point, so a message that needs more tries than this does not exist (chance 2^-256). */
const hashAttemptsMax = 256;

/** Message hash to G1 as EigenLayer's BLS does: x = message mod p, then the first x' ≥ x with a point; its y is (x'³ + 3)^((p+1)/4). */
export function hashToG1(message: Uint8Array): G1 {
  const { squareRoot } = threadRoots();
  let x = bigintFromBytes(message) % fpModulus;
  for (let attempt = 0; attempt < hashAttemptsMax; attempt++) {
    const y = squareRoot(rightSideG1(x));
    if (y !== null) return { x, y };
    x = (x + 1n) % fpModulus;
  }
  invariant(false, "a point lies near every x");
}

/** Whether e(sigma, G2) = e(H(message), apkG2). Never at infinity, where the equation holds for every message. */
export function isSignatureValid(backend: CurveBackend, message: Uint8Array, sigma: G1, apkG2: G2): boolean {
  if (isInfinityG1(sigma) || isInfinityG2(apkG2)) return false;
  return backend.isPairingProductOne([
    { g1: negateG1(sigma), g2: g2Generator },
    { g1: hashToG1(message), g2: apkG2 },
  ]);
}

/** Whether the two keys have the same discrete logarithm: e(apkG1, G2) = e(G1, apkG2). Infinity is nobody's key. */
export function isSameKey(backend: CurveBackend, apkG1: G1, apkG2: G2): boolean {
  if (isInfinityG1(apkG1) || isInfinityG2(apkG2)) return false;
  return backend.isPairingProductOne([
    { g1: negateG1(apkG1), g2: g2Generator },
    { g1: g1Generator, g2: apkG2 },
  ]);
}
