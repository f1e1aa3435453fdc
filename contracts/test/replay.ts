/**
 * Rebuilds the storage of the contracts from their logs alone: no call data, no traces, no reads. What it cannot know is
 * not in any log: token allowances (OpenZeppelin emits no Approval on transferFrom) and past votes.
 */
import {
  type DecodeEventLogReturnType,
  encodeAbiParameters,
  getAbiItem,
  type Hex,
  keccak256,
  type Log,
  parseEventLogs,
  zeroAddress,
  zeroHash,
} from "viem";
import { attributionLedgerAbi } from "#schema/abi/attribution-ledger";
import { channelEscrowAbi } from "#schema/abi/channel-escrow";
import { datanetRegistryAbi } from "#schema/abi/datanet-registry";
import { modelRegistryAbi } from "#schema/abi/model-registry";
import { openTokenAbi } from "#schema/abi/open-token";
import { rewardDistributorAbi } from "#schema/abi/reward-distributor";
import { settlementHubAbi } from "#schema/abi/settlement-hub";
import { stakeVaultAbi } from "#schema/abi/stake-vault";

/** One getter with its arguments and the value the logs say it has. */
export type Slot = { functionName: string; args: readonly unknown[]; value: unknown };

/** What one contract's getters must answer. */
export class Slots {
  readonly #slots = new Map<string, Slot>();

  set(functionName: string, args: readonly unknown[], value: unknown): void {
    this.#slots.set(keyOf(functionName, args), { functionName, args, value });
  }

  /** @returns the value set last, or `initial`. */
  get<T>(functionName: string, args: readonly unknown[], initial: T): T {
    return (this.#slots.get(keyOf(functionName, args))?.value as T | undefined) ?? initial;
  }

  add(functionName: string, args: readonly unknown[], amount: bigint): void {
    this.set(functionName, args, this.get(functionName, args, 0n) + amount);
  }

  all(): Slot[] {
    return [...this.#slots.values()];
  }
}

function keyOf(functionName: string, args: readonly unknown[]): string {
  return `${functionName}(${JSON.stringify(args, (_, value) => (typeof value === "bigint" ? `${value}` : value))})`;
}

export function replayOpenToken(logs: Log[]): Slots {
  const slots = new Slots();
  const votes = ["DelegateChanged", "DelegateVotesChanged"] as const;
  for (const { eventName, args } of parseEventLogs({ abi: openTokenAbi, logs, eventName: [...votes] })) {
    if (eventName === "DelegateChanged") slots.set("delegates", [args.delegator], args.toDelegate);
    else slots.set("getVotes", [args.delegate], args.newVotes);
  }
  const authorizations = ["AuthorizationUsed", "AuthorizationCanceled"] as const;
  for (const { args } of parseEventLogs({ abi: openTokenAbi, logs, eventName: [...authorizations] })) {
    slots.set("authorizationState", [args.authorizer, args.nonce], true);
  }
  for (const { args } of parseEventLogs({ abi: openTokenAbi, logs, eventName: "Transfer" })) {
    slots.add(
      ...(args.from === zeroAddress ? supply : balanceOf(args.from)),
      args.from === zeroAddress ? args.value : -args.value,
    );
    slots.add(
      ...(args.to === zeroAddress ? supply : balanceOf(args.to)),
      args.to === zeroAddress ? -args.value : args.value,
    );
  }
  return slots;
}

const supply: [string, unknown[]] = ["totalSupply", []];
const balanceOf = (account: Hex): [string, unknown[]] => ["balanceOf", [account]];

type Stake = readonly [amount: bigint, unlockAt: bigint, locks: number];

export function replayStakeVault(logs: Log[]): Slots {
  const slots = new Slots();
  for (const { eventName, args } of parseEventLogs({ abi: stakeVaultAbi, logs })) {
    const key = [args.scope, args.account];
    const [amount, unlockAt, locks] = slots.get<Stake>("stakeOf", key, [0n, 0n, 0]);
    switch (eventName) {
      case "Staked":
        slots.set("stakeOf", key, [args.newStake, 0n, locks]);
        slots.set("votableOf", key, args.newStake);
        slots.set("votable", [args.scope], args.newVotable);
        slots.add("totalStaked", [], args.amount);
        break;
      case "UnstakeRequested":
        slots.set("stakeOf", key, [args.amount, args.unlockAt, locks]);
        slots.set("votableOf", key, 0n);
        slots.set("votable", [args.scope], args.newVotable);
        break;
      case "UnstakeCancelled":
        slots.set("stakeOf", key, [amount, 0n, locks]);
        slots.set("votableOf", key, amount);
        slots.set("votable", [args.scope], args.newVotable);
        break;
      case "Unstaked":
        slots.set("stakeOf", key, [args.newStake, 0n, locks]);
        slots.add("totalStaked", [], -args.amount);
        break;
      case "StakeLocked":
      case "StakeReleased":
        slots.set("stakeOf", key, [amount, unlockAt, args.locks]);
        break;
      case "Slashed":
        slots.set("stakeOf", key, [args.newStake, unlockAt, locks]);
        slots.add("totalStaked", [], -args.amount);
        slots.add("totalSlashed", [], args.amount);
        if (unlockAt !== 0n) break;
        slots.set("votableOf", key, args.newStake);
        slots.add("votable", [args.scope], -args.amount);
        break;
    }
  }
  return slots;
}

type Params = { votingPeriodSeconds: bigint; quorumBps: number; slashBps: number };
type Batch = Record<string, unknown>;

export function replayDatanetRegistry(logs: Log[]): Slots {
  const slots = new Slots();
  const patch = (batchId: bigint, changes: Batch) =>
    slots.set("batchOf", [batchId], { ...slots.get<Batch>("batchOf", [batchId], {}), ...changes });
  for (const { eventName, args } of parseEventLogs({ abi: datanetRegistryAbi, logs })) {
    switch (eventName) {
      case "DatanetCreated":
        slots.set("ownerOf", [args.datanetId], args.owner);
        slots.set("paramsOf", [args.datanetId], args.params);
        slots.set("datanetCount", [], args.datanetId);
        break;
      case "ContributionSubmitted": {
        const { datanetId, batchId, contributor, voteEnd, snapshotVotable } = args;
        const { quorumBps, slashBps } = slots.get<Params>("paramsOf", [datanetId], {} as Params);
        const terms = { datanetId, contributor, voteEnd, quorumBps, slashBps, snapshotVotable };
        patch(batchId, { ...terms, state: 1, forW: 0n, againstW: 0n });
        slots.set("rulesOfBatch", [batchId], slots.get("rulesOf", [datanetId], [zeroHash, zeroHash]));
        slots.set("batchCount", [], batchId);
        break;
      }
      case "ValidationVote":
        patch(args.batchId, { forW: args.forW, againstW: args.againstW });
        slots.set("hasVoted", [args.batchId, args.validator], true);
        break;
      case "ContributionResolved":
        patch(args.batchId, { state: args.outcome, forW: args.forW, againstW: args.againstW });
        break;
      case "ContributionRetracted":
        patch(args.batchId, { state: 5 });
        break;
      case "ContributionScored":
        slots.set("qualityOf", [args.batchId], args.quality);
        break;
      default:
        replayDatanetTerms(slots, eventName, args as never);
    }
  }
  return slots;
}

type Terms = DecodeEventLogReturnType<typeof datanetRegistryAbi>;

/** What the owner of a Datanet changed, who may use it, and how it was used. */
function replayDatanetTerms(slots: Slots, name: string, given: unknown): void {
  const { eventName, args } = { eventName: name, args: given } as Terms;
  switch (eventName) {
    case "DatanetParamsUpdated":
      slots.set("paramsOf", [args.datanetId], args.newParams);
      break;
    case "DatanetRulesSet":
      slots.set("rulesOf", [args.datanetId], [args.formatHash, args.validationRuleHash]);
      break;
    case "DatanetOwnershipTransferred":
      slots.set("ownerOf", [args.datanetId], args.to);
      break;
    case "DatanetStatusChanged":
      slots.set("statusOf", [args.datanetId], args.newStatus);
      break;
    case "DatanetUsageRecorded":
      slots.set("usageRootOf", [args.epoch, args.datanetId], args.usageRoot);
      break;
    case "AccessRequested": {
      const request = [args.datanetId, args.account, 1, 0n, args.purposeHash];
      slots.set("accessRequestOf", [args.requestId], request);
      slots.set("accessRequestCount", [], args.requestId);
      break;
    }
    case "AccessGranted":
      patchRequest(slots, args.requestId, (request) => request.with(2, 2).with(3, args.expiresAt));
      slots.set("accessUntil", [args.datanetId, args.account], args.expiresAt);
      break;
    case "AccessRefused":
      patchRequest(slots, args.requestId, (request) => request.with(2, 3));
      if (args.isRevoked) slots.set("accessUntil", [args.datanetId, args.account], 0n);
      break;
    case "UpgradeabilityRevoked":
      slots.set("isUpgradeable", [], false);
      break;
  }
}

function patchRequest(slots: Slots, id: bigint, patch: (request: unknown[]) => unknown[]): void {
  slots.set("accessRequestOf", [id], patch(slots.get<unknown[]>("accessRequestOf", [id], [])));
}

export function replayModelRegistry(logs: Log[]): Slots {
  const slots = new Slots();
  for (const { eventName, args } of parseEventLogs({ abi: modelRegistryAbi, logs })) {
    switch (eventName) {
      case "ModelRegistered":
        slots.set("ownerOf", [args.modelId], args.owner);
        slots.set("priceOf", [args.modelId], args.params.pricePerCall);
        slots.set("depthOf", [args.modelId], 0);
        slots.set("versionOf", [args.modelId], 1);
        setTerms(slots, args.modelId, [args.owner, args.params.pricePerCall, 0]);
        break;
      case "ModelOwnershipTransferred":
        slots.set("ownerOf", [args.modelId], args.to);
        setTerms(slots, args.modelId, termsOf(slots, args.modelId).with(0, args.to));
        break;
      case "ModelServiceTierSet":
        setTerms(slots, args.modelId, termsOf(slots, args.modelId).with(2, args.newTier));
        break;
      case "ServingNodeRetired":
        slots.set("isNode", [args.node], false);
        break;
      case "ModelVersionPublished":
        slots.set("versionOf", [args.modelId], args.version);
        break;
      case "ModelStatusChanged":
        slots.set("statusOf", [args.modelId], args.newStatus);
        break;
      case "UpgradeabilityRevoked":
        slots.set("isUpgradeable", [], false);
        break;
      case "LineageEdge":
        slots.set("depthOf", [args.childId], args.depth);
        break;
      case "ServingNodeRegistered":
        slots.set("isNode", [args.node], true);
        break;
      case "DatanetUsed":
      case "TrainingManifestPublished":
        break; // Lives in the log alone.
    }
  }
  return slots;
}

function termsOf(slots: Slots, modelId: Hex): unknown[] {
  return slots.get<unknown[]>("termsOf", [modelId], []);
}

/** owner, price, service tier */
function setTerms(slots: Slots, modelId: Hex, terms: unknown[]): void {
  slots.set("termsOf", [modelId], terms);
}

type Receiver = readonly [totalClaimed: bigint, totalSettled: bigint];

const emptyChannel = { balance: 0n, totalClaimed: 0n, withdrawAmount: 0n, withdrawFinalizeAfter: 0 };

export function replayChannelEscrow(logs: Log[]): Slots {
  const slots = new Slots();
  const receiverOf = new Map<Hex, readonly [receiver: Hex, token: Hex]>();
  const channelOf = (channelId: Hex) => slots.get("channelOf", [channelId], emptyChannel);
  const patch = (channelId: Hex, changes: Partial<typeof emptyChannel>) =>
    slots.set("channelOf", [channelId], { ...channelOf(channelId), ...changes });
  for (const { eventName, args } of parseEventLogs({ abi: channelEscrowAbi, logs })) {
    switch (eventName) {
      case "ChannelCreated":
        receiverOf.set(args.channelId, [args.config.receiver, args.config.token]);
        break;
      case "Deposited":
        patch(args.channelId, { balance: args.newBalance });
        break;
      case "Claimed": {
        patch(args.channelId, { totalClaimed: args.newTotalClaimed });
        const key = receiverOf.get(args.channelId)!;
        const [claimed, settled] = slots.get<Receiver>("receivers", key, [0n, 0n]);
        slots.set("receivers", key, [claimed + args.claimAmount, settled]);
        break;
      }
      case "Settled": {
        const key = [args.receiver, args.token];
        const [claimed, settled] = slots.get<Receiver>("receivers", key, [0n, 0n]);
        slots.set("receivers", key, [claimed, settled + args.amount]);
        break;
      }
      case "Refunded":
        patch(args.channelId, { balance: args.newBalance });
        slots.set("refundNonce", [args.channelId], args.newRefundNonce);
        break;
      case "WithdrawInitiated":
        patch(args.channelId, { withdrawAmount: args.amount, withdrawFinalizeAfter: args.finalizeAfter });
        break;
      case "WithdrawFinalized": {
        const balance = channelOf(args.channelId).balance - args.amount;
        patch(args.channelId, { balance, withdrawAmount: 0n, withdrawFinalizeAfter: 0 });
        break;
      }
    }
  }
  return slots;
}

export function replaySettlementHub(logs: Log[]): Slots {
  const slots = new Slots();
  const requestOf = new Map<Hex, Hex>();
  /** Proven at once: what resolves them says nothing of a challenge of the same receipt that waits for its node. */
  const proven = new Set<Hex>();
  for (const { eventName, args } of parseEventLogs({ abi: settlementHubAbi, logs })) {
    switch (eventName) {
      case "BatchSettled":
        slots.set("batchIdOf", [args.node, args.receiptsRoot], args.batchId);
        slots.set("batchCount", [], args.batchId);
        break;
      case "NodeCredited":
      case "NodePaid":
        slots.set("nodeCredit", [args.node], args.newCredit);
        break;
      case "IntakePaused":
        slots.set("pausedUntil", [], args.pausedUntil);
        break;
      case "IntakeResumed":
        slots.set("pausedUntil", [], 0n);
        break;
      case "ReceiptChallenged":
        requestOf.set(args.receiptHash, args.requestId);
        if (args.answerEnd === 0n) proven.add(args.receiptHash);
        else slots.set("challengeOf", [args.receiptHash], [args.node, args.challenger, args.answerEnd]);
        break;
      case "ReceiptChallengeResolved": {
        if (!proven.delete(args.receiptHash))
          slots.set("challengeOf", [args.receiptHash], [zeroAddress, zeroAddress, 0n]);
        const requestId = requestOf.get(args.receiptHash)!;
        if (args.upheld) slots.set("isFaultProven", [args.node, requestId], true);
        break;
      }
    }
  }
  return slots;
}

export function replayRewardDistributor(logs: Log[]): Slots {
  const slots = new Slots();
  for (const { eventName, args } of parseEventLogs({ abi: rewardDistributorAbi, logs })) {
    switch (eventName) {
      case "Funded":
        slots.set("totalFunded", [], args.totalFunded);
        break;
      case "RootActivated":
        slots.set("root", [], args.root);
        slots.set("epoch", [], args.epoch);
        slots.set("rootTotal", [], args.rootTotal);
        break;
      case "Claimed":
        slots.set("claimed", [args.account], args.cumulative);
        slots.set("totalClaimed", [], args.totalClaimed);
        break;
      case "ClaimerSet":
        slots.set("claimerFor", [args.account], args.claimer);
        break;
    }
  }
  return slots;
}

type Status = readonly [status: number, deadline: bigint, poster: Hex];

/** @param genesis headerHash() before there was an epoch. */
export function replayAttributionLedger(logs: Log[], genesis: Hex): Slots {
  const slots = new Slots();
  let open: Header | undefined;
  for (const { eventName, args } of parseEventLogs({ abi: attributionLedgerAbi, logs })) {
    switch (eventName) {
      case "EpochProposed":
        slots.set("statusOf", [args.epoch], [1, args.challengeEnd, args.poster]);
        slots.set("openHeaderHash", [], headerHash(slots.get("headerHash", [], genesis), args));
        open = args;
        break;
      case "IntakePaused":
        slots.set("pausedUntil", [], args.pausedUntil);
        break;
      case "IntakeResumed":
        slots.set("pausedUntil", [], 0n);
        break;
      case "EpochAbandoned": {
        const [, deadline, poster] = slots.get<Status>("statusOf", [args.epoch], [0, 0n, zeroAddress]);
        slots.set("statusOf", [args.epoch], [3, deadline, poster]);
        break;
      }
      case "LeafDisputed":
      case "CertificateProvenInvalid":
        break; // EpochDisputed or EpochResolved follows.
      case "EpochFinalized":
        slots.set("statusOf", [args.epoch], [4, 0n, zeroAddress]);
        slots.set("epochCount", [], args.epoch);
        slots.set("settledToBlock", [], open!.toBlock);
        slots.set("headerHash", [], headerHash(slots.get("headerHash", [], genesis), open!));
        break;
      case "EpochDisputed":
      case "EpochResolved": {
        const [, before, poster] = slots.get<Status>("statusOf", [args.epoch], [0, 0n, zeroAddress]);
        const status = eventName === "EpochDisputed" ? 2 : args.upheld ? 3 : 1;
        slots.set("statusOf", [args.epoch], [status, status === 3 ? before : args.deadline, poster]);
        break;
      }
      case "BondCredited":
        slots.set("bondCredit", [args.to], args.newCredit);
        break;
      case "BondDebited":
        slots.set("bondCredit", [args.from], args.newCredit);
        break;
      case "BondWithdrawn":
        slots.set("bondCredit", [args.to], 0n);
        break;
    }
  }
  return slots;
}

const proposeInputs = getAbiItem({ abi: attributionLedgerAbi, name: "propose" }).inputs;
type Header = Parameters<typeof encodeAbiParameters<readonly [(typeof proposeInputs)[1]]>>[1][0];

/** keccak256(abi.encode(hash of the last final epoch, header)) */
export function headerHash(before: Hex, header: Header): Hex {
  return keccak256(encodeAbiParameters([{ type: "bytes32" }, proposeInputs[1]], [before, header]));
}
