import { type Hex, hexToBytes, keccak256, stringToBytes } from "viem";
import type { CurveBackend } from "../curve/backend.ts";
import { hashToG1 } from "../curve/bls.ts";
import { bigintFromBytes, frModulus } from "../curve/field.ts";
import {
  compressG1,
  compressG2,
  type G1,
  type G2,
  g1Generator,
  g1Infinity,
  g2Generator,
  g2Infinity,
} from "../curve/points.ts";
import { batchHeaderHash } from "../header/header.ts";

/** One local operator: a BLS key derived from its number, and a stake that nobody staked. It is in every quorum. */
export type Operator = { secret: bigint; publicG1: G1; publicG2: G2; stake: number };

/** Shares of the invented stake, in percent. */
const stakes: readonly number[] = [40, 30, 20, 10];

export const quorumCount = 2;

/** An attestation's fields as they go on the wire. */
export type SignedBatchFields = {
  header: { batchRoot: Uint8Array; referenceBlockNumber: bigint };
  attestation: {
    nonSignerPubkeys: Uint8Array[];
    apkG2: Uint8Array;
    quorumApks: Uint8Array[];
    sigma: Uint8Array;
    quorumNumbers: number[];
    quorumSignedPercentages: Uint8Array;
  };
};

export function developmentOperators(backend: CurveBackend): Operator[] {
  return stakes.map((stake, index) => {
    const seed = keccak256(stringToBytes(`tributary eigenda development operator ${index}`));
    const secret = bigintFromBytes(hexToBytes(seed)) % frModulus;
    return {
      secret,
      stake,
      publicG1: backend.mulG1(g1Generator, secret),
      publicG2: backend.mulG2(g2Generator, secret),
    };
  });
}

/**
 * A real aggregate BLS signature of a batch by the operators that `signs` chooses. As in EigenLayer, an operator counts once
 * for each quorum it is in, so signature and key are summed over quorums.
 */
export function attest(
  backend: CurveBackend,
  operators: readonly Operator[],
  batch: { root: Hex; referenceBlockNumber: number },
  signs: (operator: Operator, index: number) => boolean,
): SignedBatchFields {
  const signers = operators.filter(signs);
  const message = hashToG1(hexToBytes(batchHeaderHash(batch.root, batch.referenceBlockNumber)));
  const secret = signers.reduce((sum, signer) => sum + signer.secret, 0n) * BigInt(quorumCount);
  const apkG2 = signers.reduce((sum, signer) => backend.addG2(sum, signer.publicG2), g2Infinity);
  const quorumApk = operators.reduce((sum, operator) => backend.addG1(sum, operator.publicG1), g1Infinity);
  const quorumNumbers = Array.from({ length: quorumCount }, (_, quorum) => quorum);
  const percent = signers.reduce((sum, signer) => sum + signer.stake, 0);
  return {
    header: { batchRoot: hexToBytes(batch.root), referenceBlockNumber: BigInt(batch.referenceBlockNumber) },
    attestation: {
      nonSignerPubkeys: operators
        .filter((operator) => !signers.includes(operator))
        .map(({ publicG1 }) => compressG1(publicG1)),
      apkG2: compressG2(backend.mulG2(apkG2, BigInt(quorumCount))),
      quorumApks: quorumNumbers.map(() => compressG1(quorumApk)),
      sigma: compressG1(backend.mulG1(message, secret)),
      quorumNumbers,
      quorumSignedPercentages: Uint8Array.from(quorumNumbers, () => percent),
    },
  };
}
