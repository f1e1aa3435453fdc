import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Third-party figures, kept beside the repository; TRIBUTARY_SHARED names another folder that holds vectors/. */
const folder = join(
  process.env.TRIBUTARY_SHARED ?? join(import.meta.dirname, "../../../../shared"),
  "vectors/eigenda",
);

export const hasVectors = existsSync(join(folder, "vectors.json"));
if (!hasVectors) console.warn(`SKIPPED: tests against third-party vectors; ${folder} is absent.`);

export type HoleskyReply = {
  batchRoot: string;
  referenceBlockNumber: number;
  nonSignerPubkeys: string[];
  apkG2: string;
  quorumApks: string[];
  sigma: string;
  quorumNumbers: number[];
  quorumSignedPercentages: string;
  commitment: string;
  lengthCommitment: string;
  lengthProof: string;
  length: number;
  accountId: string;
  timestampNs: string;
  signature: string;
  relayKeys: number[];
  expect: { paymentHash: string; blobKey: string; certHash: string };
};

export type Vectors = {
  paymentHash: { accountId: `0x${string}`; timestamp: string; cumulativePayment: string; expect: string }[];
  batchHeaderHash: { root: string; referenceBlockNumber: number; expect: string }[];
  payloadCodec: { payload: string; encoded: string }[];
  evalForm: { payload: string; blob: string }[];
  compressedPoints: { g1: string[]; g2: string[] };
  account: { privateKey: string; address: string };
  operatorId: { g1Generator: string };
  /** Of a blob whose payload is known, with `signature` 010203 and `relayKeys` 4, 5, 6. Its G2 points are not at hand, so that the key is taken as given. */
  gettysburgUnderMainnetSrs: { blobKey: string; blobCertHash: string };
  holeskyBlobStatusReply: HoleskyReply;
};

export function readVectors(): Vectors {
  return JSON.parse(readFileSync(join(folder, "vectors.json"), "utf8")) as Vectors;
}

export function vectorPath(name: string): string {
  return join(folder, name);
}

export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, "hex"));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
