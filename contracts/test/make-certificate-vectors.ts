/**
 * Writes `vectors/certificate.json`: EigenDA certificates as they stand in our events (version byte and RLP), and as
 * EigenDA's verifier takes them (abi.encode), made by `eigenda/`; `DaCert.t.sol` decodes the first to the second.
 *
 *   node contracts/test/make-certificate-vectors.ts           write
 *   node contracts/test/make-certificate-vectors.ts --check   fail where the committed file differs
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bytesToHex, type Hex, hexToBytes } from "viem";
import {
  type Certificate,
  decodeCertificate,
  encodeCertificate,
} from "../../eigenda/src/certificate/certificate.ts";
import { encodeCertificateAbi } from "../../eigenda/src/certificate/certificate-abi.ts";
import { invariant } from "../../schema/errors.ts";
import { rootDir } from "../forge.ts";

const path = join(rootDir, "vectors", "certificate.json");
const source = join(rootDir, "eigenda/src/certificate/v3-certificate.json");

function generate(): string {
  const { certificate } = JSON.parse(readFileSync(source, "utf8")) as { certificate: string };
  const decoded = decodeCertificate(hexToBytes(`0x${certificate.replace(/^0x/, "")}` as Hex));
  invariant(decoded.ok, "the third party's certificate decodes");
  const v3 = decoded.value;
  const v4: Certificate = { ...v3, version: 4, offchainDerivationVersion: 0x0102 };
  const generator = { x: 1n, y: 2n };
  const absent: Certificate = {
    ...v4,
    referenceBlockNumber: 0xffff_ffff,
    relayKeys: [0, 0xffff_ffff],
    nonSignerPubkeys: [v3.sigma, generator],
    stakeIndices: {
      nonSignerQuorumBitmapIndices: [7, 0],
      quorumApkIndices: [1, 2, 3],
      totalStakeIndices: [],
      nonSignerStakeIndices: [[], [5], [6, 0x01_00_00]],
    },
  };
  const cases = [v3, v4, absent];
  const file = {
    count: cases.length,
    daCommitment: cases.map((c) => bytesToHex(encodeCertificate(c))),
    abiEncoded: cases.map((c) => bytesToHex(encodeCertificateAbi(c))),
    referenceBlockNumber: cases.map((c) => c.referenceBlockNumber),
  };
  return `${JSON.stringify(file, null, 2)}\n`;
}

const text = generate();
if (!process.argv.includes("--check")) writeFileSync(path, text);
else if (readFileSync(path, "utf8") !== text) {
  process.stderr.write(`stale: ${path}. Run \`node contracts/test/make-certificate-vectors.ts\`.\n`);
  process.exitCode = 1;
}
