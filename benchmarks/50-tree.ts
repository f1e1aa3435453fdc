import { StandardMerkleTree } from "@openzeppelin/merkle-tree";
import type { Address } from "viem";
import * as leaf from "#settlement/tree/leaf";
import * as tree from "#settlement/tree/tree";
import { alternate, type Benchmark, compare } from "./report.ts";

const leafCount = 20_000;
const rounds = 5;
const distributor: Address = `0x${"d1".repeat(20)}`;
const rewards = Array.from({ length: leafCount }, (_, index) => ({
  chainId: 31337n,
  distributor,
  account: `0x${(index + 1).toString(16).padStart(40, "0")}` as Address,
  cumulativeWei: BigInt(index) * 1_000_000_007n,
}));
const values = rewards.map((r) => [r.chainId, r.distributor, r.account, r.cumulativeWei] as const);

export const benchmark: Benchmark = {
  name: "tree",
  title: "Reward leaves hashed and built into a tree, per second",
  conditions: `${leafCount} leaves, ${rounds} alternating rounds, medians; the two roots are compared`,
  run: async () => {
    const roots = new Set<string>();
    const { oursMs, peerMs } = await alternate(
      rounds,
      () => roots.add(tree.root(tree.build(rewards.map(leaf.reward)))),
      () =>
        roots.add(
          StandardMerkleTree.of(
            values.map((value) => [...value]),
            ["uint256", "address", "address", "uint256"],
          ).root,
        ),
    );
    if (roots.size !== 1) throw new RangeError("the roots differ: the benchmark compares unlike work");
    const perSecond = (ms: number) => (leafCount / ms) * 1000;
    return [
      compare(
        "leaf to root",
        "leaves/s",
        perSecond(oursMs),
        perSecond(peerMs),
        "@openzeppelin/merkle-tree 1.0.8",
        1,
      ),
    ];
  },
};
