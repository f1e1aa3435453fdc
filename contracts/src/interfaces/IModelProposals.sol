// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IModelCurve} from "./IModelCurve.sol";

/// @title The market of models: proposed with a bond, voted on by holders of OPEN, given a curve, penalised by ruling.
/// @notice Wire values of a proposal's `state`: 0 none, 1 voting, 2 accepted, 3 rejected (quorum against), 4 lapsed (no
/// quorum), 5 deployed. Of a report's: 0 none, 1 open, 2 upheld, 3 rejected, 4 expired.
interface IModelProposals {
    /// @param specHash Hash of the specification at `uri`. @param datanetId What the model is to be built from, 0 if none.
    struct Spec {
        bytes32 specHash;
        string uri;
        uint64 datanetId;
        string name;
        string symbol;
        IModelCurve.CurveParams curve;
    }

    /// @notice A model is voted on until the second `voteEnd`; `bond` in wei.
    event ModelProposed(uint64 indexed proposalId, address indexed proposer, Spec spec, uint128 bond, uint64 voteEnd);
    /// @notice A holder voted; weights and their sums after it in wei.
    event ModelProposalVote(uint64 indexed proposalId, address indexed voter, bool support, uint128 weight, uint128 forW, uint128 againstW);
    /// @notice A vote ended; `burned` is the part of the bond that is lost, in wei.
    event ModelProposalResolved(uint64 indexed proposalId, uint8 state, uint128 forW, uint128 againstW, uint128 burned);
    /// @notice An accepted proposal has its model and its curve.
    event ModelDeployed(uint64 indexed proposalId, bytes32 indexed modelId, address indexed curve);
    /// @notice Somebody put a bond behind a fault of a model; the arbiter rules until the second `rulingEnd`.
    event ModelReported(uint64 indexed reportId, bytes32 indexed modelId, address indexed reporter, bytes32 evidenceHash, bytes evidence, uint64 rulingEnd);
    /// @notice A report was ruled on, or nobody did in time.
    /// @param state 2 upheld, 3 rejected, 4 expired. @param burned Of the reporter's bond.
    event ModelReportResolved(uint64 indexed reportId, uint8 state, uint128 burned);
    /// @notice A staker of a model at fault was slashed; wei.
    event ModelPenalised(uint64 indexed reportId, bytes32 indexed modelId, address indexed account, uint128 slashed);
    /// @notice A bond, or a part of one, waits for its owner; in wei.
    event BondCredited(address indexed to, uint128 amount, uint128 newCredit);
    /// @notice The credit of an account was paid out; `amount` in wei.
    event BondWithdrawn(address indexed to, uint128 amount);

    /// @notice There is no such proposal.
    error UnknownProposal(uint64 proposalId);
    /// @notice There is no such report.
    error UnknownReport(uint64 reportId);
    /// @notice There is no such model.
    error UnknownModel(bytes32 modelId);
    /// @notice There is no such Datanet.
    error UnknownDatanet(uint64 datanetId);
    /// @notice The proposal or report is not in the state this takes.
    error WrongState(uint8 given, uint8 expected);
    /// @notice The vote is not over, and not decided before its end.
    error VotingOpen(uint64 voteEnd);
    /// @notice The vote is over; `voteEnd` in unix seconds.
    error VotingClosed(uint64 voteEnd);
    /// @notice A vote of this account was counted.
    error AlreadyVoted(address voter);
    /// @notice The account held no votes before the proposal.
    error NoVotes(address voter);
    /// @notice The caller did not propose it.
    error NotProposer(address caller);
    /// @notice These are not the proposal's fields: their hash differs from the one kept.
    error SpecMismatch(bytes32 given, bytes32 expected);
    /// @notice The caller does not own the model.
    error NotModelOwner(address caller);
    /// @notice The caller does not hold the role ARBITER.
    error NotArbiter(address caller);
    /// @notice The arbiter still has time; unix seconds.
    error RulingOpen(uint64 rulingEnd);
    /// @notice The arbiter's time is over; unix seconds.
    error RulingClosed(uint64 rulingEnd);
    /// @notice The evidence has too many bytes.
    error EvidenceTooLarge(uint256 given, uint256 max);
    /// @notice A staker is slashed once per report.
    error AlreadyPenalised(address account);
    /// @notice The account had no stake that voted before the report.
    error NothingToPenalise(address account);
    /// @notice There is nothing for the caller to take.
    error NothingToWithdraw();

    /// @notice Propose a model with a bond; the vote runs from now. Weights are votes of a second ago.
    function propose(Spec calldata spec) external returns (uint64 proposalId);
    /// @notice Holder with votes at the proposal's snapshot, once.
    function vote(uint64 proposalId, bool support) external;
    /// @notice Anyone, after the vote. The bond is credited, but half of it is burned where a quorum was against.
    function resolve(uint64 proposalId) external;
    /// @notice Proposer of an accepted proposal, once the model is registered in his name: its curve is made.
    /// @param spec What was proposed: only its hash is kept.
    function deployCurve(uint64 proposalId, bytes32 modelId, Spec calldata spec) external returns (address curve);
    /// @notice Report a harmful model, with a bond. The arbiter has rulingTimeoutSeconds.
    function report(bytes32 modelId, bytes calldata evidence) external returns (uint64 reportId);
    /// @notice Arbiter. Not upheld: half of the bond burned, half to the model's owner.
    function resolveReport(uint64 reportId, bool upheld) external;
    /// @notice Anyone, where nobody ruled in time: half of the bond burned, half back. Nobody wins.
    function expireReport(uint64 reportId) external;
    /// @notice Anyone, after a report was upheld: slash one account that had staked on the model before it, once each.
    function penalise(uint64 reportId, address account) external returns (uint128 slashed);
    /// @notice Pays the caller its credit out.
    function withdrawBond() external;

    function proposalCount() external view returns (uint64);
    function reportCount() external view returns (uint64);
    function bondCredit(address account) external view returns (uint128);
    /// @notice Scope of the stakes on a model, for the vault.
    function scopeOf(bytes32 modelId) external pure returns (bytes32);
}
