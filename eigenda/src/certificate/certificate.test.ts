import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { bytesToHex, fromRlp, keccak256, toRlp } from "viem";
import { expect, it } from "vitest";
import { isSameKey, isSignatureValid } from "../curve/bls.ts";
import { loadMcl } from "../curve/mcl.ts";
import { g1Infinity, g2Infinity } from "../curve/points.ts";
import { BlobStatus, BlobStatusReplySchema } from "../gen/disperser_pb.ts";
import { blobCertificateHash } from "../header/header.ts";
import { mainnetSrsAnchor } from "../kzg/mainnet-srs.ts";
import { provableSymbolsMax } from "../kzg/srs.ts";
import { fromHex, hasVectors, readVectors } from "../testing/vectors.ts";
import { type Certificate, certificateHash, decodeCertificate, encodeCertificate } from "./certificate.ts";
import { buildBatch, rootFromProof } from "./merkle.ts";
import { certificateFromReply } from "./reply.ts";
import realV3 from "./v3-certificate.json" with { type: "json" };
import { verifyCertificate } from "./verify.ts";

const full = { level: "inclusion+signature", srs: mainnetSrsAnchor } as const;
const realV4 = v4FromV3(realV3.certificate);

it("verifies a real certificate in full", async () => {
  const verdict = await verifyCertificate(realV4, full);
  expect(verdict).toMatchObject({ ok: true, level: "inclusion+signature", blobKey: `0x${realV3.blobKey}` });
  expect(verdict.ok && verdict.signer.toLowerCase()).toBe(realV3.signer);
});

it("gives back the bytes it decodes, and hashes them", () => {
  const decoded = decodeCertificate(realV4);
  if (!decoded.ok) throw new Error(decoded.reason);
  expect(bytesToHex(encodeCertificate(decoded.value))).toBe(bytesToHex(realV4));
  expect(certificateHash(realV4)).toBe(keccak256(realV4));
});

it("refuses a certificate with any byte changed, except in the stake indices that only the chain reads", async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(realV4.length - 1), fc.integer({ min: 1, max: 255 }), async (index, mask) => {
      const changed = Uint8Array.from(realV4);
      changed[index] = changed[index]! ^ mask;
      const verdict = await verifyCertificate(changed, full);
      if (verdict.ok) expect(withoutStakeIndices(changed)).toEqual(withoutStakeIndices(realV4));
    }),
    { numRuns: 80 },
  );
});

it("never throws on bytes that are no certificate", () => {
  const nested = Uint8Array.from([0x03, ...new Array<number>(5000).fill(0xc1)]);
  const truncated = realV4.subarray(0, 500);
  const followed = Uint8Array.from([...realV4, 0]);
  const oversized = new Uint8Array(300_000).fill(3);
  for (const bytes of [
    new Uint8Array(),
    Uint8Array.of(3),
    Uint8Array.of(2, 0xc0),
    nested,
    truncated,
    followed,
    oversized,
  ]) {
    expect(decodeCertificate(bytes)).toMatchObject({ ok: false });
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(decodeCertificate(Uint8Array.from([3, ...bytes])).ok).toBe(false);
    }),
    { numRuns: 200 },
  );
});

it("refuses a blob longer than any whose length can be proven", async () => {
  const decoded = decodeCertificate(realV4);
  if (!decoded.ok) throw new Error(decoded.reason);
  const { header } = decoded.value;
  for (const length of [provableSymbolsMax, 2 * provableSymbolsMax, 2 ** 31]) {
    const commitment = { ...header.commitment, length };
    const bytes = encodeCertificate({ ...decoded.value, header: { ...header, commitment } });
    const isProvable = length === provableSymbolsMax;
    expect(await verifyCertificate(bytes, { level: "structure" })).toMatchObject({ ok: isProvable });
  }
});

it("refuses a quorum that did not sign, and one that was required and not asked", async () => {
  const decoded = decodeCertificate(realV4);
  if (!decoded.ok) throw new Error(decoded.reason);
  const { quorumApks } = decoded.value;
  const unsigned = encodeCertificate({
    ...decoded.value,
    signedQuorumNumbers: [0],
    quorumApks: quorumApks.slice(0, 1),
  });
  expect(await verifyCertificate(unsigned, full)).toEqual({ ok: false, reason: "Quorum 1 did not sign." });
  expect(await verifyCertificate(realV4, { ...full, requiredQuorums: [2] })).toMatchObject({ ok: false });
});

it("refuses keys and signatures at infinity, which sign everything, and a non-signer named twice", async () => {
  const decoded = decodeCertificate(realV4);
  if (!decoded.ok) throw new Error(decoded.reason);
  const { quorumApks, sigma } = decoded.value;
  const nowhere = quorumApks.map(() => g1Infinity);
  const changes: [Partial<Certificate>, string][] = [
    [{ sigma: g1Infinity, apkG2: g2Infinity, quorumApks: nowhere, nonSignerPubkeys: [] }, "infinity"],
    [{ sigma: g1Infinity }, "aggregate signature is the point at infinity"],
    [{ apkG2: g2Infinity }, "signers' key is the point at infinity"],
    [{ quorumApks: [g1Infinity, ...quorumApks.slice(1)] }, "quorum's key is the point at infinity"],
    [{ nonSignerPubkeys: [g1Infinity] }, "non-signer's key is the point at infinity"],
    [{ nonSignerPubkeys: [sigma, quorumApks[0]!, sigma] }, "named twice"],
  ];
  for (const [change, reason] of changes) {
    const verdict = await verifyCertificate(encodeCertificate({ ...decoded.value, ...change }), full);
    expect(verdict).toEqual({ ok: false, reason: expect.stringContaining(reason) });
  }
  const [mcl, message] = [await loadMcl(), new Uint8Array(32)];
  expect(isSignatureValid(mcl, message, g1Infinity, g2Infinity)).toBe(false);
  expect(isSameKey(mcl, g1Infinity, g2Infinity)).toBe(false);
});

it("proves every blob of batches of one to nine, and none at another place", () => {
  for (let count = 1; count <= 9; count++) {
    const hashes = Array.from({ length: count }, (_, index) => keccak256(Uint8Array.of(index)));
    const { root, proofs } = buildBatch(hashes);
    hashes.forEach((hash, index) => {
      expect(rootFromProof(hash, index, proofs[index]!)).toBe(root);
      expect(rootFromProof(hash, index + 1, proofs[index]!)).not.toBe(root);
    });
  }
  expect(rootFromProof(keccak256("0x00"), 0, "0x1234")).toBeNull();
});

it.skipIf(!hasVectors)(
  "builds and verifies a certificate from a real Holesky reply with a non-signer",
  async () => {
    const { holeskyBlobStatusReply: given } = readVectors();
    const settled = certificateFromReply(holeskyReply());
    if (!settled.ok) throw new Error(settled.reason);
    const { certificate, header, signedPercent } = settled.value;
    expect(header.paymentHeaderHash).toBe(`0x${given.expect.paymentHash}`);
    expect(header.blobKey).toBe(`0x${given.expect.blobKey}`);
    expect(blobCertificateHash(header.blobKey, certificate.signature, certificate.relayKeys)).toBe(
      `0x${given.expect.certHash}`,
    );
    expect([...signedPercent]).toEqual([
      [0, 80],
      [1, 100],
    ]);
    const verdict = await verifyCertificate(encodeCertificate(certificate), full);
    expect(verdict).toMatchObject({ ok: true, signer: given.accountId });
    const withoutNonSigner = encodeCertificate({ ...certificate, nonSignerPubkeys: [] });
    expect(await verifyCertificate(withoutNonSigner, full)).toMatchObject({ ok: false });
  },
);

it.skipIf(!hasVectors)("refuses replies that lack a part", async () => {
  const { signedBatch, blobInclusionInfo } = holeskyReply();
  const parts = [{}, { signedBatch: signedBatch! }, { blobInclusionInfo: blobInclusionInfo! }];
  for (const part of parts) {
    expect(certificateFromReply(create(BlobStatusReplySchema, part))).toMatchObject({ ok: false });
  }
});

function withoutStakeIndices(bytes: Uint8Array): Partial<Certificate> {
  const decoded = decodeCertificate(bytes);
  if (!decoded.ok) throw new Error(decoded.reason);
  const { stakeIndices: _, ...rest } = decoded.value;
  return rest;
}

/** A V4 certificate is a V3 certificate and the derivation version, 0. */
function v4FromV3(hex: string): Uint8Array {
  const fields = fromRlp(fromHex(hex).subarray(1), "hex");
  return Uint8Array.from([0x03, ...toRlp([...(fields as readonly `0x${string}`[]), "0x"], "bytes")]);
}

function holeskyReply() {
  const given = readVectors().holeskyBlobStatusReply;
  return create(BlobStatusReplySchema, {
    status: BlobStatus.COMPLETE,
    signedBatch: {
      header: {
        batchRoot: fromHex(given.batchRoot),
        referenceBlockNumber: BigInt(given.referenceBlockNumber),
      },
      attestation: {
        nonSignerPubkeys: given.nonSignerPubkeys.map(fromHex),
        apkG2: fromHex(given.apkG2),
        quorumApks: given.quorumApks.map(fromHex),
        sigma: fromHex(given.sigma),
        quorumNumbers: given.quorumNumbers,
        quorumSignedPercentages: fromHex(given.quorumSignedPercentages),
      },
    },
    blobInclusionInfo: {
      blobCertificate: {
        signature: fromHex(given.signature),
        relayKeys: given.relayKeys,
        blobHeader: {
          quorumNumbers: [0, 1],
          commitment: {
            commitment: fromHex(given.commitment),
            lengthCommitment: fromHex(given.lengthCommitment),
            lengthProof: fromHex(given.lengthProof),
            length: given.length,
          },
          paymentHeader: { accountId: given.accountId, timestamp: BigInt(given.timestampNs) },
        },
      },
    },
  });
}
