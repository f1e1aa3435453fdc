import type { Hex } from "viem";
import { expect, it } from "vitest";
import { readLeafVectors } from "#schema/testing/vectors";
import * as receipt from "./receipt.ts";

/** The file the Solidity tests read. */
const vectors = readLeafVectors();

it.each(vectors.receipts as Record<string, string>[])(
  "digests receipt $requestId as the hub does",
  (vector) => {
    const scope = { chainId: BigInt(vectors.chainId), hub: vectors.hub };
    expect(receipt.digest(scope, parse(vector))).toBe(vector.digest);
  },
);

function parse(v: Record<string, string>): receipt.Receipt {
  const hashes = [
    "requestId",
    "payer",
    "node",
    "modelId",
    "adapterSet",
    "inputCommit",
    "outputCommit",
    "retrievalCommit",
    "paramsHash",
    "profileHash",
    "channelId",
  ];
  return {
    ...(Object.fromEntries(hashes.map((name) => [name, v[name]])) as Record<string, Hex>),
    provenanceMode: Number(v.provenanceMode),
    promptTokens: Number(v.promptTokens),
    completionTokens: Number(v.completionTokens),
    fee: BigInt(v.fee!),
    cumulativeCharged: BigInt(v.cumulativeCharged!),
    servedAt: BigInt(v.servedAt!),
  } as receipt.Receipt;
}
