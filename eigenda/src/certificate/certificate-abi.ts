import {
  BaseError,
  type DecodeAbiParametersReturnType,
  decodeAbiParameters,
  encodeAbiParameters,
  hexToBytes,
} from "viem";
import { isPowerOfTwo } from "../curve/field.ts";
import { type G1, type G2, isOnCurveG1, isOnCurveG2 } from "../curve/points.ts";
import type { Decoded } from "../errors.ts";
import { commitmentAbi, g1Abi, g2Abi, g2Words, quorumBytes } from "../header/header.ts";
import { type Certificate, type CertificateVersion, certificateBytesMax } from "./certificate.ts";

/** Tuples in the order of contracts/src/integrations/cert/EigenDACertTypes.sol, Layr-Labs/eigenda @ 61019b4e9f91. */
const batchHeaderAbi = {
  name: "batchHeader",
  type: "tuple",
  components: [
    { name: "batchRoot", type: "bytes32" },
    { name: "referenceBlockNumber", type: "uint32" },
  ],
} as const;

const blobHeaderAbi = {
  name: "blobHeader",
  type: "tuple",
  components: [
    { name: "version", type: "uint16" },
    { name: "quorumNumbers", type: "bytes" },
    { ...commitmentAbi, name: "commitment" },
    { name: "paymentHeaderHash", type: "bytes32" },
  ],
} as const;

const inclusionAbi = {
  name: "blobInclusionInfo",
  type: "tuple",
  components: [
    {
      name: "blobCertificate",
      type: "tuple",
      components: [
        blobHeaderAbi,
        { name: "signature", type: "bytes" },
        { name: "relayKeys", type: "uint32[]" },
      ],
    },
    { name: "blobIndex", type: "uint32" },
    { name: "inclusionProof", type: "bytes" },
  ],
} as const;

const attestationAbi = {
  name: "nonSignerStakesAndSignature",
  type: "tuple",
  components: [
    { name: "nonSignerQuorumBitmapIndices", type: "uint32[]" },
    { ...g1Abi, name: "nonSignerPubkeys", type: "tuple[]" },
    { ...g1Abi, name: "quorumApks", type: "tuple[]" },
    { ...g2Abi, name: "apkG2" },
    { ...g1Abi, name: "sigma" },
    { name: "quorumApkIndices", type: "uint32[]" },
    { name: "totalStakeIndices", type: "uint32[]" },
    { name: "nonSignerStakeIndices", type: "uint32[][]" },
  ],
} as const;

const fieldsV3 = [
  batchHeaderAbi,
  inclusionAbi,
  attestationAbi,
  { name: "signedQuorumNumbers", type: "bytes" },
] as const;
const v3Abi = [{ type: "tuple", components: fieldsV3 }] as const;
const v4Abi = [
  { type: "tuple", components: [...fieldsV3, { name: "offchainDerivationVersion", type: "uint16" }] },
] as const;

type TupleV3 = DecodeAbiParametersReturnType<typeof v3Abi>[0];

/** Where the first dynamic field stands in the tuple's head tells its length, and so its version. */
const firstOffsets: Record<CertificateVersion, number> = { 3: 5 * 32, 4: 6 * 32 };
const firstOffsetAt = 3 * 32;

/** abi.encode(certificate): what the contracts' `checkDACert` takes. */
export function encodeCertificateAbi(certificate: Certificate): Uint8Array {
  const tuple = toTuple(certificate);
  const { offchainDerivationVersion } = certificate;
  return hexToBytes(
    certificate.version === 4
      ? encodeAbiParameters(v4Abi, [{ ...tuple, offchainDerivationVersion }])
      : encodeAbiParameters(v3Abi, [tuple]),
  );
}

/** Strict inverse of `encodeCertificateAbi`, as strict as `decodeCertificate`: one encoding for each certificate. */
export function decodeCertificateAbi(bytes: Uint8Array): Decoded<Certificate> {
  if (bytes.length > certificateBytesMax) return refuse(`it is too large: ${bytes.length} bytes`);
  const version = versionOf(bytes);
  if (version === null) return refuse("it starts like no version known");
  try {
    const certificate = readTuple(version, bytes);
    const fault = pointFault(certificate);
    if (fault !== null) return refuse(fault);
    if (Buffer.compare(encodeCertificateAbi(certificate), bytes) !== 0)
      return refuse("it is not in canonical form");
    return { ok: true, value: certificate };
  } catch (error) {
    // viem throws these for bytes that are no such tuple; anything else is our bug.
    if (!(error instanceof BaseError)) throw error;
    return refuse(error.shortMessage);
  }
}

function versionOf(bytes: Uint8Array): CertificateVersion | null {
  if (bytes.length < firstOffsetAt + 32) return null;
  const offset = Buffer.from(bytes.subarray(firstOffsetAt, firstOffsetAt + 32)).toString("hex");
  const isAt = (version: CertificateVersion) => BigInt(`0x${offset}`) === BigInt(firstOffsets[version]);
  return ([3, 4] as const).find(isAt) ?? null;
}

function readTuple(version: CertificateVersion, bytes: Uint8Array): Certificate {
  if (version === 3) return fromTuple(3, decodeAbiParameters(v3Abi, bytes)[0], 0);
  const [tuple] = decodeAbiParameters(v4Abi, bytes);
  return fromTuple(4, tuple, tuple.offchainDerivationVersion);
}

function toTuple(certificate: Certificate): TupleV3 {
  const { header, stakeIndices } = certificate;
  const { commitment, lengthCommitment, lengthProof, length } = header.commitment;
  return {
    batchHeader: {
      batchRoot: certificate.batchRoot,
      referenceBlockNumber: certificate.referenceBlockNumber,
    },
    blobInclusionInfo: {
      blobCertificate: {
        blobHeader: {
          version: header.version,
          quorumNumbers: quorumBytes(header.quorumNumbers),
          commitment: {
            commitment,
            lengthCommitment: g2Words(lengthCommitment),
            lengthProof: g2Words(lengthProof),
            length,
          },
          paymentHeaderHash: header.paymentHeaderHash,
        },
        signature: certificate.signature,
        relayKeys: certificate.relayKeys,
      },
      blobIndex: certificate.blobIndex,
      inclusionProof: certificate.inclusionProof,
    },
    nonSignerStakesAndSignature: {
      ...stakeIndices,
      nonSignerPubkeys: certificate.nonSignerPubkeys,
      quorumApks: certificate.quorumApks,
      apkG2: g2Words(certificate.apkG2),
      sigma: certificate.sigma,
    },
    signedQuorumNumbers: quorumBytes(certificate.signedQuorumNumbers),
  };
}

function fromTuple(
  version: CertificateVersion,
  tuple: TupleV3,
  offchainDerivationVersion: number,
): Certificate {
  const { blobCertificate, blobIndex, inclusionProof } = tuple.blobInclusionInfo;
  const { blobHeader, signature, relayKeys } = blobCertificate;
  const { nonSignerPubkeys, quorumApks, apkG2, sigma, ...stakeIndices } = tuple.nonSignerStakesAndSignature;
  const { commitment, lengthCommitment, lengthProof, length } = blobHeader.commitment;
  return {
    version,
    ...tuple.batchHeader,
    header: {
      version: blobHeader.version,
      quorumNumbers: [...hexToBytes(blobHeader.quorumNumbers)],
      commitment: {
        commitment,
        lengthCommitment: fromWords(lengthCommitment),
        lengthProof: fromWords(lengthProof),
        length,
      },
      paymentHeaderHash: blobHeader.paymentHeaderHash,
    },
    signature,
    relayKeys,
    blobIndex,
    inclusionProof,
    nonSignerPubkeys,
    quorumApks,
    apkG2: fromWords(apkG2),
    sigma,
    stakeIndices,
    signedQuorumNumbers: [...hexToBytes(tuple.signedQuorumNumbers)],
    offchainDerivationVersion,
  };
}

/** What the ABI cannot say: points on their curves, a length that is a power of two, no quorum twice. */
function pointFault(certificate: Certificate): string | null {
  const { header, nonSignerPubkeys, quorumApks, apkG2, sigma, signedQuorumNumbers } = certificate;
  const { commitment, lengthCommitment, lengthProof, length } = header.commitment;
  const g1: readonly G1[] = [commitment, sigma, ...nonSignerPubkeys, ...quorumApks];
  const g2: readonly G2[] = [lengthCommitment, lengthProof, apkG2];
  if (!g1.every(isOnCurveG1) || !g2.every(isOnCurveG2)) return "a point is not on the curve";
  if (!isPowerOfTwo(length)) return "its length is not a power of two";
  const isTwice = [header.quorumNumbers, signedQuorumNumbers].some(
    (quorums) => new Set(quorums).size !== quorums.length,
  );
  return isTwice ? "a quorum is named twice" : null;
}

function fromWords({ x, y }: { x: readonly [bigint, bigint]; y: readonly [bigint, bigint] }): G2 {
  return { x: { c1: x[0], c0: x[1] }, y: { c1: y[0], c0: y[1] } };
}

function refuse(why: string): { ok: false; reason: string } {
  return { ok: false, reason: `The certificate is malformed: ${why}.` };
}
