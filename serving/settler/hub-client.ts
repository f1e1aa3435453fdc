import {
  type Account,
  BaseError,
  type Chain,
  ContractFunctionRevertedError,
  createPublicClient,
  createWalletClient,
  defineChain,
  type Hex,
  http,
} from "viem";
import { channelEscrowAbi } from "#schema/abi/channel-escrow";
import { settlementHubAbi } from "#schema/abi/settlement-hub";
import { invariant, PipelineError } from "#schema/errors";
import { submissionMsMax } from "../constants.ts";
import type { ChannelConfig } from "../payment/channel.ts";
import { compactClaim } from "../payment/voucher.ts";
import type { BatchRun } from "./batch-run.ts";

/** SettlementHub as the settler uses it. */
export type HubClient = {
  /** The account that submits, in lowercase as in the indexed rows. */
  node: Hex;
  /** Id of this node's batch at the latest block, 0 where the hub does not have it. */
  batchIdOf: (receiptsRoot: Hex) => Promise<bigint>;
  /** Submit and wait until mined. @throws SubmissionRefusedError with the contract's error, and viem's own where the node is away or nothing is mined in time: all are tried again. */
  submit: (run: Omit<BatchRun, "updatedAt">) => Promise<Hex>;
  /** Channels whose balance does not cover what the batch claims of them: their payers have left. */
  emptied: (run: Pick<BatchRun, "submission">) => Promise<Hex[]>;
};

type Options = {
  rpcUrl: string;
  chainId: bigint;
  hub: Hex;
  account: Account;
  /** The chain keeps only the hash of a channel's configuration; each claim brings it along. */
  configOf: (channelId: Hex) => Promise<ChannelConfig>;
};

/** The escrow refuses through the hub. */
const escrowErrors = channelEscrowAbi.filter((item) => item.type === "error");
const abi = [...settlementHubAbi, ...escrowErrors] as const;

export function createHubClient({ rpcUrl, chainId, hub, account, configOf }: Options): HubClient {
  const chain = developmentNamed(chainId, rpcUrl);
  const reader = createPublicClient({ chain, transport: http(rpcUrl), pollingInterval: 100 });
  const wallet = createWalletClient({ chain, account, transport: http(rpcUrl) });
  const contract = { address: hub, abi } as const;
  const emptied: HubClient["emptied"] = async ({ submission: { claims } }) => {
    const escrow = await reader.readContract({ ...contract, functionName: "escrow" });
    const balances = await Promise.all(
      claims.map(({ channelId }) =>
        reader.readContract({
          address: escrow,
          abi: channelEscrowAbi,
          functionName: "channels",
          args: [channelId],
        }),
      ),
    );
    return claims
      .filter(({ totalClaimed }, index) => totalClaimed > balances[index]![0])
      .map(({ channelId }) => channelId);
  };
  return {
    emptied,
    node: account.address.toLowerCase() as Hex,
    batchIdOf: (receiptsRoot) =>
      reader.readContract({ ...contract, functionName: "batchIdOf", args: [account.address, receiptsRoot] }),
    submit: async ({ submission: { claims, totals }, receiptsRoot, contentHash, daCommitment }) => {
      invariant(daCommitment !== null, "a batch is dispersed before it is submitted");
      const compactClaims = await Promise.all(
        claims.map(async ({ channelId, ...claim }) => compactClaim(await configOf(channelId), claim)),
      );
      const from = account.address;
      const args = [from, compactClaims, [], totals, receiptsRoot, contentHash, daCommitment] as const;
      try {
        const { request } = await reader.simulateContract({
          ...contract,
          functionName: "submitBatch",
          args,
          account,
        });
        const hash = await wallet.writeContract(request);
        const mined = await reader.waitForTransactionReceipt({ hash, timeout: submissionMsMax });
        if (mined.status !== "success") throw new SubmissionRefusedError(receiptsRoot, "reverted when mined");
        return hash;
      } catch (error) {
        const reverted =
          error instanceof BaseError && error.walk((e) => e instanceof ContractFunctionRevertedError);
        if (!(reverted instanceof ContractFunctionRevertedError)) throw error;
        throw new SubmissionRefusedError(
          receiptsRoot,
          reverted.data?.errorName ?? reverted.shortMessage,
          error,
        );
      }
    },
  };
}

/** viem wants a chain for signing; only its id matters here. */
function developmentNamed(chainId: bigint, rpcUrl: string): Chain {
  return defineChain({
    id: Number(chainId),
    name: `chain ${chainId}`,
    nativeCurrency: { name: "OPEN", symbol: "OPEN", decimals: 18 },
    rpcUrls: { default: { http: [rpcUrl] } },
  });
}

export class SubmissionRefusedError extends PipelineError {
  override readonly name = "SubmissionRefusedError";
  constructor(receiptsRoot: Hex, reason: string, cause?: unknown) {
    super(`hub refused batch ${receiptsRoot}: ${reason}`, {
      code: "submission_refused",
      retryable: true,
      cause,
    });
  }
}
