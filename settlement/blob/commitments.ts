import {
  concatHex,
  encodeAbiParameters,
  type Hex,
  keccak256,
  numberToHex,
  parseAbiParameters,
  sha256,
} from "viem";
import * as leaf from "../tree/leaf.ts";
import * as tree from "../tree/tree.ts";
import type { Candidate, DecodingParams, Disclosure } from "./disclosure.ts";
import type { Receipt } from "./receipt.ts";

/** The hashes a receipt holds over what stays private until it is disclosed. docs/formats.md, Receipt v1. */

/** keccak(abi(bytes32 inputSalt, bytes32 sha256(question))). */
export function inputCommit(inputSalt: Hex, question: string): Hex {
  return keccak256(encodeAbiParameters(twoWords, [inputSalt, sha256(Buffer.from(question, "utf8"))]));
}

/** keccak(abi(bytes32 outputSalt, bytes32 sha256(answer), bytes32 keccak(token ids as packed uint32, big-endian))). */
export function outputCommit(outputSalt: Hex, answer: string, answerTokenIds: readonly number[]): Hex {
  const packed = concatHex(answerTokenIds.map((id) => numberToHex(id, { size: 4 })));
  return keccak256(
    encodeAbiParameters(threeWords, [outputSalt, sha256(Buffer.from(answer, "utf8")), keccak256(packed)]),
  );
}

/** keccak(abi(channelId, cumulativeCharged, inputCommit)); `cumulativeCharged` in wei and with this call. */
export function requestId(r: { channelId: Hex; cumulativeCharged: bigint; inputCommit: Hex }): Hex {
  return keccak256(encodeAbiParameters(requestParameters, [r.channelId, r.cumulativeCharged, r.inputCommit]));
}

/** keccak(abi(params)). */
export function paramsHash(params: DecodingParams): Hex {
  return keccak256(encodeAbiParameters(paramsParameters, [params]));
}

/** The adapters an answer followed, by their artifact hashes in the order applied: keccak(abi(bytes32[])), zero for none. */
export function adapterSet(artifactHashes: readonly Hex[]): Hex {
  return artifactHashes.length === 0
    ? tree.zeroRoot
    : keccak256(encodeAbiParameters(hashList, [artifactHashes]));
}

/** Root over the candidates in rank order; `bytes32(0)` without any. */
export function retrievalCommit(candidates: readonly Candidate[]): Hex {
  return tree.rootOf(candidates.map((candidate, rank) => leaf.candidate({ rank, ...candidate })));
}

/** Name of the first commitment of the receipt that the disclosure does not open, or null where all open. */
export function disclosureFault(receipt: Receipt, disclosure: Disclosure): string | null {
  const d = disclosure;
  if (inputCommit(d.inputSalt, d.question) !== receipt.inputCommit) return "inputCommit";
  if (outputCommit(d.outputSalt, d.answer, d.answerTokenIds) !== receipt.outputCommit) return "outputCommit";
  if (retrievalCommit(d.candidates) !== receipt.retrievalCommit) return "retrievalCommit";
  if (paramsHash(d.params) !== receipt.paramsHash) return "paramsHash";
  return requestId(receipt) === receipt.requestId ? null : "requestId";
}

const hashList = parseAbiParameters("bytes32[]");
const twoWords = parseAbiParameters("bytes32, bytes32");
const threeWords = parseAbiParameters("bytes32, bytes32, bytes32");
const requestParameters = parseAbiParameters(
  "bytes32 channelId, uint128 cumulativeCharged, bytes32 inputCommit",
);
const paramsParameters = parseAbiParameters([
  "Params params",
  "struct Params { uint32 maxTokens; uint32 temperatureMilli; uint32 topK; uint32 topPMilli; uint64 seed; }",
]);
