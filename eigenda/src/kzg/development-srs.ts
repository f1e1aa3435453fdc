import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { keccak256, stringToBytes } from "viem";
import type { CurveBackend } from "../curve/backend.ts";
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
import { runInWorker } from "./kzg-worker-host.ts";
import { provableSymbolsMax, type Srs, type SrsAnchor, type SrsPoints, srsOrder } from "./srs.ts";

/** The development SRS's τ. Published on purpose: whoever knows it can commit to anything, so it must never guard value. */
export const developmentTau =
  BigInt(keccak256(stringToBytes("tributary eigenda development SRS: forgeable, published tau"))) % frModulus;

/** Default size: blobs of 128 KiB, the smallest billed size. */
const symbolsMaxDefault = 4096;
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
};

/**
 * The development SRS with its points, derived from the published τ and cached in `folder`.
 * First use at 4096 symbols takes some 3 CPU seconds, on a worker thread; a damaged cache file is derived anew.
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
  const bytes = cached ?? (await runInWorker({ kind: "derive", symbolsMax }));
  if (cached === null) await writeCache(options.folder, path, bytes);
  return { ...developmentSrsAnchor, symbolsMax, points: splitPoints(bytes, symbolsMax) };
}

/** All three point lists one after the other: G1, G2, trailing G2. Pure; some 3 CPU seconds at 4096 symbols with mcl. */
export function derivePoints(backend: CurveBackend, symbolsMax: number): Uint8Array {
  const bytes = new Uint8Array(pointBytes(symbolsMax));
  const lists = splitPoints(bytes, symbolsMax);
  const trailingStart = powFr(developmentTau, BigInt(srsOrder - symbolsMax));
  let power = 1n;
  for (let index = 0; index < symbolsMax; index++) {
    lists.g1.set(g1ToAffineBytes(backend.mulG1(g1Generator, power)), index * g1AffineBytes);
    lists.g2.set(g2ToAffineBytes(backend.mulG2(g2Generator, power)), index * g2AffineBytes);
    const trailing = backend.mulG2(g2Generator, (trailingStart * power) % frModulus);
    lists.g2Trailing.set(g2ToAffineBytes(trailing), index * g2AffineBytes);
    power = (power * developmentTau) % frModulus;
  }
  return bytes;
}

function pointBytes(symbolsMax: number): number {
  return symbolsMax * (g1AffineBytes + 2 * g2AffineBytes);
}

function splitPoints(bytes: Uint8Array, symbolsMax: number): { [List in keyof SrsPoints]: Uint8Array } {
  const g1End = symbolsMax * g1AffineBytes;
  const g2End = g1End + symbolsMax * g2AffineBytes;
  return {
    g1: bytes.subarray(0, g1End),
    g2: bytes.subarray(g1End, g2End),
    g2Trailing: bytes.subarray(g2End),
  };
}

/** The cache file is sha256(points) ‖ points. Null if it is absent or damaged. */
async function readCache(path: string, symbolsMax: number): Promise<Uint8Array | null> {
  const file = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  if (file === null || file.length !== checksumBytes + pointBytes(symbolsMax)) return null;
  const points = file.subarray(checksumBytes);
  return sha256(points).equals(file.subarray(0, checksumBytes)) ? points : null;
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
