import { equals } from "@bufbuild/protobuf";
import { bytesToHex } from "viem";
import { decompressG1, decompressG2, type G1, type G2 } from "../curve/points.ts";
import type { Decoded } from "../errors.ts";
import { BlobHeaderSchema } from "../gen/blob_header_pb.ts";
import type { Attestation, BlobStatusReply } from "../gen/disperser_pb.ts";
import { headerFromMessage, headerToMessage, quorumNumberMax, type RequestHeader } from "../header/wire.ts";
import {
  type Certificate,
  type CertificateVersion,
  certificateBytesMax,
  nonSignersMax,
  quorumsMax,
  type StakeIndices,
} from "./certificate.ts";

/** What a disperser says of a finished blob, read but not verified. */
export type SettledBlob = {
  certificate: Certificate;
  /** The header as the disperser repeats it. */
  header: RequestHeader;
  /** Share of stake that signed, by quorum number, 0 to 100. Said by the disperser; not in the certificate. */
  signedPercent: ReadonlyMap<number, number>;
};

const uint32Max = 0xffff_ffffn;

/** More do not fit into a certificate in ABI, a word each. */
const relayKeysMax = certificateBytesMax / 32;

/**
 * Builds the certificate from a status reply. Quorums are put in ascending order with their keys.
 * A header that is `expected` is not computed with again, which it would be for its key.
 * The stake indices are zero: the registry contracts know them (contracts.ts), and `checkDACert` refuses a certificate without them.
 */
export function certificateFromReply(
  reply: BlobStatusReply,
  version: CertificateVersion = 4,
  expected: RequestHeader | null = null,
): Decoded<SettledBlob> {
  const { signedBatch, blobInclusionInfo } = reply;
  const blobCertificate = blobInclusionInfo?.blobCertificate;
  const batch = signedBatch?.header;
  if (batch === undefined || blobCertificate?.blobHeader === undefined)
    return refuse("it lacks the batch or the inclusion");
  if (batch.batchRoot.length !== 32) return refuse("its batch root is not 32 bytes");
  if (batch.referenceBlockNumber > uint32Max) return refuse("its reference block is above 2^32");
  if (blobCertificate.relayKeys.length > relayKeysMax)
    return refuse(`it names more than ${relayKeysMax} relays`);
  const header =
    expected !== null && equals(BlobHeaderSchema, blobCertificate.blobHeader, headerToMessage(expected))
      ? { ok: true as const, value: expected }
      : headerFromMessage(blobCertificate.blobHeader);
  if (!header.ok) return refuse(header.reason);
  const attestation = readAttestation(signedBatch?.attestation);
  if (!attestation.ok) return attestation;
  const { quorums, ...aggregate } = attestation.value;
  const certificate: Certificate = {
    version,
    batchRoot: bytesToHex(batch.batchRoot),
    referenceBlockNumber: Number(batch.referenceBlockNumber),
    header: header.value,
    signature: bytesToHex(blobCertificate.signature),
    relayKeys: blobCertificate.relayKeys,
    blobIndex: blobInclusionInfo?.blobIndex ?? 0,
    inclusionProof: bytesToHex(blobInclusionInfo?.inclusionProof ?? new Uint8Array()),
    ...aggregate,
    quorumApks: quorums.map(({ apk }) => apk),
    stakeIndices: zeroIndices(quorums.length, aggregate.nonSignerPubkeys.length),
    signedQuorumNumbers: quorums.map(({ number }) => number),
    offchainDerivationVersion: 0,
  };
  const signedPercent = new Map(quorums.map(({ number, percent }) => [number, percent]));
  return { ok: true, value: { certificate, header: header.value, signedPercent } };
}

type Quorum = { number: number; apk: G1; percent: number };
type ReadAttestation = { quorums: Quorum[]; nonSignerPubkeys: G1[]; apkG2: G2; sigma: G1 };

function readAttestation(attestation: Attestation | undefined): Decoded<ReadAttestation> {
  if (attestation === undefined) return refuse("it lacks the attestation");
  const { quorumNumbers, quorumApks, quorumSignedPercentages, nonSignerPubkeys } = attestation;
  if (quorumApks.length !== quorumNumbers.length || quorumSignedPercentages.length !== quorumNumbers.length) {
    return refuse("its quorums, keys and percentages differ in number");
  }
  if (quorumNumbers.length > quorumsMax || nonSignerPubkeys.length > nonSignersMax)
    return refuse(`it names more than ${quorumsMax} quorums or ${nonSignersMax} non-signers`);
  if (quorumNumbers.some((number) => number > quorumNumberMax)) return refuse("a quorum number is above 255");
  const apks = readAll(quorumApks);
  if (!apks.ok) return apks;
  const nonSigners = readAll(nonSignerPubkeys);
  if (!nonSigners.ok) return nonSigners;
  const apkG2 = decompressG2(attestation.apkG2);
  if (!apkG2.ok) return refuse(apkG2.reason);
  const sigma = decompressG1(attestation.sigma);
  if (!sigma.ok) return refuse(sigma.reason);
  const quorums = quorumNumbers.map((number, index) => ({
    number,
    apk: apks.value[index]!,
    percent: quorumSignedPercentages[index]!,
  }));
  quorums.sort((a, b) => a.number - b.number);
  return {
    ok: true,
    value: { quorums, nonSignerPubkeys: nonSigners.value, apkG2: apkG2.value, sigma: sigma.value },
  };
}

function readAll(compressed: readonly Uint8Array[]): Decoded<G1[]> {
  const points: G1[] = [];
  for (const bytes of compressed) {
    const point = decompressG1(bytes);
    if (!point.ok) return refuse(point.reason);
    points.push(point.value);
  }
  return { ok: true, value: points };
}

function zeroIndices(quorums: number, nonSigners: number): StakeIndices {
  const zeros = (count: number) => Array.from({ length: count }, () => 0);
  return {
    nonSignerQuorumBitmapIndices: zeros(nonSigners),
    quorumApkIndices: zeros(quorums),
    totalStakeIndices: zeros(quorums),
    nonSignerStakeIndices: Array.from({ length: quorums }, () => zeros(nonSigners)),
  };
}

function refuse(reason: string): { ok: false; reason: string } {
  return { ok: false, reason: `The status reply is malformed: ${reason}.` };
}
