import { readFileSync } from "node:fs";

/**
 * What Solidity and TypeScript must compute alike. `LEAF_VECTORS` names another file than the committed one, to see
 * that a flipped byte is noticed on both sides.
 */
export function readLeafVectors() {
  const path = process.env.LEAF_VECTORS ?? new URL("../../vectors/leaf.json", import.meta.url);
  return JSON.parse(readFileSync(path, "utf8"));
}
