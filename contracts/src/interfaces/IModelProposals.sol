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

    event ModelProposed(uint64 indexed proposalId, address indexed proposer, Spec spec, uint128 bond, uint64 voteEnd);
    event ModelProposalVote(uint64 indexed proposalId, address indexed voter, bool support, uint128 weight, uint128 forW, uint128 againstW);
    event ModelProposalResolved(uint64 indexed proposalId, uint8 state, uint128 forW, uint128 againstW, uint128 burned);
    event ModelDeployed(uint64 indexed proposalId, bytes32 indexed modelId, address indexed curve);
    event ModelReported(uint64 indexed reportId, bytes32 indexed modelId, address indexed reporter, bytes32 evidenceHash, bytes evidence, uint64 rulingEnd);
    /// @param state 2 upheld, 3 rejected, 4 expired. @param burned Of the reporter's bond.
    event ModelReportResolved(uint64 indexed reportId, uint8 state, uint128 burned);
    event ModelPenalised(uint64 indexed reportId, bytes32 indexed modelId, address indexed account, uint128 slashed);
    event BondCredited(address indexed to, uint128 amount, uint128 newCredit);
    event BondWithdrawn(address indexed to, uint128 amount);

    error UnknownProposal(uint64 proposalId);
    error UnknownReport(uint64 reportId);
    error UnknownModel(bytes32 modelId);
    error UnknownDatanet(uint64 datanetId);
    error WrongState(uint8 given, uint8 expected);
    error VotingOpen(uint64 voteEnd);
    error VotingClosed(uint64 voteEnd);
    error AlreadyVoted(address voter);
    error NoVotes(address voter);
    error NotProposer(address caller);
    error SpecMismatch(bytes32 given, bytes32 expected);
    error NotModelOwner(address caller);
    error NotArbiter(address caller);
    error RulingOpen(uint64 rulingEnd);
    error RulingClosed(uint64 rulingEnd);
    error EvidenceTooLarge(uint256 given, uint256 max);
    error AlreadyPenalised(address account);
    error NothingToPenalise(address account);
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
