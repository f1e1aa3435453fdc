import { type Address, type Hex, hashTypedData, recoverAddress } from "viem";

/** Receipt v1, the EIP-712 message of ISettlementHub.sol. `fee` in wei, `servedAt` in unix seconds. */
export type Receipt = {
  requestId: Hex;
  payer: Address;
  node: Address;
  modelId: Hex;
  adapterSet: Hex;
  inputCommit: Hex;
  outputCommit: Hex;
  retrievalCommit: Hex;
  paramsHash: Hex;
  profileHash: Hex;
  provenanceMode: number;
  promptTokens: number;
  completionTokens: number;
  fee: bigint;
  channelId: Hex;
  cumulativeCharged: bigint;
  servedAt: bigint;
};

/** Where a receipt counts: one hub on one chain. */
export type ReceiptScope = { chainId: bigint; hub: Address };

/** Typed data of a receipt, as viem's signTypedData takes it. */
export function typedData(scope: ReceiptScope, receipt: Receipt) {
  const { chainId, hub } = scope;
  const domain = { name: "OpenInference", version: "1", chainId, verifyingContract: hub } as const;
  return { domain, types, primaryType: "InferenceReceipt", message: receipt } as const;
}

/** EIP-712 digest; equals SettlementHub.receiptDigest. */
export function digest(scope: ReceiptScope, receipt: Receipt): Hex {
  return hashTypedData(typedData(scope, receipt));
}

/** Account whose key signed the digest, in lowercase, or null where the signature is malformed. */
export async function signer(receiptDigest: Hex, signature: Hex): Promise<Address | null> {
  if (!/^0x[0-9a-f]{130}$/.test(signature)) return null;
  try {
    return (await recoverAddress({ hash: receiptDigest, signature })).toLowerCase() as Address;
  } catch {
    // Any 65 bytes may come from a blob: no point on the curve means no signer.
    return null;
  }
}

const types = {
  InferenceReceipt: [
    { name: "requestId", type: "bytes32" },
    { name: "payer", type: "address" },
    { name: "node", type: "address" },
    { name: "modelId", type: "bytes32" },
    { name: "adapterSet", type: "bytes32" },
    { name: "inputCommit", type: "bytes32" },
    { name: "outputCommit", type: "bytes32" },
    { name: "retrievalCommit", type: "bytes32" },
    { name: "paramsHash", type: "bytes32" },
    { name: "profileHash", type: "bytes32" },
    { name: "provenanceMode", type: "uint8" },
    { name: "promptTokens", type: "uint32" },
    { name: "completionTokens", type: "uint32" },
    { name: "fee", type: "uint128" },
    { name: "channelId", type: "bytes32" },
    { name: "cumulativeCharged", type: "uint128" },
    { name: "servedAt", type: "uint64" },
  ],
} as const;
