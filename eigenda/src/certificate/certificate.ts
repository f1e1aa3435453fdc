import { BaseError, bytesToHex, fromRlp, type Hex, hexToBytes, keccak256, numberToHex, toRlp } from "viem";
import { isPowerOfTwo } from "../curve/field.ts";
import { type G1, type G2, isOnCurveG1, isOnCurveG2 } from "../curve/points.ts";
import type { Decoded } from "../errors.ts";
import { type BlobHeader, quorumBytes } from "../header/header.ts";

/** Where the registry contracts find the stakes behind an attestation. Only an on-chain check reads these. */
export type StakeIndices = {
  nonSignerQuorumBitmapIndices: readonly number[];
  quorumApkIndices: readonly number[];
  totalStakeIndices: readonly number[];
  nonSignerStakeIndices: readonly (readonly number[])[];
};

/** Versions read and written here. V4 is V3 and the derivation version. */
export type CertificateVersion = 3 | 4;

/** EigenDA certificate: a batch header, a blob's place in the batch, and the batch's aggregate signature. */
export type Certificate = {
  version: CertificateVersion;
  batchRoot: Hex;
  referenceBlockNumber: number;
  header: BlobHeader;
  /** The account's signature over the blob key, 65 bytes. */
  signature: Hex;
  relayKeys: readonly number[];
  blobIndex: number;
  inclusionProof: Hex;
  nonSignerPubkeys: readonly G1[];
  /** In the order of `signedQuorumNumbers`, ascending. */
  quorumApks: readonly G1[];
  apkG2: G2;
  sigma: G1;
  stakeIndices: StakeIndices;
  signedQuorumNumbers: readonly number[];
  /** Always 0 in V3, which does not say it. */
  offchainDerivationVersion: number;
};

/** Certificate version minus one, as proxies write it before the RLP. */
const versionBytes: Record<CertificateVersion, number> = { 3: 0x02, 4: 0x03 };

/** The contracts' limit on a certificate's size. */
export const certificateBytesMax = 262_144;

/** The contracts' limits on quorums that sign and on keys of operators that do not. */
export const quorumsMax = 5;
export const nonSignersMax = 415;

const uint16Max = 0xffff;
const uint32Max = 0xffff_ffff;

type RlpNode = Hex | RlpNode[];

/** Canonical bytes: version − 1 ‖ RLP of the tuple, integers minimal, G2 words c1 before c0. */
export function encodeCertificate(certificate: Certificate): Uint8Array {
  return Uint8Array.from([versionBytes[certificate.version], ...toRlp(toTuple(certificate), "bytes")]);
}

/** keccak256 of the canonical bytes: what stands on chain for the certificate. */
export function certificateHash(certificate: Uint8Array): Hex {
  return keccak256(certificate);
}

/**
 * Strict inverse of `encodeCertificate`: one encoding for each certificate, points on their curves, length a power of two.
 * Says nothing about signatures or inclusion: see verify.ts.
 */
export function decodeCertificate(bytes: Uint8Array): Decoded<Certificate> {
  if (bytes.length > certificateBytesMax)
    return { ok: false, reason: `The certificate is too large: ${bytes.length} bytes.` };
  const version = ([3, 4] as const).find((known) => versionBytes[known] === bytes[0]);
  if (version === undefined)
    return { ok: false, reason: `The certificate's version byte is unknown: ${bytes[0]}.` };
  try {
    const certificate = fromTuple(version, fromRlp(bytes.subarray(1), "hex") as RlpNode);
    if (bytesToHex(encodeCertificate(certificate)) !== bytesToHex(bytes))
      throw new MalformedCertificateError("it is not in canonical form");
    return { ok: true, value: certificate };
  } catch (error) {
    // Both mean that the bytes are no certificate; anything else is our bug.
    if (!(error instanceof MalformedCertificateError || error instanceof BaseError)) throw error;
    return { ok: false, reason: `The certificate is malformed: ${error.message.split("\n")[0]}.` };
  }
}

function toTuple(certificate: Certificate): RlpNode[] {
  const { header, stakeIndices } = certificate;
  const { commitment, lengthCommitment, lengthProof, length } = header.commitment;
  const commitmentNode = [g1Node(commitment), g2Node(lengthCommitment), g2Node(lengthProof), integer(length)];
  const headerNode = [
    integer(header.version),
    quorumBytes(header.quorumNumbers),
    commitmentNode,
    header.paymentHeaderHash,
  ];
  return [
    [certificate.batchRoot, integer(certificate.referenceBlockNumber)],
    [
      [headerNode, certificate.signature, certificate.relayKeys.map(integer)],
      integer(certificate.blobIndex),
      certificate.inclusionProof,
    ],
    [
      stakeIndices.nonSignerQuorumBitmapIndices.map(integer),
      certificate.nonSignerPubkeys.map(g1Node),
      certificate.quorumApks.map(g1Node),
      g2Node(certificate.apkG2),
      g1Node(certificate.sigma),
      stakeIndices.quorumApkIndices.map(integer),
      stakeIndices.totalStakeIndices.map(integer),
      stakeIndices.nonSignerStakeIndices.map((row) => row.map(integer)),
    ],
    quorumBytes(certificate.signedQuorumNumbers),
    ...(certificate.version === 4 ? [integer(certificate.offchainDerivationVersion)] : []),
  ];
}

function fromTuple(version: CertificateVersion, node: RlpNode): Certificate {
  const [batch, inclusion, attestation, signedQuorums, derivation] = fields(node, version === 4 ? 5 : 4);
  const [batchRoot, referenceBlock] = fields(batch!, 2);
  const [blobCertificate, blobIndex, inclusionProof] = fields(inclusion!, 3);
  const [header, signature, relayKeys] = fields(blobCertificate!, 3);
  const [bitmaps, nonSigners, apks, apkG2, sigma, apkIndices, stakeTotals, stakeRows] = fields(
    attestation!,
    8,
  );
  return {
    version,
    batchRoot: word(batchRoot!),
    referenceBlockNumber: readInteger(referenceBlock!, uint32Max),
    header: readHeader(header!),
    signature: text(signature!),
    relayKeys: list(relayKeys!).map(readUint32),
    blobIndex: readUint32(blobIndex!),
    inclusionProof: text(inclusionProof!),
    nonSignerPubkeys: list(nonSigners!).map(readG1),
    quorumApks: list(apks!).map(readG1),
    apkG2: readG2(apkG2!),
    sigma: readG1(sigma!),
    stakeIndices: {
      nonSignerQuorumBitmapIndices: list(bitmaps!).map(readUint32),
      quorumApkIndices: list(apkIndices!).map(readUint32),
      totalStakeIndices: list(stakeTotals!).map(readUint32),
      nonSignerStakeIndices: list(stakeRows!).map((row) => list(row).map(readUint32)),
    },
    signedQuorumNumbers: readQuorums(signedQuorums!),
    offchainDerivationVersion: derivation === undefined ? 0 : readInteger(derivation, uint16Max),
  };
}

function readHeader(node: RlpNode): BlobHeader {
  const [version, quorums, commitment, paymentHeaderHash] = fields(node, 4);
  const [point, lengthCommitment, lengthProof, length] = fields(commitment!, 4);
  const symbols = readUint32(length!);
  if (!isPowerOfTwo(symbols)) throw new MalformedCertificateError("its length is not a power of two");
  return {
    version: readInteger(version!, uint16Max),
    quorumNumbers: readQuorums(quorums!),
    commitment: {
      commitment: readG1(point!),
      lengthCommitment: readG2(lengthCommitment!),
      lengthProof: readG2(lengthProof!),
      length: symbols,
    },
    paymentHeaderHash: word(paymentHeaderHash!),
  };
}

function integer(value: number | bigint): Hex {
  return value === 0 || value === 0n ? "0x" : evenHex(numberToHex(value));
}

function evenHex(hex: Hex): Hex {
  return hex.length % 2 === 0 ? hex : `0x0${hex.slice(2)}`;
}

function g1Node(point: G1): RlpNode[] {
  return [integer(point.x), integer(point.y)];
}

function g2Node(point: G2): RlpNode[] {
  return [
    [integer(point.x.c1), integer(point.x.c0)],
    [integer(point.y.c1), integer(point.y.c0)],
  ];
}

function list(node: RlpNode): RlpNode[] {
  if (typeof node === "string") throw new MalformedCertificateError("bytes stand where a list belongs");
  return node;
}

function fields(node: RlpNode, count: number): RlpNode[] {
  const nodes = list(node);
  if (nodes.length !== count)
    throw new MalformedCertificateError(`a tuple has ${nodes.length} fields, not ${count}`);
  return nodes;
}

function text(node: RlpNode): Hex {
  if (typeof node !== "string") throw new MalformedCertificateError("a list stands where bytes belong");
  return node;
}

function word(node: RlpNode): Hex {
  const hex = text(node);
  if (hex.length !== 66) throw new MalformedCertificateError("a hash is not 32 bytes");
  return hex;
}

function readBigint(node: RlpNode): bigint {
  const hex = text(node);
  if (hex.length > 66) throw new MalformedCertificateError("an integer is above 2^256");
  return hex === "0x" ? 0n : BigInt(hex);
}

function readInteger(node: RlpNode, max: number): number {
  const value = readBigint(node);
  if (value > BigInt(max)) throw new MalformedCertificateError(`an integer is above ${max}`);
  return Number(value);
}

function readUint32(node: RlpNode): number {
  return readInteger(node, uint32Max);
}

function readQuorums(node: RlpNode): number[] {
  const quorums = [...hexToBytes(text(node))];
  if (new Set(quorums).size !== quorums.length)
    throw new MalformedCertificateError("a quorum is named twice");
  return quorums;
}

function readG1(node: RlpNode): G1 {
  const [x, y] = fields(node, 2);
  const point = { x: readBigint(x!), y: readBigint(y!) };
  if (!isOnCurveG1(point)) throw new MalformedCertificateError("a point is not on the curve");
  return point;
}

function readG2(node: RlpNode): G2 {
  const [x, y] = fields(node, 2).map((coordinate) => {
    const [c1, c0] = fields(coordinate, 2);
    return { c0: readBigint(c0!), c1: readBigint(c1!) };
  });
  const point = { x: x!, y: y! };
  if (!isOnCurveG2(point)) throw new MalformedCertificateError("a point is not on the curve");
  return point;
}

/** Only ever thrown and caught inside `decodeCertificate`. */
class MalformedCertificateError extends Error {}
