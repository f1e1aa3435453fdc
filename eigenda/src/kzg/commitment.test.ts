import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { DisperserClient } from "../client/disperser-client.ts";
import type { CurveBackend } from "../curve/backend.ts";
import { evaluatePolynomial, frModulus, powFr, writeSymbols } from "../curve/field.ts";
import { loadMcl } from "../curve/mcl.ts";
import { nobleBackend } from "../curve/noble.ts";
import {
  compressG1,
  compressG2,
  decompressG1,
  decompressG2,
  g1Generator,
  g2Generator,
  negateG1,
} from "../curve/points.ts";
import { kernelBackend } from "../kernel/backend.ts";
import { accountKey } from "../testing/disperser.ts";
import { hasVectors, vectorPath } from "../testing/vectors.ts";
import { commitBlob, isCommitmentConsistent } from "./commitment.ts";
import { Committer } from "./committer.ts";
import { developmentSrs, developmentTau } from "./development-srs.ts";
import { filePrefixSrs } from "./file-srs.ts";
import { mainnetSrsAnchor } from "./mainnet-srs.ts";
import { type Srs, srsOrder } from "./srs.ts";

let folder: string;
let srs: Srs;
let mcl: CurveBackend;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "eigenda-srs-"));
  [srs, mcl] = await Promise.all([developmentSrs({ folder, symbolsMax: 16 }), loadMcl()]);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

it("commits to random blobs as the known τ predicts, with all three backends", () => {
  const kernel = kernelBackend();
  const symbol = fc.bigInt({ min: 0n, max: frModulus - 1n });
  const blob = fc
    .constantFrom(1, 2, 4, 16)
    .chain((length) => fc.array(symbol, { minLength: length, maxLength: length }));
  fc.assert(
    fc.property(blob, (coefficients) => {
      const commitment = commitBlob(kernel, srs.points, writeSymbols(coefficients));
      expect(commitBlob(mcl, srs.points, writeSymbols(coefficients))).toEqual(commitment);
      expect(commitBlob(nobleBackend, srs.points, writeSymbols(coefficients))).toEqual(commitment);
      const value = evaluatePolynomial(coefficients, developmentTau);
      const shift = powFr(developmentTau, BigInt(srsOrder - coefficients.length));
      expect(commitment.commitment).toEqual(mcl.mulG1(g1Generator, value));
      expect(commitment.lengthCommitment).toEqual(mcl.mulG2(g2Generator, value));
      expect(commitment.lengthProof).toEqual(mcl.mulG2(g2Generator, (value * shift) % frModulus));
      expect(isCommitmentConsistent(mcl, srs, commitment)).toBe(true);
    }),
    { numRuns: 12 },
  );
});

it("refuses a proof made for another length", () => {
  const commitment = commitBlob(mcl, srs.points, writeSymbols([5n, 6n, 7n, 8n]));
  expect(isCommitmentConsistent(mcl, srs, { ...commitment, length: 2 })).toBe(false);
  expect(isCommitmentConsistent(mcl, mainnetSrsAnchor, commitment)).toBe(false);
});

it("commits on one, two or three threads to the same points, and refuses blobs that are too long", async () => {
  const blob = writeSymbols([1n, 2n]);
  const wanted = commitBlob(mcl, srs.points, blob);
  for (const threads of [1, 2, 3]) {
    await using committer = new Committer(srs.points, { threads });
    expect(await committer.commit(blob)).toEqual(wanted);
    expect(await committer.commitG1(blob)).toEqual(wanted.commitment);
    const tooLong = committer.commit(new Uint8Array(32 * 32));
    await expect(tooLong).rejects.toMatchObject({ kind: "invalid" });
  }
});

it("rejects what is under way when the threads are closed", async () => {
  const committer = new Committer(srs.points);
  const closed = { kind: "invalid", message: expect.stringContaining("closed") };
  const answer = expect(committer.commit(writeSymbols([1n]))).rejects.toMatchObject(closed);
  await committer[Symbol.asyncDispose]();
  await answer;
  await expect(committer.commitG1(writeSymbols([1n]))).rejects.toMatchObject(closed);
});

it("derives the points again when the cache file holds those of another τ", async () => {
  const other = join(folder, "other");
  await mkdir(other);
  const [name] = await readdir(folder);
  const points = (await readFile(join(folder, name!))).subarray(32);
  points.copyWithin(0, 64, 128);
  points.copyWithin(15 * 64, 0, 64);
  const digest = createHash("sha256").update(points).digest();
  await writeFile(join(other, name!), Buffer.concat([digest, points]));
  const again = await developmentSrs({ folder: other, symbolsMax: 16 });
  expect(Buffer.compare(again.points.g1, srs.points.g1)).toBe(0);
});

it("derives the points again when the cache file is damaged", async () => {
  const [name] = await readdir(folder);
  const file = await readFile(join(folder, name!));
  const damaged = Buffer.from(file);
  damaged[100] = damaged[100]! ^ 1;
  await writeFile(join(folder, name!), damaged);
  const again = await developmentSrs({ folder, symbolsMax: 16 });
  expect(Buffer.compare(again.points.g1, srs.points.g1)).toBe(0);
  expect((await readFile(join(folder, name!))).equals(file)).toBe(true);
});

it("refuses the development SRS with an endpoint outside loopback", () => {
  const options = { accountKey, chainId: 1n, srs };
  expect(() => new DisperserClient({ ...options, url: "https://disperser.example:443" })).toThrow(
    expect.objectContaining({
      kind: "invalid",
      message: expect.stringContaining("refused outside loopback"),
    }),
  );
  expect(() => new DisperserClient({ ...options, url: "not a url" })).toThrow(
    expect.objectContaining({ kind: "invalid" }),
  );
});

it.skipIf(!hasVectors)(
  "commits to 3,000 symbols under as many real ceremony points alike with all three backends",
  async () => {
    const g1Path = vectorPath("g1.3000.point");
    const sha256 = createHash("sha256")
      .update(await readFile(g1Path))
      .digest("hex");
    expect(sha256).toBe("1a23c29f5739fa223410ee518f94922248afe99efc47c9617d89722e8874cf4e");
    const real = await filePrefixSrs({ g1Path, sha256 });
    expect(real.symbolsMax).toBe(3000);
    const symbols = Array.from({ length: 3000 }, (_, index) => powFr(3n, BigInt(index * 1000 + 254)));
    const blob = writeSymbols(symbols);
    const commitments = [kernelBackend(), mcl, nobleBackend].map((backend) =>
      backend.basesG1(real.points.g1).msm(blob, 0),
    );
    expect(commitments[0]).toEqual(commitments[2]);
    expect(commitments[1]).toEqual(commitments[2]);
    expect(() => commitBlob(mcl, real.points, blob)).toThrow("no G2 points");
    await expect(filePrefixSrs({ g1Path, sha256: "00" })).rejects.toMatchObject({ kind: "invalid" });
  },
);

it.skipIf(!hasVectors)(
  "embeds upstream's 28 end points in G1 and 28 powers in G2, each of them",
  async () => {
    const powers = await readFile(vectorPath("g2.powerOf2.point"));
    const { points } = JSON.parse(await readFile(vectorPath("g1.reverse.json"), "utf8")) as {
      points: string[];
    };
    expect(points).toHaveLength(28);
    for (const [k, point] of points.entries()) {
      const g1 = compressG1(mainnetSrsAnchor.g1Reverse(2 ** k));
      expect(Buffer.from(g1).toString("hex")).toBe(point);
      const g2 = compressG2(mainnetSrsAnchor.g2Power(k));
      expect(Buffer.compare(g2, powers.subarray(64 * k, 64 * (k + 1)))).toBe(0);
    }
  },
);

it.skipIf(!hasVectors)(
  "holds ceremony points that pair with upstream's powers of two and embedded end points",
  async () => {
    const powers = await readFile(vectorPath("g2.powerOf2.point"));
    const prefix = await readFile(vectorPath("g1.3000.point"));
    const g2At = (power: number) => decompressG2(powers.subarray(64 * power, 64 * (power + 1)));
    const g1At = (index: number) => decompressG1(prefix.subarray(32 * index, 32 * (index + 1)));
    for (const power of [0, 1, 2, 11]) {
      const [g1, g2] = [g1At(2 ** power), g2At(power)];
      if (!g1.ok || !g2.ok) throw new Error("the vectors are points");
      const pairs = [
        { g1: g1.value, g2: g2Generator },
        { g1: negateG1(g1Generator), g2: g2.value },
      ];
      expect(mcl.isPairingProductOne(pairs)).toBe(true);
    }
    // τ^(2^28 − 2^27) = τ^(2^27): the embedded point for that length pairs with the last power of two.
    const [end, last] = [mainnetSrsAnchor.g1Reverse(2 ** 27), g2At(27)];
    if (!last.ok) throw new Error("the vectors are points");
    const pairs = [
      { g1: end, g2: g2Generator },
      { g1: negateG1(g1Generator), g2: last.value },
    ];
    expect(mcl.isPairingProductOne(pairs)).toBe(true);
  },
);
