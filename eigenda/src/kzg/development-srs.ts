import { join } from "node:path";
import { keccak256, stringToBytes } from "viem";
import { frModulus, isPowerOfTwo, powFr } from "../curve/field.ts";
import { nobleBackend } from "../curve/noble.ts";
import {
  type G1,
  g1AffineBytes,
  g1Generator,
  g1ToAffineBytes,
  g2AffineBytes,
  g2Generator,
  g2ToAffineBytes,
} from "../curve/points.ts";
import { EigenDaError, invariant } from "../errors.ts";
import { Kernel } from "../kernel/kernel.ts";
import { KzgThread } from "./kzg-thread.ts";
import { readPointCache, splitPoints, toShared, writePointCache } from "./point-cache.ts";
import { derivePower, type Groups, type PowerSource } from "./power-lists.ts";
import { provableSymbolsMax, type Srs, type SrsAnchor, type SrsPoints, srsOrder } from "./srs.ts";

/** The development SRS's τ. Published on purpose: whoever knows it can commit to anything, so it must never guard value. */
export const developmentTau =
  BigInt(keccak256(stringToBytes("tributary eigenda development SRS: forgeable, published tau"))) % frModulus;

/** Default size: blobs of 1 MiB. */
const symbolsMaxDefault = 32_768;

const bytesPerSymbol: Record<Groups, number> = { g1: g1AffineBytes, all: g1AffineBytes + 2 * g2AffineBytes };

const reversePoints = new Map<number, G1>();

/** The development SRS for verifiers: no points, no cache folder. */
export const developmentSrsAnchor: SrsAnchor = {
  name: "development SRS, forgeable, published tau",
  isForgeable: true,
  g1Reverse(length) {
    invariant(length <= provableSymbolsMax, "the length is a power of two up to 2^27");
    const known = reversePoints.get(length);
    if (known !== undefined) return known;
    const point = nobleBackend.mulG1(g1Generator, powFr(developmentTau, BigInt(srsOrder - length)));
    reversePoints.set(length, point);
    return point;
  },
  g2Power: (k) => nobleBackend.mulG2(g2Generator, powFr(developmentTau, 1n << BigInt(k))),
};

/**
 * An SRS derived from the published τ and cached in `folder`, 320 bytes a symbol. First use at 32,768 symbols takes some
 * 3 CPU seconds on a thread; a damaged or foreign cache file is derived anew. The points are in memory that threads share.
 * Clients refuse to use it with an endpoint outside loopback.
 * @throws EigenDaError invalid if `symbolsMax` is not a power of two up to 2^27.
 */
export function developmentSrs(options: { folder: string; symbolsMax?: number }): Promise<Srs> {
  return cachedSrs(options.folder, options.symbolsMax ?? symbolsMaxDefault, "all");
}

/** As `developmentSrs`, without the points in G2: to check commitments, not to make them. 64 bytes a symbol. */
export function developmentSrsG1(options: { folder: string; symbolsMax: number }): Promise<Srs> {
  return cachedSrs(options.folder, options.symbolsMax, "g1");
}

async function cachedSrs(folder: string, symbolsMax: number, groups: Groups): Promise<Srs> {
  if (!isPowerOfTwo(symbolsMax) || symbolsMax > provableSymbolsMax) {
    throw new EigenDaError("invalid", `symbolsMax must be a power of two up to 2^27. Given: ${symbolsMax}.`);
  }
  const path = join(folder, `development-${groups === "all" ? "srs" : "g1"}-${symbolsMax}.bin`);
  const cached = await readPointCache(path);
  const isWhole = cached?.length === symbolsMax * bytesPerSymbol[groups];
  const isGood = cached !== null && isWhole && isOfThisTau(splitPoints(cached, symbolsMax), symbolsMax);
  const bytes = isGood ? cached : await derive(symbolsMax, groups);
  if (!isGood) await writePointCache(path, bytes);
  return { ...developmentSrsAnchor, symbolsMax, points: splitPoints(toShared(bytes), symbolsMax) };
}

async function derive(symbolsMax: number, groups: Groups): Promise<Uint8Array> {
  await using thread = new KzgThread({});
  return await thread.run({ kind: "derive", source: powerSource(symbolsMax), symbolsMax, groups });
}

function powerSource(symbolsMax: number): PowerSource {
  return {
    tau: developmentTau,
    trailingStart: powFr(developmentTau, BigInt(srsOrder - symbolsMax)),
    g1: g1ToAffineBytes(g1Generator),
    g2: g2ToAffineBytes(g2Generator),
  };
}

/** Whether the last point of each list is the one that τ gives: a file of another τ or layout has a good checksum too. */
function isOfThisTau({ g1, g2, g2Trailing }: SrsPoints, symbolsMax: number): boolean {
  const scalars = {
    prefix: powFr(developmentTau, BigInt(symbolsMax - 1)),
    trailing: powFr(developmentTau, BigInt(srsOrder - 1)),
  };
  const wanted = derivePower(new Kernel(), powerSource(symbolsMax), scalars);
  const ends = (list: Uint8Array | null, point: Uint8Array) =>
    list === null || Buffer.compare(list.subarray(-point.length), point) === 0;
  return ends(g1, wanted.g1) && ends(g2, wanted.g2) && ends(g2Trailing, wanted.g2Trailing);
}
