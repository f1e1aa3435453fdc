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

on("ModelRegistry:ModelRegistered", modelRegistry.applyModelRegistered);
on("ModelRegistry:LineageEdge", modelRegistry.applyLineageEdge);
on("ModelRegistry:DatanetUsed", modelRegistry.applyDatanetUsed);
on("ModelRegistry:ServingNodeRegistered", modelRegistry.applyServingNodeRegistered);

on("ChannelEscrow:ChannelCreated", channelEscrow.applyChannelCreated);
on("ChannelEscrow:Deposited", channelEscrow.applyDeposited);
on("ChannelEscrow:Claimed", channelEscrow.applyVoucherClaimed);
on("ChannelEscrow:Settled", channelEscrow.applySettled);
on("ChannelEscrow:Refunded", channelEscrow.applyRefunded);
on("ChannelEscrow:WithdrawInitiated", channelEscrow.applyWithdrawInitiated);
on("ChannelEscrow:WithdrawFinalized", channelEscrow.applyWithdrawFinalized);

on("SettlementHub:BatchSettled", settlementHub.applyBatchSettled);
on("SettlementHub:ModelUsage", settlementHub.applyModelUsage);
on("SettlementHub:NodeCredited", settlementHub.applyNodeCredited);
on("SettlementHub:NodePaid", settlementHub.applyNodePaid);
on("SettlementHub:ReceiptChallenged", settlementHub.applyReceiptChallenged);
on("SettlementHub:ReceiptChallengeResolved", settlementHub.applyReceiptChallengeResolved);

on("AttributionLedger:EpochProposed", attributionLedger.applyEpochProposed);
on("AttributionLedger:EpochDisputed", attributionLedger.applyEpochDisputed);
on("AttributionLedger:EpochResolved", attributionLedger.applyEpochResolved);
on("AttributionLedger:LeafDisputed", attributionLedger.applyLeafDisputed);
on("AttributionLedger:EpochAbandoned", attributionLedger.applyEpochAbandoned);
on("AttributionLedger:EpochFinalized", attributionLedger.applyEpochFinalized);
on("AttributionLedger:BondCredited", attributionLedger.applyBondCredited);
on("AttributionLedger:BondWithdrawn", attributionLedger.applyBondWithdrawn);

on("RewardDistributor:Funded", rewardDistributor.applyFunded);
on("RewardDistributor:RootActivated", rewardDistributor.applyRootActivated);
on("RewardDistributor:Claimed", rewardDistributor.applyRewardClaimed);
on("RewardDistributor:ClaimerSet", rewardDistributor.applyClaimerSet);

function on<N extends EventNames>(source: N, apply: (args: Args<N>) => Promise<void>): void {
  ponder.on(source, async (args) => {
    await recordEvent(source, args as Args<N>);
    await apply(args as Args<N>);
  });
}
