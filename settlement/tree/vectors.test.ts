import type { Address, Hex } from "viem";
import { describe, expect, it } from "vitest";
import { readLeafVectors } from "#schema/testing/vectors";
import * as leaf from "./leaf.ts";
import * as tree from "./tree.ts";

/** The file the Solidity tests read. */
const vectors = readLeafVectors();

type RewardTree = { root: Hex; accounts: Address[]; cumulatives: string[]; leaves: Hex[]; proofs: Hex[][] };

describe("vectors/leaf.json", () => {
  it.each(vectors.rewardTrees as RewardTree[])("has our leaves, root and proofs for $root", (expected) => {
    const leaves = expected.accounts.map((account, i) =>
      leaf.reward({
        chainId: BigInt(vectors.chainId),
        distributor: vectors.distributor,
        account,
        cumulativeWei: BigInt(expected.cumulatives[i]!),
      }),
    );
    expect(leaves).toEqual(expected.leaves);
    const built = tree.build(leaves);
    expect(tree.root(built)).toBe(expected.root);
    expect(leaves.map((value) => tree.proof(built, value))).toEqual(expected.proofs);
  });
});
