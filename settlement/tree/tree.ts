import { keccak_256 } from "@noble/hashes/sha3.js";
import { type Hex, keccak256 } from "viem";
import { invariant } from "#schema/errors";

/**
 * The one Merkle tree of the system, the layout of OpenZeppelin's StandardMerkleTree: leaf hashes sorted ascending,
 * 2n − 1 nodes of 32 bytes in one array, leaves at its end in reverse order, parent = keccak(min ‖ max).
 * One leaf is its own root. Equal leaves may stand more than once.
 */
export type Tree = { nodes: Uint8Array; leafCount: number };

/** Most leaves of one tree, 2^21: the sort keys below hold index and 32 bits of hash in one exact double. */
export const leafCountMax = 2 ** 21;

/** Build the tree over 32-byte leaf hashes, in any order. At least one leaf, at most `leafCountMax`. */
export function build(leaves: readonly Hex[]): Tree {
  const leafCount = leaves.length;
  invariant(
    leafCount > 0 && leafCount <= leafCountMax,
    `a tree needs 1 to ${leafCountMax} leaves, given ${leafCount}`,
  );
  const nodes = new Uint8Array((2 * leafCount - 1) * nodeBytes);
  const sorted = sort(leaves);
  for (let i = 0; i < leafCount; i++) {
    nodes.set(Buffer.from(sorted[i]!.slice(2), "hex"), (2 * leafCount - 2 - i) * nodeBytes);
  }
  const pair = new Uint8Array(2 * nodeBytes);
  for (let i = leafCount - 2; i >= 0; i--) nodes.set(hashChildren(nodes, i, pair), i * nodeBytes);
  return { nodes, leafCount };
}

export function root(tree: Tree): Hex {
  return hexAt(tree, 0);
}

/** Root over leaves, or `bytes32(0)` where there are none (docs/formats.md). */
export function rootOf(leaves: readonly Hex[]): Hex {
  return leaves.length === 0 ? zeroRoot : root(build(leaves));
}

/** Siblings from the leaf up. The leaf must be in the tree: asking for another is our bug. */
export function proof(tree: Tree, leaf: Hex): Hex[] {
  const path: Hex[] = [];
  for (let i = indexOf(tree, leaf); i > 0; i = (i - 1) >> 1)
    path.push(hexAt(tree, i % 2 === 1 ? i + 1 : i - 1));
  return path;
}

/** True if `path` leads from `leaf` to `expectedRoot`. False for anything malformed: proofs are untrusted. */
export function verify(expectedRoot: Hex, leaf: Hex, path: readonly Hex[]): boolean {
  if (path.length > proofLengthMax || !isNode(leaf) || !isNode(expectedRoot)) return false;
  let node = leaf.toLowerCase();
  for (const sibling of path) {
    if (!isNode(sibling)) return false;
    const other = sibling.toLowerCase();
    node = keccak256(node < other ? `${node as Hex}${other.slice(2)}` : `${other as Hex}${node.slice(2)}`);
  }
  return node === expectedRoot.toLowerCase();
}

export const zeroRoot: Hex = `0x${"00".repeat(32)}`;

const nodeBytes = 32;
const proofLengthMax = 64;

function hashChildren(nodes: Uint8Array, parent: number, pair: Uint8Array): Uint8Array {
  const left = (2 * parent + 1) * nodeBytes;
  const right = left + nodeBytes;
  const swap = isGreater(nodes, left, right);
  pair.set(nodes.subarray(left, left + nodeBytes), swap ? nodeBytes : 0);
  pair.set(nodes.subarray(right, right + nodeBytes), swap ? 0 : nodeBytes);
  return keccak_256(pair);
}

function isGreater(nodes: Uint8Array, a: number, b: number): boolean {
  for (let i = 0; i < nodeBytes; i++) {
    const difference = nodes[a + i]! - nodes[b + i]!;
    if (difference !== 0) return difference > 0;
  }
  return false;
}

/** Ascending. A typed-array sort by the first 32 bits, then insertion among the few that share them. */
function sort(leaves: readonly Hex[]): Hex[] {
  const keys = new Float64Array(leaves.length);
  for (let i = 0; i < leaves.length; i++) {
    invariant(isNode(leaves[i]!), `${leaves[i]} is not a 32-byte leaf hash`);
    keys[i] = Number.parseInt(leaves[i]!.slice(2, 10), 16) * leafCountMax + i;
  }
  keys.sort();
  const sorted = Array.from(keys, (key) => leaves[key % leafCountMax]!.toLowerCase() as Hex);
  for (let i = 1; i < sorted.length; i++) {
    for (let j = i; j > 0 && sorted[j]! < sorted[j - 1]!; j--) {
      const swap = sorted[j]!;
      sorted[j] = sorted[j - 1]!;
      sorted[j - 1] = swap;
    }
  }
  return sorted;
}

/** Node index of a leaf, by binary search: leaves descend from index leafCount − 1 to the end. */
function indexOf(tree: Tree, leaf: Hex): number {
  const wanted = leaf.toLowerCase() as Hex;
  let low = tree.leafCount - 1;
  let high = 2 * tree.leafCount - 2;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (hexAt(tree, middle) > wanted) low = middle + 1;
    else high = middle;
  }
  invariant(hexAt(tree, low) === wanted, `leaf ${leaf} is not in the tree`);
  return low;
}

function hexAt(tree: Tree, index: number): Hex {
  const node = tree.nodes.subarray(index * nodeBytes, (index + 1) * nodeBytes);
  return `0x${Buffer.from(node.buffer, node.byteOffset, nodeBytes).toString("hex")}`;
}

function isNode(value: string): boolean {
  return /^0x[0-9a-fA-F]{64}$/.test(value);
}
