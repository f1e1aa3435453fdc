import { inspect } from "node:util";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { getAddress, type Hex, hexToBytes } from "viem";
import { expect, it } from "vitest";
import { g1Infinity, g2Infinity } from "../curve/points.ts";
import { EigenDaError } from "../errors.ts";
import { fromHex, hasVectors, readVectors } from "../testing/vectors.ts";
import { batchHeaderHash, blobCertificateHash, blobKey, paymentHash } from "./header.ts";
import { anchorHash, paymentStateHash, recoverSigner, signerFromKey, uniqueClockNs } from "./signer.ts";

const key: Hex = "0x0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcded";
const zeroCommitment = {
  commitment: g1Infinity,
  lengthCommitment: g2Infinity,
  lengthProof: g2Infinity,
  length: 0,
};
const digest: Hex = `0x${"5a".repeat(32)}`;

it("hashes headers and certificates as the Rust verifier does", () => {
  // Source: Layr-Labs/eigenda rust/crates/eigenda-verification/src/verification/cert/hash.rs.
  const header = {
    version: 2,
    quorumNumbers: [0],
    commitment: zeroCommitment,
    paymentHeaderHash: `0x${"01".repeat(32)}` as Hex,
  };
  expect(blobKey(header)).toBe("0x49508c922e2a74bfa0ae0e942aac3aacc28ababb4d4ffc823bb9fc5d3a858cca");
  const other = {
    ...header,
    version: 1,
    quorumNumbers: [0, 1],
    paymentHeaderHash: `0x${"00".repeat(32)}` as Hex,
  };
  expect(blobCertificateHash(blobKey(other), "0x010203", [])).toBe(
    "0x7f8946919c6354b9dd8488a279fd919798adafc7a2023a308f766e157919c124",
  );
});

it("hashes quorums in ascending order whatever order they are given in", () => {
  const header = { version: 0, commitment: zeroCommitment, paymentHeaderHash: digest };
  expect(blobKey({ ...header, quorumNumbers: [1, 0] })).toBe(blobKey({ ...header, quorumNumbers: [0, 1] }));
});

it("hashes an account alike in every spelling", () => {
  const accountId = "0x1aa8226f6d354380dDE75eE6B634875c4203e522";
  const payment = { timestampNs: 1n, cumulativePaymentWei: 0n };
  const lower = accountId.toLowerCase() as `0x${string}`;
  expect(paymentHash({ ...payment, accountId: lower })).toBe(paymentHash({ ...payment, accountId }));
});

it("signs digests so that the account is recovered, with a last byte of 0 or 1", async () => {
  const signer = signerFromKey(key);
  const hashes = [
    digest,
    anchorHash(1n, 0, digest),
    anchorHash(2n, 0, digest),
    paymentStateHash(signer.address, 1n),
  ];
  const lastBytes = new Set<number>();
  for (const hash of hashes) {
    const signature = await signer.sign(hash);
    expect(signature.length).toBe(65);
    expect(await recoverSigner(hash, signature)).toEqual({ ok: true, value: signer.address });
    // The pure JavaScript of noble says the same: both take the nonce from RFC 6979.
    const options = { prehash: false, format: "recovered" } as const;
    const [v, ...compact] = secp256k1.sign(hexToBytes(hash), hexToBytes(key), options);
    expect([...signature]).toEqual([...compact, v]);
    lastBytes.add(signature[64]!);
  }
  expect(lastBytes).toEqual(new Set([0, 1]));
});

it("takes a key with 0x and without, and never says what was given where a key should be", () => {
  expect(signerFromKey(key.slice(2)).address).toBe(signerFromKey(key).address);
  const order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
  const short = key.slice(2, -1);
  const bad = ["", "0x", short, `0x${short}`, `${key}0`, `${short}g`, `0x0x${short}`, "00".repeat(32), order];
  for (const given of bad) {
    const failure = failureOf(() => signerFromKey(given));
    expect(failure).toBeInstanceOf(EigenDaError);
    expect(failure).toMatchObject({ kind: "invalid" });
    expect(failure).not.toHaveProperty("cause");
    if (given.length > 2) expect(inspect(failure).toLowerCase()).not.toContain(given);
  }
});

it("refuses malformed signatures without throwing", async () => {
  const signature = await signerFromKey(key).sign(digest);
  const withV27 = Uint8Array.from(signature);
  withV27[64] = 27;
  for (const bytes of [
    new Uint8Array(65),
    new Uint8Array(64),
    withV27,
    new Uint8Array(65).fill(0xff, 0, 64),
  ]) {
    expect(await recoverSigner(digest, bytes)).toMatchObject({ ok: false });
  }
});

it("never gives one timestamp twice", () => {
  const nowNs = uniqueClockNs();
  const times = Array.from({ length: 1000 }, nowNs);
  expect(new Set(times).size).toBe(1000);
  expect(times).toEqual([...times].sort((a, b) => (a < b ? -1 : 1)));
});

it.skipIf(!hasVectors)("reproduces upstream's payment, batch header and account figures", () => {
  const vectors = readVectors();
  for (const { accountId, timestamp, cumulativePayment, expect: wanted } of vectors.paymentHash) {
    const payment = {
      accountId,
      timestampNs: BigInt(timestamp),
      cumulativePaymentWei: BigInt(cumulativePayment),
    };
    expect(paymentHash(payment)).toBe(`0x${wanted}`);
  }
  for (const { root, referenceBlockNumber, expect: wanted } of vectors.batchHeaderHash) {
    expect(batchHeaderHash(`0x${root}`, referenceBlockNumber)).toBe(`0x${wanted}`);
  }
  const { privateKey, address } = vectors.account;
  // As bytes: the vector file writes one letter in another case than upstream and EIP-55.
  expect(signerFromKey(`0x${privateKey}`).address.toLowerCase()).toBe(address.toLowerCase());
});

it.skipIf(!hasVectors)("hashes the certificate of upstream's Gettysburg blob, from its blob key on", () => {
  const { blobKey: key, blobCertHash } = readVectors().gettysburgUnderMainnetSrs;
  expect(blobCertificateHash(`0x${key}`, "0x010203", [4, 5, 6])).toBe(`0x${blobCertHash}`);
});

it.skipIf(!hasVectors)("recovers the account of a real Holesky blob from its signature", async () => {
  const { signature, accountId, expect: wanted } = readVectors().holeskyBlobStatusReply;
  expect(await recoverSigner(`0x${wanted.blobKey}`, fromHex(signature))).toEqual({
    ok: true,
    value: getAddress(accountId),
  });
});

function failureOf(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return error;
  }
}
