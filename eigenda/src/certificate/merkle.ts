import { concatHex, type Hex, keccak256, slice } from "viem";
import { nextPowerOfTwo } from "../curve/field.ts";
import { invariant } from "../errors.ts";

const hashBytes = 32;

/** Missing leaves, up to a power of two, are this value; they are not hashed. */
const emptyLeaf: Hex = `0x${"00".repeat(hashBytes)}`;

/** Deepest proof read: batches of up to 2^20 blobs. */
const depthMax = 20;

/**
 * Root and proofs over blob certificate hashes.   leaf := keccak(hash), parent := keccak(left ‖ right), siblings leaf level first.
 * Source: wealdtech/go-merkletree v2 as used by Layr-Labs/eigenda core/v2 (unsorted, unsalted).
 */
export function buildBatch(certificateHashes: readonly Hex[]): { root: Hex; proofs: Hex[] } {
  invariant(certificateHashes.length > 0, "a batch holds a blob");
  const levels: Hex[][] = [padLeaves(certificateHashes.map((hash) => keccak256(hash)))];
  while (levels.at(-1)!.length > 1) {
    const below = levels.at(-1)!;
    levels.push(
      Array.from({ length: below.length / 2 }, (_, index) =>
        parent(below[2 * index]!, below[2 * index + 1]!),
      ),
    );
  }
  const proofs = certificateHashes.map((_, leaf) =>
    concatHex(levels.slice(0, -1).map((level, depth) => level[(leaf >> depth) ^ 1]!)),
  );
  return { root: levels.at(-1)![0]!, proofs };
}

/** The root that a proof leads to, or null if its size or the index does not fit a tree. */
export function rootFromProof(certificateHash: Hex, blobIndex: number, proof: Hex): Hex | null {
  const proofBytes = (proof.length - 2) / 2;
  const depth = proofBytes / hashBytes;
  if (!Number.isInteger(depth) || depth > depthMax || blobIndex >= 2 ** depth) return null;
  let node = keccak256(certificateHash);
  for (let level = 0; level < depth; level++) {
    const sibling = slice(proof, level * hashBytes, (level + 1) * hashBytes);
    node = (blobIndex >> level) & 1 ? parent(sibling, node) : parent(node, sibling);
  }
  return node;
}

function parent(left: Hex, right: Hex): Hex {
  return keccak256(concatHex([left, right]));
}

function padLeaves(leaves: Hex[]): Hex[] {
  const missing = nextPowerOfTwo(leaves.length) - leaves.length;
  return [...leaves, ...Array.from({ length: missing }, () => emptyLeaf)];
}
