import { bytesToHex, type Hex, hexToBytes, parseAbiParameters } from "viem";
import type { Decoded } from "#schema/errors";
import { codec } from "./codec.ts";

/** What opens a receipt's commitments in provenance mode `public`. Candidates in rank order, those in context first in the prompt. */
export type Disclosure = {
  question: string;
  answer: string;
  answerTokenIds: readonly number[];
  candidates: readonly Candidate[];
  inputSalt: Hex;
  outputSalt: Hex;
  params: DecodingParams;
};

/** One retrieved chunk. `scoreMicro` is the retrieval score in millionths. */
export type Candidate = { chunkId: Hex; scoreMicro: bigint; inContext: boolean };

/** How the answer was decoded. `temperatureMilli` and `topPMilli` in thousandths. */
export type DecodingParams = {
  maxTokens: number;
  temperatureMilli: number;
  topK: number;
  topPMilli: number;
  seed: bigint;
};

export function encode(disclosure: Disclosure): Hex {
  return bytesToHex(body.encode(disclosure));
}

/** Most candidates of one answer: each becomes an entry of the epoch. */
export const candidatesMax = 64;
/** Most of them in context: scoring reads the answer once for every coalition of them it looks at. */
export const contextMax = 16;
/** Longest question, in UTF-16 units: scoring reads it once for every coalition. */
export const questionCharactersMax = 4_096;

/** Shape and size only: the commitments are compared by commitments.ts. */
export function decode(bytes: Hex): Decoded<Disclosure> {
  const decoded = body.decode(hexToBytes(bytes));
  if (!decoded.ok) return decoded;
  const { candidates, question } = decoded.value;
  if (candidates.length > candidatesMax)
    return { ok: false, reason: `${candidates.length} candidates, at most ${candidatesMax}` };
  if (question.length > questionCharactersMax)
    return {
      ok: false,
      reason: `a question of ${question.length} characters, at most ${questionCharactersMax}`,
    };
  return decoded;
}

const body = codec(
  parseAbiParameters([
    "Body body",
    "struct Body { string question; string answer; uint32[] answerTokenIds; Candidate[] candidates; bytes32 inputSalt; bytes32 outputSalt; Params params; }",
    "struct Candidate { bytes32 chunkId; int64 scoreMicro; bool inContext; }",
    "struct Params { uint32 maxTokens; uint32 temperatureMilli; uint32 topK; uint32 topPMilli; uint64 seed; }",
  ]),
);
