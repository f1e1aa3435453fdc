import fc from "fast-check";
import { keccak256 } from "viem";
import { beforeAll, expect, it } from "vitest";
import { fromHex, hasVectors, readVectors, toHex } from "../testing/vectors.ts";
import type { CurveBackend } from "./backend.ts";
import { hashToG1 } from "./bls.ts";
import { fpModulus, frModulus, writeSymbols } from "./field.ts";
import { curveSeed, loadMcl } from "./mcl.ts";
import { nobleBackend } from "./noble.ts";
import {
  compressG1,
  compressG2,
  decompressG1,
  decompressG2,
  type G2,
  g1Generator,
  g1Infinity,
  g1ToAffineBytes,
  g2Generator,
  g2Infinity,
  g2ToAffineBytes,
  isOnCurveG1,
  isOnCurveG2,
  negateG1,
} from "./points.ts";

/** Prime factors of 2p − r, the twist's cofactor. */
const cofactorPrimes = [
  10_069n,
  5_864_401n,
  1_875_725_156_269n,
  197_620_364_512_881_247_228_717_050_342_013_327_560_683_201_906_968_909n,
];

const scalar = fc.bigInt({ min: 1n, max: frModulus - 1n });

let mcl: CurveBackend;
beforeAll(async () => {
  mcl = await loadMcl();
});

it("gives back every point from its compressed form", () => {
  fc.assert(
    fc.property(scalar, (k) => {
      const [g1, g2] = [mcl.mulG1(g1Generator, k), mcl.mulG2(g2Generator, k)];
      expect(decompressG1(compressG1(g1))).toEqual({ ok: true, value: g1 });
      expect(decompressG2(compressG2(g2))).toEqual({ ok: true, value: g2 });
      expect(isOnCurveG1(g1) && isOnCurveG2(g2)).toBe(true);
    }),
    { numRuns: 15 },
  );
});

it("refuses compressed points that are not canonical or not on the curve", () => {
  const infinityWithRest = fromHex(`40${"00".repeat(30)}01`);
  const largeX = fromHex((fpModulus | (1n << 255n)).toString(16));
  const offCurve = fromHex(`80${"00".repeat(30)}04`);
  for (const bytes of [new Uint8Array(32), new Uint8Array(31), infinityWithRest, largeX, offCurve]) {
    expect(decompressG1(bytes)).toMatchObject({ ok: false });
  }
  expect(decompressG2(new Uint8Array(64))).toMatchObject({ ok: false });
  expect(isOnCurveG1({ x: fpModulus + 1n, y: 2n })).toBe(false);
});

it("does not change the bytes it decompresses, also when they are a view", () => {
  const bytes = Buffer.from(compressG1(g1Generator));
  const before = bytes.toString("hex");
  decompressG1(bytes.subarray());
  expect(bytes.toString("hex")).toBe(before);
});

it("computes the same sums, products and pairings with both backends", () => {
  const points = [1n, 7n, 123_456_789n, 0n].map((k) => ({
    g1: k === 0n ? g1Infinity : mcl.mulG1(g1Generator, k),
    g2: k === 0n ? g2Infinity : mcl.mulG2(g2Generator, k),
  }));
  const scalars = writeSymbols([frModulus - 1n, 0n, 99n, 5n]);
  const g1Bytes = Buffer.concat(points.map(({ g1 }) => g1ToAffineBytes(g1)));
  const g2Bytes = Buffer.concat(points.map(({ g2 }) => g2ToAffineBytes(g2)));
  expect(nobleBackend.basesG1(g1Bytes).msm(scalars, 0)).toEqual(mcl.basesG1(g1Bytes).msm(scalars, 0));
  expect(nobleBackend.basesG2(g2Bytes).msm(scalars, 0)).toEqual(mcl.basesG2(g2Bytes).msm(scalars, 0));
  const tail = writeSymbols([3n, 4n]);
  expect(nobleBackend.basesG1(g1Bytes).msm(tail, 2)).toEqual(mcl.basesG1(g1Bytes).msm(tail, 2));
  const [a, b] = [points[1]!, points[2]!];
  expect(nobleBackend.addG2(a.g2, b.g2)).toEqual(mcl.addG2(a.g2, b.g2));
  for (const backend of [mcl, nobleBackend]) {
    expect(
      backend.isPairingProductOne([
        { g1: a.g1, g2: b.g2 },
        { g1: negateG1(b.g1), g2: a.g2 },
      ]),
    ).toBe(true);
    expect(
      backend.isPairingProductOne([
        { g1: a.g1, g2: b.g2 },
        { g1: b.g1, g2: a.g2 },
      ]),
    ).toBe(false);
    expect(backend.addG1(a.g1, negateG1(a.g1))).toEqual(g1Infinity);
    const terms = [a, b, points[3]!].map(({ g1 }, index) => ({
      point: g1,
      scalar: BigInt(index - 1) << 100n,
    }));
    expect(backend.sumG1(terms)).toEqual(mcl.mulG1(a.g1, -(1n << 100n)));
  }
});

it("tells twist points outside the subgroup from those inside", () => {
  const outside = twistPointOutsideSubgroup();
  expect(isOnCurveG2(outside)).toBe(true);
  for (const backend of [mcl, nobleBackend]) {
    expect(backend.isInSubgroupG2(outside)).toBe(false);
    expect(backend.isInSubgroupG2(g2Generator)).toBe(true);
  }
});

it("tells points of every order outside the subgroup, alone and added to a point inside", () => {
  expect(cofactorPrimes.reduce((product, prime) => product * prime)).toBe(2n * fpModulus - frModulus);
  const outside = twistPointOutsideSubgroup();
  const times = (point: G2, scalar: bigint) => nobleBackend.mulG2(point, scalar);
  // noble takes scalars below the order: r · P is (r − 1) · P + P.
  const ofCofactor = nobleBackend.addG2(times(outside, frModulus - 1n), outside);
  for (const prime of cofactorPrimes) {
    const others = cofactorPrimes.filter((other) => other !== prime);
    const small = others.reduce(times, ofCofactor);
    expect(small).not.toEqual(g2Infinity);
    expect([prime, mcl.isInSubgroupG2(small)]).toEqual([prime, false]);
    expect([prime, mcl.isInSubgroupG2(nobleBackend.addG2(small, g2Generator))]).toEqual([prime, false]);
  }
  fc.assert(
    fc.property(scalar, (k) => {
      expect(mcl.isInSubgroupG2(mcl.mulG2(g2Generator, k))).toBe(true);
    }),
    { numRuns: 20 },
  );
});

it("multiplies by the curve's seed outside the subgroup too: mcl does not split so short a scalar", () => {
  const outside = twistPointOutsideSubgroup();
  expect(mcl.mulG2(outside, curveSeed)).toEqual(nobleBackend.mulG2(outside, curveSeed));
});

it("hashes messages to points on the curve", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (message) => {
      expect(isOnCurveG1(hashToG1(message))).toBe(true);
    }),
    { numRuns: 20 },
  );
});

it.skipIf(!hasVectors)("reads and writes upstream's compressed points", () => {
  const { g1, g2 } = readVectors().compressedPoints;
  for (const hex of g1) {
    const point = decompressG1(fromHex(hex));
    expect(point.ok && toHex(compressG1(point.value))).toBe(hex);
  }
  for (const hex of g2) {
    const point = decompressG2(fromHex(hex));
    expect(point.ok && toHex(compressG2(point.value))).toBe(hex);
  }
});

it.skipIf(!hasVectors)("hashes the generator's coordinates to upstream's operator id", () => {
  expect(keccak256(g1ToAffineBytes(g1Generator)).slice(2)).toBe(readVectors().operatorId.g1Generator);
});

/** The first x = c0 + 0·u with a point: almost all twist points lie outside the subgroup. */
function twistPointOutsideSubgroup() {
  for (let x = 1; x < 50; x++) {
    const bytes = new Uint8Array(64);
    bytes[0] = 0x80;
    bytes[63] = x;
    const point = decompressG2(bytes);
    if (point.ok) return point.value;
  }
  throw new Error("no point found");
}
