/** The package's public interface. The development disperser is a program, not a part of it: see dev/main.ts. */

export {
  Archive,
  type ArchiveEntry,
  type ArchiveOptions,
  type EntryState,
  retentionMs,
  type Sweep,
  sweepFigures,
  sweepMetrics,
} from "./archive/archive.ts";
export { directoryStore, type ObjectStore, type S3Options, s3Store } from "./archive/object-store.ts";
export {
  type Certificate,
  type CertificateVersion,
  certificateHash,
  decodeCertificate,
  encodeCertificate,
} from "./certificate/certificate.ts";
export { decodeCertificateAbi, encodeCertificateAbi } from "./certificate/certificate-abi.ts";
export {
  type ContractName,
  contractAddress,
  type Network,
  networks,
  registryRelayUrl,
  withStakeIndices,
} from "./certificate/contracts.ts";
export { type Inspection, inspectCertificate, readAnyCertificate } from "./certificate/inspect.ts";
export {
  type Verdict,
  type VerificationLevel,
  type VerifyOptions,
  verifyCertificate,
} from "./certificate/verify.ts";
export { type BlobSource, retrievePayload } from "./client/blob-source.ts";
export {
  type BlobReport,
  type BlobStatusName,
  type Dispersal,
  type DisperseOptions,
  DisperserClient,
  type DisperserClientOptions,
} from "./client/disperser-client.ts";
export { ProxyClient, type ProxyClientOptions } from "./client/proxy-client.ts";
export { RelayClient, type RelayClientOptions } from "./client/relay-client.ts";
export { decodeBlob, encodeBlob, type PolynomialForm } from "./codec/blob.ts";
export { payloadBytesMax } from "./codec/payload.ts";
export { type Decoded, EigenDaError, type EigenDaErrorKind } from "./errors.ts";
export { blobKey } from "./header/header.ts";
export { developmentSrs, developmentSrsAnchor } from "./kzg/development-srs.ts";
export { downloadedSrs, type SrsDownload } from "./kzg/downloaded-srs.ts";
export { filePrefixSrs, fileSrs, type SrsFile, type SrsFiles } from "./kzg/file-srs.ts";
export { mainnetSrsAnchor } from "./kzg/mainnet-srs.ts";
export type { Srs, SrsAnchor } from "./kzg/srs.ts";
export type { PaymentMode, PaymentState } from "./payment/payer.ts";
export { type PayingAccount, PaymentLedger } from "./payment/payment-ledger.ts";
