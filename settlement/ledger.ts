import {
  type Account,
  type Address,
  bytesToHex,
  type Chain,
  encodeAbiParameters,
  getAbiItem,
  type Hex,
  keccak256,
  type PublicClient,
  type Transport,
  type WalletClient,
} from "viem";
import { attributionLedgerAbi } from "#schema/abi/attribution-ledger";
import { datanetRegistryAbi } from "#schema/abi/datanet-registry";
import { openTokenAbi } from "#schema/abi/open-token";
import { rewardDistributorAbi } from "#schema/abi/reward-distributor";
import type { Deployment } from "#schema/deployment";
import { invariant, PipelineError } from "#schema/errors";
import type { Usage } from "./allocation/usage.ts";

/** Wire values of an epoch's status on chain. */
export const epochStatus = { none: 0, proposed: 1, disputed: 2, rejected: 3, finalized: 4 } as const;

/** EpochHeader of IAttributionLedger.sol. */
export type EpochHeader = {
  rewardRoot: Hex;
  attributionRoot: Hex;
  receiptsAccumulator: Hex;
  rootTotal: bigint;
  fromBlock: bigint;
  toBlock: bigint;
  methodHash: Hex;
  contentHash: Hex;
  daRef: Hex;
};

/** The newest proposal of an epoch number. */
export type Proposal = EpochHeader & { daCommitment: Hex; txHash: Hex };

/** `deadline` in unix seconds: end of the challenge window while proposed, of the arbiter's time while disputed. */
export type ChainEpoch = { status: number; deadline: bigint };

export type Wallet = WalletClient<Transport, Chain | undefined, Account>;

/** Gas sent, in percent of the estimate: what a burn costs depends on whether the last checkpoint is of the same second. */
const gasMarginPercent = 130n;

/** Most blocks in one request for logs; public nodes refuse wider ranges. */
const logBlocksMax = 10_000n;
/** Most Datanets in one call, some 25,000 gas each. */
export const usagesMax = 100;
/** Time a transaction may take to be mined, in ms. */
const receiptMsMax = 60_000;

/** The ledger and what surrounds it, as seen now: every answer may be reorganised away. */
export class Ledger {
  readonly client: PublicClient;
  readonly #contracts: Deployment["contracts"];
  readonly #deployBlock: bigint;

  constructor(client: PublicClient, deployment: Deployment) {
    this.client = client;
    this.#contracts = deployment.contracts;
    this.#deployBlock = BigInt(deployment.deployBlock);
  }

  async epochOf(epochId: bigint): Promise<ChainEpoch> {
    const [status, deadline] = await this.client.readContract({
      address: this.#contracts.attributionLedger,
      abi: attributionLedgerAbi,
      functionName: "statusOf",
      args: [epochId],
    });
    return { status, deadline };
  }

  /** Whether this is the header of the open epoch: the chain keeps a hash of it alone. */
  async isOpen(header: EpochHeader): Promise<boolean> {
    const read = { address: this.#contracts.attributionLedger, abi: attributionLedgerAbi } as const;
    const [before, open] = await Promise.all([
      this.client.readContract({ ...read, functionName: "headerHash" }),
      this.client.readContract({ ...read, functionName: "openHeaderHash" }),
    ]);
    return open === headerHash(before, header);
  }

  fundedWei(): Promise<bigint> {
    return this.client.readContract({
      address: this.#contracts.rewardDistributor,
      abi: rewardDistributorAbi,
      functionName: "totalFunded",
    });
  }

  /** The newest EpochProposed of this number after `fromBlock`. The status must say that there is one. */
  async proposalOf(epochId: bigint, fromBlock: bigint): Promise<Proposal> {
    const head = await this.client.getBlockNumber({ cacheTime: 0 });
    const start = fromBlock > this.#deployBlock ? fromBlock : this.#deployBlock;
    for (let to = head; to >= start; to -= logBlocksMax) {
      const from = to - logBlocksMax + 1n;
      const logs = await this.client.getContractEvents({
        address: this.#contracts.attributionLedger,
        abi: attributionLedgerAbi,
        eventName: "EpochProposed",
        args: { epoch: epochId },
        fromBlock: from > start ? from : start,
        toBlock: to,
        strict: true,
      });
      const last = logs.at(-1);
      if (last !== undefined) return { ...last.args, txHash: last.transactionHash };
    }
    throw new ProposalMissingError(epochId);
  }

  /** Approve the bond if needed and propose. @throws ProposalRevertedError, BondUnaffordableError */
  async propose(wallet: Wallet, epochId: bigint, header: EpochHeader, daCommitment: Hex): Promise<Hex> {
    await this.#coverBond(wallet);
    return this.#send(wallet, "propose", [epochId, header, daCommitment]);
  }

  /** Reject a disputed epoch that the arbiter did not rule on in time; anyone may. @throws ProposalRevertedError */
  rejectUnresolved(wallet: Wallet, epochId: bigint): Promise<Hex> {
    return this.#send(wallet, "rejectUnresolved", [epochId]);
  }

  /** @param header As proposed. */
  finalize(wallet: Wallet, epochId: bigint, header: EpochHeader): Promise<Hex> {
    return this.#send(wallet, "finalize", [epochId, header]);
  }

  /** Usage root of a Datanet in an epoch; zero while none is recorded. */
  usageRootOf(epochId: bigint, datanetId: bigint): Promise<Hex> {
    return this.client.readContract({
      address: this.#contracts.datanetRegistry,
      abi: datanetRegistryAbi,
      functionName: "usageRootOf",
      args: [epochId, datanetId],
    });
  }

  /** Put the usage of a final epoch on chain: of at most `usagesMax` Datanets. @throws ProposalRevertedError */
  async recordUsage(wallet: Wallet, epochId: bigint, usages: readonly Usage[]): Promise<Hex> {
    const given = usages.map(({ datanetId, usageRoot, amountWei }) => ({
      datanetId,
      usageRoot,
      amount: amountWei,
    }));
    try {
      const { request } = await this.client.simulateContract({
        address: this.#contracts.datanetRegistry,
        abi: datanetRegistryAbi,
        functionName: "recordUsage",
        args: [epochId, given],
        account: wallet.account,
      });
      const hash = await wallet.writeContract({ ...request, chain: null });
      await this.#mined(hash, "recordUsage");
      return hash;
    } catch (cause) {
      if (cause instanceof PipelineError) throw cause;
      throw new ProposalRevertedError("recordUsage", cause);
    }
  }

  /** Bonds come back as a credit, which pays the next one; less than one is drawn when the balance alone cannot. */
  async #coverBond(wallet: Wallet): Promise<void> {
    const poster = wallet.account.address;
    const read = { address: this.#contracts.attributionLedger, abi: attributionLedgerAbi } as const;
    const bondWei = await this.client.readContract({ ...read, functionName: "bondAmount" });
    const args = [poster] as const;
    const creditWei = await this.client.readContract({ ...read, functionName: "bondCredit", args });
    if (creditWei >= bondWei) return;
    const token = { address: this.#contracts.openToken, abi: openTokenAbi } as const;
    if (creditWei > 0n && (await this.#balanceOf(poster)) < bondWei) {
      await this.#send(wallet, "withdrawBond", []);
    }
    const balanceWei = await this.#balanceOf(poster);
    if (balanceWei < bondWei) throw new BondUnaffordableError(poster, balanceWei, bondWei);
    const spender = this.#contracts.attributionLedger;
    const allowedWei = await this.client.readContract({
      ...token,
      functionName: "allowance",
      args: [poster, spender],
    });
    if (allowedWei >= bondWei) return;
    const hash = await wallet.writeContract({
      ...token,
      functionName: "approve",
      args: [spender, bondWei],
      chain: null,
    });
    await this.#mined(hash, "approve");
  }

  #balanceOf(account: Address): Promise<bigint> {
    const { openToken } = this.#contracts;
    return this.client.readContract({
      address: openToken,
      abi: openTokenAbi,
      functionName: "balanceOf",
      args: [account],
    });
  }

  async #send(
    wallet: Wallet,
    functionName: "propose" | "finalize" | "rejectUnresolved" | "withdrawBond",
    args: readonly unknown[],
  ) {
    const request = {
      address: this.#contracts.attributionLedger,
      abi: attributionLedgerAbi,
      functionName,
      args,
    };
    try {
      // The argument types follow from the name at each caller; viem cannot join them into one.
      const estimate = await this.client.estimateContractGas({
        ...request,
        account: wallet.account,
      } as never);
      const gas = (estimate * gasMarginPercent) / 100n;
      const hash = await wallet.writeContract({ ...request, gas, chain: null } as never);
      await this.#mined(hash, functionName);
      return hash;
    } catch (cause) {
      if (cause instanceof PipelineError) throw cause;
      throw new ProposalRevertedError(functionName, cause);
    }
  }

  async #mined(hash: Hex, functionName: string): Promise<void> {
    const { status } = await this.client.waitForTransactionReceipt({ hash, timeout: receiptMsMax });
    if (status !== "success") throw new ProposalRevertedError(functionName, `transaction ${hash} reverted`);
  }
}

/** keccak256(abi.encode(hash of the last final epoch, header)), as the ledger chains headers. */
function headerHash(before: Hex, header: EpochHeader): Hex {
  const { inputs } = getAbiItem({ abi: attributionLedgerAbi, name: "propose" });
  return keccak256(encodeAbiParameters([{ type: "bytes32" }, inputs[1]], [before, header]));
}

/** daRef of a certificate. */
export function daRefOf(certificate: Uint8Array): { daCommitment: Hex; daRef: Hex } {
  invariant(certificate.length > 0, "a certificate has bytes");
  return { daCommitment: bytesToHex(certificate), daRef: keccak256(certificate) };
}

/** The chain refused or lost our transaction; the next pass reads the chain again and decides anew. */
export class ProposalRevertedError extends PipelineError {
  override readonly name = "ProposalRevertedError";
  constructor(functionName: string, cause: unknown) {
    const reason = cause instanceof Error ? cause.message.split("\n").slice(0, 3).join(" ") : String(cause);
    super(`${functionName} did not go through: ${reason}`, {
      code: "proposal_reverted",
      retryable: true,
      cause,
    });
  }
}

export class ProposalMissingError extends PipelineError {
  override readonly name = "ProposalMissingError";
  constructor(epochId: bigint) {
    super(`The chain says epoch ${epochId} is proposed, but its node returns no EpochProposed.`, {
      code: "proposal_missing",
      retryable: true,
    });
  }
}

export class BondUnaffordableError extends PipelineError {
  override readonly name = "BondUnaffordableError";
  constructor(poster: Address, balanceWei: bigint, bondWei: bigint) {
    super(
      `Poster ${poster} cannot pay the bond. Needed: ${bondWei} wei. Balance: ${balanceWei} wei of OPEN.`,
      {
        code: "bond_unaffordable",
        retryable: true,
      },
    );
  }
}
