import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, readFile, rename } from "node:fs/promises";
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
import { derivePower, type PowerSource } from "./power-lists.ts";
import { provableSymbolsMax, type Srs, type SrsAnchor, srsOrder } from "./srs.ts";

/** The development SRS's τ. Published on purpose: whoever knows it can commit to anything, so it must never guard value. */
export const developmentTau =
  BigInt(keccak256(stringToBytes("tributary eigenda development SRS: forgeable, published tau"))) % frModulus;

/** Default size: blobs of 1 MiB. */
const symbolsMaxDefault = 32_768;
const checksumBytes = 32;

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
export async function developmentSrs(options: { folder: string; symbolsMax?: number }): Promise<Srs> {
  const symbolsMax = options.symbolsMax ?? symbolsMaxDefault;
  if (!isPowerOfTwo(symbolsMax) || symbolsMax > provableSymbolsMax) {
    throw new EigenDaError("invalid", `symbolsMax must be a power of two up to 2^27. Given: ${symbolsMax}.`);
  }
  const path = join(options.folder, `development-srs-${symbolsMax}.bin`);
  const cached = await readCache(path, symbolsMax);
  const bytes = cached ?? (await derive(symbolsMax));
  if (cached === null) await writeCache(options.folder, path, bytes);
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
  shared.set(bytes);
  return { ...developmentSrsAnchor, symbolsMax, points: splitPoints(shared, symbolsMax) };
}

async function derive(symbolsMax: number): Promise<Uint8Array> {
  await using thread = new KzgThread({});
  return await thread.run({ kind: "derive", source: powerSource(symbolsMax), symbolsMax });
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
function isOfThisTau(bytes: Uint8Array, symbolsMax: number): boolean {
  const scalars = {
    prefix: powFr(developmentTau, BigInt(symbolsMax - 1)),
    trailing: powFr(developmentTau, BigInt(srsOrder - 1)),
  };
  const wanted = derivePower(new Kernel(), powerSource(symbolsMax), scalars);
  const { g1, g2, g2Trailing } = splitPoints(bytes, symbolsMax);
  return (
    Buffer.compare(g1.subarray(-g1AffineBytes), wanted.g1) === 0 &&
    Buffer.compare(g2.subarray(-g2AffineBytes), wanted.g2) === 0 &&
    Buffer.compare(g2Trailing.subarray(-g2AffineBytes), wanted.g2Trailing) === 0
  );
}

function pointBytes(symbolsMax: number): number {
  return symbolsMax * (g1AffineBytes + 2 * g2AffineBytes);
}

function splitPoints(bytes: Uint8Array, symbolsMax: number) {
  const g1End = symbolsMax * g1AffineBytes;
  const g2End = g1End + symbolsMax * g2AffineBytes;
  return {
    g1: bytes.subarray(0, g1End),
    g2: bytes.subarray(g1End, g2End),
    g2Trailing: bytes.subarray(g2End),
  };
}

/** The cache file is sha256(points) ‖ points. Null if it is absent, damaged or of another τ. */
async function readCache(path: string, symbolsMax: number): Promise<Uint8Array | null> {
  const file = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  if (file === null || file.length !== checksumBytes + pointBytes(symbolsMax)) return null;
  const points = file.subarray(checksumBytes);
  const isIntact = sha256(points).equals(file.subarray(0, checksumBytes));
  return isIntact && isOfThisTau(points, symbolsMax) ? points : null;
}

async function writeCache(folder: string, path: string, points: Uint8Array): Promise<void> {
  await mkdir(folder, { recursive: true });
  // A name of its own: others may derive the same points at the same time, in this process too.
  const temporary = `${path}.${randomUUID()}.tmp`;
  const file = await open(temporary, "wx");
  try {
    await file.writeFile(Buffer.concat([sha256(points), points]));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
