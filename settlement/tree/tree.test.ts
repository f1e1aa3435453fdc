import { SimpleMerkleTree, StandardMerkleTree } from "@openzeppelin/merkle-tree";
import fc from "fast-check";
import { type Hex, keccak256, toHex } from "viem";
import { describe, expect, it } from "vitest";
import * as leaf from "./leaf.ts";
import * as tree from "./tree.ts";

const hash32 = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => toHex(bytes));
const hashes = fc.array(hash32, { minLength: 1, maxLength: 70 });

describe("tree", () => {
  it("has the leaf itself as the root of one leaf", () => {
    const only = keccak256("0x01");
    expect(tree.root(tree.build([only]))).toBe(only);
    expect(tree.proof(tree.build([only]), only)).toEqual([]);
    expect(tree.verify(only, only, [])).toBe(true);
  });

  it("has the zero root for no leaves, and builds no such tree", () => {
    expect(tree.rootOf([])).toBe(tree.zeroRoot);
    expect(() => tree.build([])).toThrow(/1 to/);
  });

  it("equals OpenZeppelin's root and proofs on every size from 1 to 40", () => {
    for (let n = 1; n <= 40; n++) {
      const leaves = Array.from({ length: n }, (_, i) => keccak256(toHex(i)));
      const theirs = SimpleMerkleTree.of(leaves);
      const ours = tree.build(leaves);
      expect(tree.root(ours)).toBe(theirs.root);
      for (const [i, value] of leaves.entries()) expect(tree.proof(ours, value)).toEqual(theirs.getProof(i));
    }
  });

  it("equals OpenZeppelin's root on random leaves, also with equal and nearly equal ones", () => {
    const clustered = fc
      .array(fc.uint8Array({ minLength: 28, maxLength: 28 }), { minLength: 1, maxLength: 30 })
      .map((tails) =>
        tails.flatMap((t) => [
          toHex(new Uint8Array([7, 7, 7, 7, ...t])),
          toHex(new Uint8Array([7, 7, 7, 7, ...t])),
        ]),
      );
    fc.assert(
      fc.property(fc.oneof(hashes, clustered), (leaves) => {
        expect(tree.root(tree.build(leaves))).toBe(SimpleMerkleTree.of(leaves).root);
      }),
      { numRuns: 150 },
    );
  });

  it("does not depend on the order of the leaves", () => {
    fc.assert(
      fc.property(hashes, (leaves) => {
        expect(tree.root(tree.build([...leaves].reverse()))).toBe(tree.root(tree.build(leaves)));
      }),
      { numRuns: 50 },
    );
  });

  it("verifies each proof, and refuses it with one flipped bit in root, leaf or sibling", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(hash32, { minLength: 2, maxLength: 40 }),
        fc.nat(),
        fc.nat(255),
        (leaves, pick, bit) => {
          const built = tree.build(leaves);
          const chosen = leaves[pick % leaves.length]!;
          const path = tree.proof(built, chosen);
          expect(tree.verify(tree.root(built), chosen, path)).toBe(true);
          expect(tree.verify(flip(tree.root(built), bit), chosen, path)).toBe(false);
          expect(tree.verify(tree.root(built), flip(chosen, bit), path)).toBe(false);
          expect(tree.verify(tree.root(built), chosen, [flip(path[0]!, bit), ...path.slice(1)])).toBe(false);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("refuses malformed proofs without throwing", () => {
    const a = keccak256("0x01");
    expect(tree.verify(a, a, ["0x12"])).toBe(false);
    expect(tree.verify(a, "0x12", [])).toBe(false);
    expect(tree.verify(a, a, new Array(65).fill(a))).toBe(false);
  });
});

describe("leaf", () => {
  it("equals OpenZeppelin's standard leaf for rewards, entries, chunks and candidates", () => {
    const a: Hex = `0x${"ab".repeat(32)}`;
    const account = "0x52908400098527886E0F7030069857D2E4169EE7";
    const one = (types: string[], values: unknown[]) => StandardMerkleTree.of([values], types).root;
    expect(
      leaf.reward({ chainId: 31337n, distributor: account, account, cumulativeWei: 2n ** 128n - 1n }),
    ).toBe(one(["uint256", "address", "address", "uint256"], [31337n, account, account, 2n ** 128n - 1n]));
    const e = {
      receiptDigest: a,
      index: 3,
      role: 1,
      subject: a,
      contributionBatchId: 9n,
      account,
      scoreWad: -5n,
      amountWei: 7n,
      reason: 2,
    } as const;
    expect(leaf.attribution(e)).toBe(
      one(
        ["bytes32", "uint32", "uint8", "bytes32", "uint64", "address", "int256", "uint128", "uint8"],
        Object.values(e),
      ),
    );
    expect(leaf.candidate({ rank: 1, chunkId: a, scoreMicro: -3n, inContext: true })).toBe(
      one(["uint32", "bytes32", "int64", "bool"], [1, a, -3n, true]),
    );
    expect(leaf.chunk({ index: 2, source: "ä", text: "b" })).toBe(
      one(["uint32", "bytes32", "bytes32"], [2, keccak256(Buffer.from("ä")), keccak256(Buffer.from("b"))]),
    );
    expect(leaf.receipt(a)).toBe(keccak256(a));
  });

  it("refuses values outside their width", () => {
    const a: Hex = `0x${"ab".repeat(32)}`;
    expect(() => leaf.candidate({ rank: -1, chunkId: a, scoreMicro: 0n, inContext: true })).toThrow(/uint32/);
    expect(() => leaf.candidate({ rank: 0, chunkId: a, scoreMicro: 2n ** 63n, inContext: true })).toThrow(
      /int64/,
    );
    expect(() => leaf.candidate({ rank: 0, chunkId: "0x12", scoreMicro: 0n, inContext: true })).toThrow(
      /32 bytes/,
    );
  });
});

function flip(hash: Hex, bit: number): Hex {
  const bytes = Buffer.from(hash.slice(2), "hex");
  bytes[bit >> 3]! ^= 1 << (bit & 7);
  return toHex(bytes);
}
