import {
  type Address,
  createPublicClient,
  custom,
  decodeFunctionData,
  encodeFunctionResult,
  type Hex,
  hexToBytes,
  isAddressEqual,
  type PublicClient,
} from "viem";
import { encodeCertificate } from "../certificate/certificate.ts";
import { decodeCertificateAbi } from "../certificate/certificate-abi.ts";
import { eigenDaAbi } from "../certificate/contracts.ts";
import { verifyCertificate } from "../certificate/verify.ts";
import type { SrsAnchor } from "../kzg/srs.ts";

export const routerAddress: Address = `0x${"0a".repeat(20)}`;
const verifierAddress: Address = `0x${"0b".repeat(20)}`;

/** What the stand-in answers besides. */
export type StandIn = {
  head: bigint;
  certVersion: number;
  status?: number;
  isDown?: boolean;
  relayUrl?: string;
  calls: Hex[];
};

/**
 * A STAND-IN for EigenDA's contracts and the node before them: it answers the same calls in the same encoding, but judges a certificate by this package's own
 * checks, with no stake and no chain. It shows that calls are made and answers read rightly, not that the real contracts agree.
 */
export function standInClient(srs: SrsAnchor, standIn: StandIn): PublicClient {
  const answer = async (to: Address, data: Hex): Promise<Hex> => {
    standIn.calls.push(data);
    const { functionName, args } = decodeFunctionData({ abi: eigenDaAbi, data });
    if (functionName === "getCertVerifierAt" && isAddressEqual(to, routerAddress))
      return encodeFunctionResult({ abi: eigenDaAbi, functionName, result: verifierAddress });
    if (functionName === "certVersion" && isAddressEqual(to, verifierAddress))
      return encodeFunctionResult({ abi: eigenDaAbi, functionName, result: standIn.certVersion });
    if (functionName === "checkDACert" && isAddressEqual(to, verifierAddress)) {
      const result = standIn.status ?? (await judge(srs, hexToBytes(args[0])));
      return encodeFunctionResult({ abi: eigenDaAbi, functionName, result });
    }
    if (functionName === "getCheckSignaturesIndices") {
      const [quorums, nonSigners] = [hexToBytes(args[2]).length, args[3].length];
      const result = {
        nonSignerQuorumBitmapIndices: Array<number>(nonSigners).fill(11),
        quorumApkIndices: Array<number>(quorums).fill(12),
        totalStakeIndices: Array<number>(quorums).fill(13),
        nonSignerStakeIndices: Array.from({ length: quorums }, () => Array<number>(nonSigners).fill(14)),
      };
      return encodeFunctionResult({ abi: eigenDaAbi, functionName, result });
    }
    if (functionName === "relayKeyToUrl")
      return encodeFunctionResult({ abi: eigenDaAbi, functionName, result: standIn.relayUrl ?? "" });
    return "0x";
  };
  const request = async ({ method, params }: { method: string; params?: unknown }) => {
    if (standIn.isDown) throw new TypeError("the node is down");
    if (method === "eth_blockNumber") return `0x${standIn.head.toString(16)}`;
    const [{ to, data }] = params as [{ to: Address; data: Hex }];
    return await answer(to, data);
  };
  return createPublicClient({ transport: custom({ request }, { retryCount: 0 }) });
}

async function judge(srs: SrsAnchor, abi: Uint8Array): Promise<number> {
  const decoded = decodeCertificateAbi(abi);
  if (!decoded.ok) return 6;
  const verdict = await verifyCertificate(encodeCertificate(decoded.value), {
    level: "inclusion+signature",
    srs,
  });
  return verdict.ok ? 1 : 6;
}
