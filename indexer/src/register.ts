/** Every event, in the order of the chain of work. Each is recorded first, then applied; Ponder runs them in log order. */
import { type EventNames, ponder } from "ponder:registry";
import * as attributionLedger from "./attribution-ledger.ts";
import * as channelEscrow from "./channel-escrow.ts";
import * as curve from "./curve.ts";
import * as daCertMirror from "./da-cert-mirror.ts";
import * as datanetRegistry from "./datanet-registry.ts";
import * as governor from "./governor.ts";
import type { Args } from "./handler.ts";
import * as modelProposals from "./model-proposals.ts";
import * as modelRegistry from "./model-registry.ts";
import * as openToken from "./open-token.ts";
import * as permissions from "./permissions.ts";
import { recordEvent } from "./record.ts";
import * as rewardDistributor from "./reward-distributor.ts";
import * as settlementHub from "./settlement-hub.ts";
import * as stakeVault from "./stake-vault.ts";
import * as timelock from "./timelock.ts";

on("StakeVault:Staked", stakeVault.applyStaked);
on("StakeVault:UnstakeRequested", stakeVault.applyUnstakeRequested);
on("StakeVault:UnstakeCancelled", stakeVault.applyUnstakeCancelled);
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
on("DatanetRegistry:DatanetRulesSet", datanetRegistry.applyDatanetRulesSet);
on("DatanetRegistry:DatanetOwnershipTransferred", datanetRegistry.applyDatanetOwnershipTransferred);
on("DatanetRegistry:DatanetStatusChanged", datanetRegistry.applyDatanetStatusChanged);
on("DatanetRegistry:ContributionScored", datanetRegistry.applyContributionScored);
on("DatanetRegistry:DatanetUsageRecorded", datanetRegistry.applyDatanetUsageRecorded);
on("DatanetRegistry:AccessRequested", datanetRegistry.applyAccessRequested);
on("DatanetRegistry:AccessGranted", datanetRegistry.applyAccessGranted);
on("DatanetRegistry:AccessRefused", datanetRegistry.applyAccessRefused);
on("DatanetRegistry:Upgraded", datanetRegistry.applyUpgraded);
on("DatanetRegistry:UpgradeabilityRevoked", datanetRegistry.applyUpgradeabilityRevoked);

on("ModelRegistry:ModelRegistered", modelRegistry.applyModelRegistered);
on("ModelRegistry:LineageEdge", modelRegistry.applyLineageEdge);
on("ModelRegistry:DatanetUsed", modelRegistry.applyDatanetUsed);
on("ModelRegistry:TrainingManifestPublished", modelRegistry.applyTrainingManifestPublished);
on("ModelRegistry:ServingNodeRegistered", modelRegistry.applyServingNodeRegistered);
on("ModelRegistry:ServingNodeRetired", modelRegistry.applyServingNodeRetired);
on("ModelRegistry:ModelOwnershipTransferred", modelRegistry.applyModelOwnershipTransferred);
on("ModelRegistry:ModelServiceTierSet", modelRegistry.applyModelServiceTierSet);
on("ModelRegistry:ModelVersionPublished", modelRegistry.applyModelVersionPublished);
on("ModelRegistry:ModelStatusChanged", modelRegistry.applyModelStatusChanged);
on("ModelRegistry:Upgraded", modelRegistry.applyUpgraded);
on("ModelRegistry:UpgradeabilityRevoked", modelRegistry.applyUpgradeabilityRevoked);

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
on("SettlementHub:IntakePaused", settlementHub.applyIntakePaused);
on("SettlementHub:IntakeResumed", settlementHub.applyIntakeResumed);

on("AttributionLedger:EpochProposed", attributionLedger.applyEpochProposed);
on("AttributionLedger:EpochDisputed", attributionLedger.applyEpochDisputed);
on("AttributionLedger:EpochResolved", attributionLedger.applyEpochResolved);
on("AttributionLedger:LeafDisputed", attributionLedger.applyLeafDisputed);
on("AttributionLedger:CertificateProvenInvalid", attributionLedger.applyCertificateProvenInvalid);
on("AttributionLedger:IntakePaused", attributionLedger.applyIntakePaused);
on("AttributionLedger:IntakeResumed", attributionLedger.applyIntakeResumed);
on("AttributionLedger:EpochAbandoned", attributionLedger.applyEpochAbandoned);
on("AttributionLedger:EpochFinalized", attributionLedger.applyEpochFinalized);
on("AttributionLedger:BondCredited", attributionLedger.applyBondCredited);
on("AttributionLedger:BondDebited", attributionLedger.applyBondDebited);
on("AttributionLedger:BondWithdrawn", attributionLedger.applyBondWithdrawn);

on("RewardDistributor:Funded", rewardDistributor.applyFunded);
on("RewardDistributor:RootActivated", rewardDistributor.applyRootActivated);
on("RewardDistributor:Claimed", rewardDistributor.applyRewardClaimed);
on("RewardDistributor:ClaimerSet", rewardDistributor.applyClaimerSet);

on("DaCertMirror:DACertVerified", daCertMirror.applyDaCertVerified);

on("DatanetDaoFactory:DatanetDaoCreated", governor.applyDatanetDaoCreated);
on("DatanetDao:ProposalCreated", governor.applyProposalCreated);
on("DatanetDao:ProposalQueued", governor.applyProposalQueued);
on("DatanetDao:ProposalExecuted", governor.applyProposalExecuted);
on("DatanetDao:ProposalCanceled", governor.applyProposalCanceled);
on("DatanetDao:VoteCast", governor.applyVoteCast);
on("DatanetDao:VoteCastWithParams", governor.applyVoteCastWithParams);

on("ModelProposals:ModelProposed", modelProposals.applyModelProposed);
on("ModelProposals:ModelProposalVote", modelProposals.applyModelProposalVote);
on("ModelProposals:ModelProposalResolved", modelProposals.applyModelProposalResolved);
on("ModelProposals:ModelDeployed", modelProposals.applyModelDeployed);
on("ModelProposals:ModelReported", modelProposals.applyModelReported);
on("ModelProposals:ModelReportResolved", modelProposals.applyModelReportResolved);
on("ModelProposals:ModelPenalised", modelProposals.applyModelPenalised);
on("ModelProposals:BondCredited", modelProposals.applyBondCredited);
on("ModelProposals:BondWithdrawn", modelProposals.applyBondWithdrawn);

on("CurveFactory:CurveCreated", curve.applyCurveCreated);
on("ModelCurve:Bought", curve.applyBought);
on("ModelCurve:Sold", curve.applySold);
on("ModelCurve:FeesCollected", curve.applyFeesCollected);
on("ModelCurve:Transfer", curve.applyCurveTransfer);
on("ModelCurve:Approval", curve.applyCurveApproval);

on("OpenToken:Transfer", openToken.applyTransfer);
on("OpenToken:Approval", openToken.applyApproval);
on("OpenToken:DelegateChanged", openToken.applyDelegateChanged);
on("OpenToken:DelegateVotesChanged", openToken.applyDelegateVotesChanged);
on("OpenToken:AuthorizationUsed", openToken.applyAuthorizationUsed);
on("OpenToken:AuthorizationCanceled", openToken.applyAuthorizationCanceled);
on("OpenToken:Deposit", openToken.applyDeposit);
on("OpenToken:Withdrawal", openToken.applyWithdrawal);

on("TributaryGovernor:ProposalCreated", governor.applyProposalCreated);
on("TributaryGovernor:ProposalQueued", governor.applyProposalQueued);
on("TributaryGovernor:ProposalExecuted", governor.applyProposalExecuted);
on("TributaryGovernor:ProposalCanceled", governor.applyProposalCanceled);
on("TributaryGovernor:ProposalExtended", governor.applyProposalExtended);
on("TributaryGovernor:VoteCast", governor.applyVoteCast);
on("TributaryGovernor:VoteCastWithParams", governor.applyVoteCastWithParams);
on("TributaryGovernor:VotingDelaySet", governor.applyVotingDelaySet);
on("TributaryGovernor:VotingPeriodSet", governor.applyVotingPeriodSet);
on("TributaryGovernor:ProposalThresholdSet", governor.applyProposalThresholdSet);
on("TributaryGovernor:QuorumNumeratorUpdated", governor.applyQuorumNumeratorUpdated);
on("TributaryGovernor:LateQuorumVoteExtensionSet", governor.applyLateQuorumVoteExtensionSet);
on("TributaryGovernor:TimelockChange", governor.applyTimelockChange);

on("Timelock:CallScheduled", timelock.applyCallScheduled);
on("Timelock:CallExecuted", timelock.applyCallExecuted);
on("Timelock:CallSalt", timelock.applyCallSalt);
on("Timelock:Cancelled", timelock.applyCancelled);
on("Timelock:MinDelayChange", timelock.applyMinDelayChange);
on("Timelock:RoleGranted", timelock.applyTimelockRoleGranted);
on("Timelock:RoleRevoked", timelock.applyTimelockRoleRevoked);
on("Timelock:RoleAdminChanged", timelock.applyTimelockRoleAdminChanged);

on("Permissions:RoleGranted", permissions.applyRoleGranted);
on("Permissions:RoleRevoked", permissions.applyRoleRevoked);
on("Permissions:TargetFunctionRoleUpdated", permissions.applyTargetFunctionRoleUpdated);
on("Permissions:RoleLabel", permissions.applyRoleLabel);
on("Permissions:RoleAdminChanged", permissions.applyRoleAdminChanged);
on("Permissions:RoleGuardianChanged", permissions.applyRoleGuardianChanged);
on("Permissions:RoleGrantDelayChanged", permissions.applyRoleGrantDelayChanged);
on("Permissions:TargetClosed", permissions.applyTargetClosed);
on("Permissions:TargetAdminDelayUpdated", permissions.applyTargetAdminDelayUpdated);
on("Permissions:OperationScheduled", permissions.applyOperationScheduled);
on("Permissions:OperationExecuted", permissions.applyOperationExecuted);
on("Permissions:OperationCanceled", permissions.applyOperationCanceled);

function on<N extends EventNames>(source: N, apply: (args: Args<NoInfer<N>>) => Promise<void>): void {
  ponder.on(source, async (args) => {
    await recordEvent(source, args as Args<N>);
    await apply(args as Args<N>);
  });
}
