/**
 * Writes `vectors/leaf.json`: what Solidity and TypeScript must compute alike. Reward trees come from
 * @openzeppelin/merkle-tree, digests from viem, so neither side of the comparison is our own code.
 *
 *   node contracts/test/make-leaf-vectors.ts           write
 *   node contracts/test/make-leaf-vectors.ts --check   fail where the committed file differs
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { StandardMerkleTree } from "@openzeppelin/merkle-tree";
import {
  type Address,
  getAddress,
  type Hex,
  hashTypedData,
  keccak256,
  numberToHex,
  slice,
  type TypedData,
  toHex,
  zeroAddress,
} from "viem";
import { rootDir } from "../forge.ts";

const chainId = 161_201;
const distributor = addressOf("distributor");
const hub = addressOf("hub");
const escrow = addressOf("escrow");
const uint128Max = 2n ** 128n - 1n;

function bytes32Of(label: string): Hex {
  return keccak256(toHex(label));
}

function addressOf(label: string): Address {
  return getAddress(slice(bytes32Of(label), 12));
}

/** A tree of `count` accounts: amounts from one wei up to 2^128 − 1. */
function rewardTree(count: number) {
  const rewards = Array.from({ length: count }, (_, index) => ({
    account: addressOf(`account ${count}/${index}`),
    cumulative:
      index === 0 ? 1n : index === 1 ? uint128Max : BigInt(bytes32Of(`amount ${count}/${index}`)) >> 170n,
  }));
  const rows = rewards.map(({ account, cumulative }) => [
    chainId,
    distributor,
    account,
    cumulative.toString(),
  ]);
  const tree = StandardMerkleTree.of(rows, ["uint256", "address", "address", "uint256"]);
  return {
    root: tree.root,
    accounts: rewards.map(({ account }) => account),
    cumulatives: rewards.map(({ cumulative }) => cumulative.toString()),
    leaves: rows.map((row) => tree.leafHash(row)),
    proofs: rows.map((row) => tree.getProof(row)),
  };
}

const receiptType = [
  ["requestId", "bytes32"],
  ["payer", "address"],
  ["node", "address"],
  ["modelId", "bytes32"],
  ["adapterSet", "bytes32"],
  ["inputCommit", "bytes32"],
  ["outputCommit", "bytes32"],
  ["retrievalCommit", "bytes32"],
  ["paramsHash", "bytes32"],
  ["profileHash", "bytes32"],
  ["provenanceMode", "uint8"],
  ["promptTokens", "uint32"],
  ["completionTokens", "uint32"],
  ["fee", "uint128"],
  ["channelId", "bytes32"],
  ["cumulativeCharged", "uint128"],
  ["servedAt", "uint64"],
] as const;

/** Case 0 is all zero, case 1 all ones, the others are arbitrary. */
function receiptValue(name: string, type: string, caseIndex: number): string {
  const bits = type === "bytes32" ? 256 : type === "address" ? 160 : Number(type.slice(4));
  const all = (1n << BigInt(bits)) - 1n;
  const arbitrary = BigInt(bytes32Of(`receipt ${caseIndex} ${name}`)) & all;
  const value = caseIndex === 0 ? 0n : caseIndex === 1 ? all : arbitrary;
  if (type === "bytes32") return numberToHex(value, { size: 32 });
  if (type === "address") return getAddress(numberToHex(value, { size: 20 }));
  return value.toString();
}

function receiptCase(caseIndex: number) {
  const message = Object.fromEntries(
    receiptType.map(([name, type]) => [name, receiptValue(name, type, caseIndex)]),
  );
  const types: TypedData = { InferenceReceipt: receiptType.map(([name, type]) => ({ name, type })) };
  const digest = hashTypedData({
    domain: { name: "OpenInference", version: "1", chainId, verifyingContract: hub },
    types,
    primaryType: "InferenceReceipt",
    message,
  });
  return { ...message, digest, leaf: keccak256(digest) };
}

const channelDomain = { name: "x402 Batch Settlement", version: "1", chainId, verifyingContract: escrow };

function channelCase(caseIndex: number) {
  const message = {
    payer: addressOf(`payer ${caseIndex}`),
    payerAuthorizer: caseIndex === 0 ? zeroAddress : addressOf(`authorizer ${caseIndex}`),
    receiver: hub,
    receiverAuthorizer: addressOf(`node ${caseIndex}`),
    token: addressOf("token"),
    withdrawDelay: 900 + caseIndex * 1_295_550,
    salt: bytes32Of(`salt ${caseIndex}`),
  };
  const channelId = hashTypedData({
    domain: channelDomain,
    types: {
      ChannelConfig: [
        { name: "payer", type: "address" },
        { name: "payerAuthorizer", type: "address" },
        { name: "receiver", type: "address" },
        { name: "receiverAuthorizer", type: "address" },
        { name: "token", type: "address" },
        { name: "withdrawDelay", type: "uint40" },
        { name: "salt", type: "bytes32" },
      ],
    },
    primaryType: "ChannelConfig",
    message,
  });
  return { ...message, withdrawDelay: message.withdrawDelay.toString(), channelId };
}

function voucherCase(caseIndex: number) {
  const message = {
    channelId: bytes32Of(`channel ${caseIndex}`),
    maxClaimableAmount: caseIndex === 0 ? uint128Max.toString() : caseIndex.toString(),
  };
  const digest = hashTypedData({
    domain: channelDomain,
    types: {
      Voucher: [
        { name: "channelId", type: "bytes32" },
        { name: "maxClaimableAmount", type: "uint128" },
      ],
    },
    primaryType: "Voucher",
    message: { ...message, maxClaimableAmount: BigInt(message.maxClaimableAmount) },
  });
  return { ...message, digest };
}

const vectors = {
  comment: "Generated by contracts/test/make-leaf-vectors.ts. Amounts are decimal strings of wei.",
  chainId,
  distributor,
  hub,
  escrow,
  rewardTrees: [1, 2, 3, 5, 8, 17].map(rewardTree),
  receipts: [0, 1, 2, 3, 4].map(receiptCase),
  vouchers: [0, 1, 2].map(voucherCase),
  channels: [0, 1, 2].map(channelCase),
};

const path = join(rootDir, "vectors", "leaf.json");
const text = `${JSON.stringify(vectors, null, 2)}\n`;
if (!process.argv.includes("--check")) {
  mkdirSync(join(rootDir, "vectors"), { recursive: true });
  writeFileSync(path, text);
} else if (readFileSync(path, "utf8") !== text) {
  process.stderr.write("stale: vectors/leaf.json. Run `node contracts/test/make-leaf-vectors.ts`.\n");
  process.exitCode = 1;
}
