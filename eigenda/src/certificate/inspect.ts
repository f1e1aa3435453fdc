import { type Address, type Hex, hexToBytes, isHex } from "viem";
import type { CurveBackend } from "../curve/backend.ts";
import { loadMcl } from "../curve/mcl.ts";
import type { Decoded } from "../errors.ts";
import { blobKey } from "../header/header.ts";
import { recoverSigner } from "../header/signer.ts";
import { developmentSrsAnchor } from "../kzg/development-srs.ts";
import { mainnetSrsAnchor } from "../kzg/mainnet-srs.ts";
import { provableSymbolsMax } from "../kzg/srs.ts";
import { type Certificate, type CertificateVersion, decodeCertificate } from "./certificate.ts";
import { decodeCertificateAbi } from "./certificate-abi.ts";
import { checkAttestation, commitmentFault, inclusionFault, structureFault } from "./verify.ts";

/** What a certificate says and which of its own claims hold; each is true, or why not. Proves no stake. */
export type Inspection = {
  version: CertificateVersion;
  blobKey: Hex;
  /** The account that asked for the blob; null if the signature is nobody's. */
  signer: Address | null;
  structure: true | string;
  inclusion: true | string;
  bls: true | string;
  /** The name of the SRS under which the length proof holds; null if none known here. */
  kzg: string | null;
  lengthSymbols: number;
  referenceBlockNumber: number;
  quorums: readonly number[];
  relays: readonly number[];
  nonSigners: number;
};

/** Bytes before a certificate in OP Stack commitments: generic commitment, EigenDA. */
const optimismPrefix = [0x01, 0x00] as const;

/** Reads a certificate in any encoding known here: RLP after a version byte, the same in an OP Stack commitment, ABI; as bytes or as text in hex. */
export function readAnyCertificate(bytes: Uint8Array): Decoded<Certificate> {
  const text = Buffer.from(bytes.subarray(0, 600_000)).toString("latin1").trim();
  const hex = text.startsWith("0x") ? text : `0x${text}`;
  const raw = isHex(hex) && hex.length % 2 === 0 && hex.length > 2 ? hexToBytes(hex) : bytes;
  const candidates = [raw, raw.subarray(optimismPrefix.length)];
  const isOptimism = optimismPrefix.every((byte, index) => raw[index] === byte);
  const plain = decodeCertificate(candidates[isOptimism ? 1 : 0]!);
  if (plain.ok) return plain;
  const abi = decodeCertificateAbi(raw);
  return abi.ok ? abi : plain;
}

/** Checks each of a certificate's claims by itself. Some 50 CPU ms. */
export async function inspectCertificate(certificate: Certificate): Promise<Inspection> {
  const backend = await loadMcl();
  const key = blobKey(certificate.header);
  const signer = await recoverSigner(key, hexToBytes(certificate.signature));
  const { length } = certificate.header.commitment;
  const structure = structureFault(backend, certificate);
  const anchors = length > provableSymbolsMax ? [] : [mainnetSrsAnchor, developmentSrsAnchor];
  const proven = anchors.find((srs) => commitmentFault(backend, certificate, srs) === null);
  return {
    version: certificate.version,
    blobKey: key,
    signer: signer.ok ? signer.value : null,
    structure: structure ?? true,
    inclusion: inclusionFault(certificate, key) ?? true,
    bls: structure === null ? attestationOf(backend, certificate) : "not checked",
    kzg: structure === null ? (proven?.name ?? null) : null,
    lengthSymbols: length,
    referenceBlockNumber: certificate.referenceBlockNumber,
    quorums: certificate.header.quorumNumbers,
    relays: certificate.relayKeys,
    nonSigners: certificate.nonSignerPubkeys.length,
  };
}

function attestationOf(backend: CurveBackend, certificate: Certificate): true | string {
  const { fault, signerKey } = checkAttestation(backend, certificate);
  if (fault !== null) return fault;
  if (signerKey === "consistent") return true;
  return `The signature is right; with ${certificate.nonSignerPubkeys.length} non-signers only the registry tells whose it is.`;
}
