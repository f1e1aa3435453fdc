import { encodeAbiParameters, type Hex, keccak256, parseAbiParameters } from "viem";
import type { Decoded } from "#schema/errors";
import * as leaf from "../tree/leaf.ts";
import * as tree from "../tree/tree.ts";
import { codec } from "./codec.ts";
import * as payload from "./payload.ts";

/** Kind 1: records of a contribution under one SPDX licence. `source` says where a chunk is from (path, heading). */
export type Contribution = { license: string; chunks: readonly Chunk[] };
export type Chunk = { source: string; text: string };

/** Most characters (code points) of a chunk's text. */
export const chunkCharactersMax = 280;

export function encode(contribution: Contribution): Uint8Array {
  return payload.encode("contribution", body, contribution);
}

/** Refuses also chunks that are empty, too long or whose whitespace is not single spaces. */
export function decode(bytes: Uint8Array): Decoded<Contribution> {
  const decoded = payload.decode("contribution", body, bytes);
  if (!decoded.ok) return decoded;
  for (const [index, chunk] of decoded.value.chunks.entries()) {
    const fault = chunkFault(chunk);
    if (fault !== null) return { ok: false, reason: `chunk ${index} ${fault}` };
  }
  return decoded;
}

/** Root over the chunks, `dataRoot` of ContributionSubmitted. */
export function dataRoot(chunks: readonly Chunk[]): Hex {
  return tree.rootOf(chunks.map((chunk, index) => leaf.chunk({ index, ...chunk })));
}

/** What the chain says of a contribution (ContributionSubmitted). */
export type Submitted = { dataRoot: Hex; items: number; licenseHash: Hex };

/** First difference between a payload and what the chain says of it: code and reason; null where there is none. */
export function fault({ license, chunks }: Contribution, submitted: Submitted): [string, string] | null {
  if (dataRoot(chunks) !== submitted.dataRoot)
    return ["root_mismatch", "the chunks have another root than the chain"];
  if (BigInt(chunks.length) !== BigInt(submitted.items))
    return ["totals_mismatch", `${chunks.length} chunks, the chain has ${submitted.items}`];
  if (licenseHash(license) !== submitted.licenseHash)
    return ["license_mismatch", "the licence is another than the chain's"];
  const bad = chunks.findIndex(({ source, text }) => `${source}${text}`.includes("\0"));
  return bad < 0 ? null : ["malformed_payload", `chunk ${bad} holds a NUL character`];
}

/** keccak of the SPDX identifier. */
export function licenseHash(license: string): Hex {
  return keccak256(Buffer.from(license, "utf8"));
}

export function textHash(text: string): Hex {
  return keccak256(Buffer.from(text, "utf8"));
}

/** keccak(abi(uint64 contributionBatchId, uint32 index, bytes32 textHash)); the id is the one the registry gave. */
export function chunkId(c: { contributionBatchId: bigint; index: number; textHash: Hex }): Hex {
  return keccak256(encodeAbiParameters(chunkIdParameters, [c.contributionBatchId, c.index, c.textHash]));
}

/** Whitespace as a chunk must have it: single spaces, none at the ends. */
export function normaliseText(text: string): string {
  return text.replace(/\s+/gu, " ").trim();
}

function chunkFault(chunk: Chunk): string | null {
  const characters = [...chunk.text].length;
  if (characters === 0) return "is empty";
  if (characters > chunkCharactersMax) return `has ${characters} characters, at most ${chunkCharactersMax}`;
  return normaliseText(chunk.text) === chunk.text ? null : "has whitespace that is not single spaces";
}

const chunkIdParameters = parseAbiParameters("uint64 contributionBatchId, uint32 index, bytes32 textHash");
const body = codec(
  parseAbiParameters([
    "Body body",
    "struct Body { string license; Chunk[] chunks; }",
    "struct Chunk { string source; string text; }",
  ]),
);
