/** Every event, in the order of the chain of work. Each is recorded first, then applied; Ponder runs them in log order. */
import { type EventNames, ponder } from "ponder:registry";
import * as attributionLedger from "./attribution-ledger.ts";
import * as channelEscrow from "./channel-escrow.ts";
import * as datanetRegistry from "./datanet-registry.ts";
import type { Args } from "./handler.ts";
import * as modelRegistry from "./model-registry.ts";
import { recordEvent } from "./record.ts";
import * as rewardDistributor from "./reward-distributor.ts";
import * as settlementHub from "./settlement-hub.ts";
import * as stakeVault from "./stake-vault.ts";

on("StakeVault:Staked", stakeVault.applyStaked);
on("StakeVault:UnstakeRequested", stakeVault.applyUnstakeRequested);
on("StakeVault:Unstaked", stakeVault.applyUnstaked);
on("StakeVault:StakeLocked", stakeVault.applyStakeLocked);
on("StakeVault:StakeReleased", stakeVault.applyStakeReleased);
on("StakeVault:Slashed", stakeVault.applySlashed);

on("DatanetRegistry:DatanetCreated", datanetRegistry.applyDatanetCreated);
on("DatanetRegistry:ContributionSubmitted", datanetRegistry.applyContributionSubmitted);
on("DatanetRegistry:ValidationVote", datanetRegistry.applyValidationVote);
on("DatanetRegistry:ContributionResolved", datanetRegistry.applyContributionResolved);
on("DatanetRegistry:ContributionRetracted", datanetRegistry.applyContributionRetracted);
on("DatanetRegistry:DatanetParamsUpdated", datanetRegistry.applyDatanetParamsUpdated);
record("DatanetRegistry:DatanetRulesSet");
record("DatanetRegistry:DatanetStatusChanged");
record("DatanetRegistry:ContributionScored");
record("DatanetRegistry:DatanetUsageRecorded");
record("DatanetRegistry:AccessRequested");
record("DatanetRegistry:AccessGranted");
record("DatanetRegistry:AccessRefused");
record("DatanetRegistry:Upgraded");
record("DatanetRegistry:UpgradeabilityRevoked");

on("ModelRegistry:ModelRegistered", modelRegistry.applyModelRegistered);
on("ModelRegistry:LineageEdge", modelRegistry.applyLineageEdge);
on("ModelRegistry:DatanetUsed", modelRegistry.applyDatanetUsed);
on("ModelRegistry:TrainingManifestPublished", modelRegistry.applyTrainingManifestPublished);
on("ModelRegistry:ServingNodeRegistered", modelRegistry.applyServingNodeRegistered);
record("ModelRegistry:ModelVersionPublished");
record("ModelRegistry:ModelStatusChanged");
record("ModelRegistry:Upgraded");
record("ModelRegistry:UpgradeabilityRevoked");

on("ChannelEscrow:ChannelCreated", channelEscrow.applyChannelCreated);
on("ChannelEscrow:Deposited", channelEscrow.applyDeposited);
on("ChannelEscrow:Claimed", channelEscrow.applyVoucherClaimed);
record("ChannelEscrow:Settled");
on("ChannelEscrow:Refunded", channelEscrow.applyRefunded);
on("ChannelEscrow:WithdrawInitiated", channelEscrow.applyWithdrawInitiated);
on("ChannelEscrow:WithdrawFinalized", channelEscrow.applyWithdrawFinalized);

on("SettlementHub:BatchSettled", settlementHub.applyBatchSettled);
on("SettlementHub:ModelUsage", settlementHub.applyModelUsage);
on("SettlementHub:NodeCredited", settlementHub.applyNodeCredited);
on("SettlementHub:NodePaid", settlementHub.applyNodePaid);
record("SettlementHub:ReceiptChallenged");
record("SettlementHub:ReceiptChallengeResolved");
record("SettlementHub:IntakePaused");
record("SettlementHub:IntakeResumed");

on("AttributionLedger:EpochProposed", attributionLedger.applyEpochProposed);
on("AttributionLedger:EpochDisputed", attributionLedger.applyEpochDisputed);
on("AttributionLedger:EpochResolved", attributionLedger.applyEpochResolved);
record("AttributionLedger:LeafDisputed");
record("AttributionLedger:IntakePaused");
record("AttributionLedger:IntakeResumed");
on("AttributionLedger:EpochAbandoned", attributionLedger.applyEpochAbandoned);
on("AttributionLedger:EpochFinalized", attributionLedger.applyEpochFinalized);
on("AttributionLedger:BondCredited", attributionLedger.applyBondCredited);
on("AttributionLedger:BondDebited", attributionLedger.applyBondDebited);
on("AttributionLedger:BondWithdrawn", attributionLedger.applyBondWithdrawn);

on("RewardDistributor:Funded", rewardDistributor.applyFunded);
on("RewardDistributor:RootActivated", rewardDistributor.applyRootActivated);
on("RewardDistributor:Claimed", rewardDistributor.applyRewardClaimed);
on("RewardDistributor:ClaimerSet", rewardDistributor.applyClaimerSet);

/** The row in `onchain.event` is all there is of it: no table mirrors what it changes, or other events of its transaction do. */
function record(source: EventNames): void {
  ponder.on(source, (args) => recordEvent(source, args));
}

function on<N extends EventNames>(source: N, apply: (args: Args<N>) => Promise<void>): void {
  ponder.on(source, async (args) => {
    await recordEvent(source, args as Args<N>);
    await apply(args as Args<N>);
  });
}
