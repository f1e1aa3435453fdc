// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {CurveFactory} from "./CurveFactory.sol";
import {IDatanetRegistry} from "./interfaces/IDatanetRegistry.sol";
import {IModelProposals} from "./interfaces/IModelProposals.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {IStakeVault} from "./interfaces/IStakeVault.sol";
import {Permissioned} from "./Permissioned.sol";

/// @title Proposals of models, their curves, and the penalties of harmful ones. Immutable; holds open bonds only.
/// @notice Proposal: (none) ──propose, bond──▶ voting ──resolve──▶ accepted ──deployCurve──▶ deployed; or rejected, lapsed.
/// Report: (none) ──report, bond──▶ open ──resolveReport (arbiter)──▶ upheld ──penalise…; or rejected; or expired by time.
contract ModelProposals is IModelProposals, Permissioned, ReentrancyGuardTransient {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    uint256 public constant EVIDENCE_BYTES_MAX = 16_384;
    /// @notice Part of each stake on a model that an upheld report takes. Must not exceed the vault's SLASH_BPS_MAX.
    uint16 public constant PENALTY_BPS = 5_000;
    bytes32 public constant PENALTY_REASON = "harmful-model";

    uint8 private constant VOTING = 1;
    uint8 private constant ACCEPTED = 2;
    uint8 private constant REJECTED = 3;
    uint8 private constant LAPSED = 4;
    uint8 private constant DEPLOYED = 5;
    uint8 private constant REPORT_OPEN = 1;
    uint8 private constant REPORT_UPHELD = 2;
    uint8 private constant REPORT_REJECTED = 3;
    uint8 private constant REPORT_EXPIRED = 4;

    /// @notice Bonds and votes are of this token.
    ERC20Burnable public immutable token;
    IDatanetRegistry public immutable datanetRegistry;
    IModelRegistry public immutable modelRegistry;
    IStakeVault public immutable vault;
    CurveFactory public immutable factory;
    uint128 public immutable bondAmount;
    uint64 public immutable votingPeriodSeconds;
    /// @notice Part of the supply whose votes make a quorum, in basis points.
    uint16 public immutable quorumBps;
    uint64 public immutable rulingTimeoutSeconds;

    struct Proposal {
        address proposer;
        uint64 voteEnd;
        uint8 state;
        uint128 forW;
        uint128 againstW;
        bytes32 specId;
        uint48 snapshot;
    }

    struct Report {
        bytes32 modelId;
        address reporter;
        uint64 rulingEnd;
        uint8 state;
        uint48 snapshotBlock;
        bytes32 evidenceHash;
    }

    /// @inheritdoc IModelProposals
    uint64 public proposalCount;
    /// @inheritdoc IModelProposals
    uint64 public reportCount;
    mapping(uint64 proposalId => Proposal) public proposalOf;
    mapping(uint64 proposalId => mapping(address voter => bool)) public hasVoted;
    mapping(uint64 reportId => Report) public reportOf;
    mapping(uint64 reportId => mapping(address account => bool)) public isPenalised;
    /// @inheritdoc IModelProposals
    mapping(address account => uint128) public bondCredit;

    constructor(
        ERC20Burnable token_,
        IDatanetRegistry datanetRegistry_,
        IModelRegistry modelRegistry_,
        IStakeVault vault_,
        CurveFactory factory_,
        address authority_,
        uint128 bondAmount_,
        uint64 votingPeriodSeconds_,
        uint16 quorumBps_,
        uint64 rulingTimeoutSeconds_
    ) Permissioned(authority_) {
        token = token_;
        datanetRegistry = datanetRegistry_;
        modelRegistry = modelRegistry_;
        vault = vault_;
        factory = factory_;
        bondAmount = bondAmount_;
        votingPeriodSeconds = votingPeriodSeconds_;
        quorumBps = quorumBps_;
        rulingTimeoutSeconds = rulingTimeoutSeconds_;
    }

    /// @inheritdoc IModelProposals
    function propose(Spec calldata spec) external nonReentrant returns (uint64 proposalId) {
        bool isKnown = spec.datanetId == 0 || datanetRegistry.ownerOf(spec.datanetId) != address(0);
        require(isKnown, UnknownDatanet(spec.datanetId));
        proposalId = ++proposalCount;
        uint64 voteEnd = uint64(block.timestamp) + votingPeriodSeconds;
        proposalOf[proposalId] = Proposal({
            proposer: msg.sender,
            voteEnd: voteEnd,
            state: VOTING,
            forW: 0,
            againstW: 0,
            specId: keccak256(abi.encode(spec)),
            snapshot: uint48(block.timestamp) - 1
        });
        emit ModelProposed(proposalId, msg.sender, spec, bondAmount, voteEnd);
        _pullBond();
    }

    /// @inheritdoc IModelProposals
    function vote(uint64 proposalId, bool support) external {
        Proposal storage proposal = _inState(proposalId, VOTING);
        require(block.timestamp < proposal.voteEnd, VotingClosed(proposal.voteEnd));
        require(!hasVoted[proposalId][msg.sender], AlreadyVoted(msg.sender));
        uint128 weight = IVotes(address(token)).getPastVotes(msg.sender, proposal.snapshot).toUint128();
        require(weight > 0, NoVotes(msg.sender));
        hasVoted[proposalId][msg.sender] = true;
        if (support) proposal.forW += weight;
        else proposal.againstW += weight;
        emit ModelProposalVote(proposalId, msg.sender, support, weight, proposal.forW, proposal.againstW);
    }

    /// @inheritdoc IModelProposals
    function resolve(uint64 proposalId) external nonReentrant {
        Proposal storage proposal = _inState(proposalId, VOTING);
        require(block.timestamp >= proposal.voteEnd, VotingOpen(proposal.voteEnd));
        (uint128 forW, uint128 againstW) = (proposal.forW, proposal.againstW);
        uint256 supply = IVotes(address(token)).getPastTotalSupply(proposal.snapshot);
        bool hasQuorum = (uint256(forW) + againstW) * 10_000 >= supply * quorumBps;
        uint8 state = LAPSED;
        if (hasQuorum && forW > againstW) state = ACCEPTED;
        if (hasQuorum && forW < againstW) state = REJECTED;
        proposal.state = state;
        uint128 burned = state == REJECTED ? bondAmount - bondAmount / 2 : 0;
        emit ModelProposalResolved(proposalId, state, forW, againstW, burned);
        _credit(proposal.proposer, bondAmount - burned);
        if (burned > 0) token.burn(burned);
    }

    /// @inheritdoc IModelProposals
    function deployCurve(uint64 proposalId, bytes32 modelId, Spec calldata spec)
        external
        nonReentrant
        returns (address curve)
    {
        Proposal storage proposal = _inState(proposalId, ACCEPTED);
        require(proposal.proposer == msg.sender, NotProposer(msg.sender));
        require(modelRegistry.ownerOf(modelId) == msg.sender, NotModelOwner(msg.sender));
        bytes32 specId = keccak256(abi.encode(spec));
        require(specId == proposal.specId, SpecMismatch(specId, proposal.specId));
        proposal.state = DEPLOYED;
        curve = factory.create(modelId, msg.sender, spec.curve, spec.name, spec.symbol);
        emit ModelDeployed(proposalId, modelId, curve);
    }

    /// @inheritdoc IModelProposals
    function report(bytes32 modelId, bytes calldata evidence) external nonReentrant returns (uint64 reportId) {
        require(modelRegistry.ownerOf(modelId) != address(0), UnknownModel(modelId));
        require(evidence.length <= EVIDENCE_BYTES_MAX, EvidenceTooLarge(evidence.length, EVIDENCE_BYTES_MAX));
        reportId = ++reportCount;
        uint64 rulingEnd = uint64(block.timestamp) + rulingTimeoutSeconds;
        bytes32 evidenceHash = keccak256(evidence);
        reportOf[reportId] = Report({
            modelId: modelId,
            reporter: msg.sender,
            rulingEnd: rulingEnd,
            state: REPORT_OPEN,
            snapshotBlock: uint48(block.number) - 1,
            evidenceHash: evidenceHash
        });
        emit ModelReported(reportId, modelId, msg.sender, evidenceHash, evidence, rulingEnd);
        _pullBond();
    }

    /// @inheritdoc IModelProposals
    function resolveReport(uint64 reportId, bool upheld) external nonReentrant {
        require(_isPermitted(), NotArbiter(msg.sender));
        Report storage given = _reportInState(reportId, REPORT_OPEN);
        require(block.timestamp < given.rulingEnd, RulingClosed(given.rulingEnd));
        if (upheld) {
            given.state = REPORT_UPHELD;
            emit ModelReportResolved(reportId, REPORT_UPHELD, 0);
            _credit(given.reporter, bondAmount);
            return;
        }
        given.state = REPORT_REJECTED;
        _burnHalf(reportId, REPORT_REJECTED, modelRegistry.ownerOf(given.modelId));
    }

    /// @inheritdoc IModelProposals
    function expireReport(uint64 reportId) external nonReentrant {
        Report storage given = _reportInState(reportId, REPORT_OPEN);
        require(block.timestamp >= given.rulingEnd, RulingOpen(given.rulingEnd));
        given.state = REPORT_EXPIRED;
        _burnHalf(reportId, REPORT_EXPIRED, given.reporter);
    }

    /// @inheritdoc IModelProposals
    /// @dev Who staked after the report is not behind what it reports. The vault's cooldown keeps stakes within reach
    /// until then: it must exceed the ruling's timeout.
    function penalise(uint64 reportId, address account) external nonReentrant returns (uint128 slashed) {
        Report storage given = _reportInState(reportId, REPORT_UPHELD);
        require(!isPenalised[reportId][account], AlreadyPenalised(account));
        bytes32 modelId = given.modelId;
        uint128 staked = vault.votableOfAt(scopeOf(modelId), account, given.snapshotBlock);
        require(staked > 0, NothingToPenalise(account));
        isPenalised[reportId][account] = true;
        slashed = vault.slash(
            uint256(modelId), account, PENALTY_BPS, PENALTY_REASON, given.evidenceHash, given.reporter
        );
        emit ModelPenalised(reportId, modelId, account, slashed);
    }

    /// @inheritdoc IModelProposals
    function withdrawBond() external nonReentrant {
        uint128 amount = bondCredit[msg.sender];
        require(amount > 0, NothingToWithdraw());
        bondCredit[msg.sender] = 0;
        emit BondWithdrawn(msg.sender, amount);
        IERC20(token).safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IModelProposals
    function scopeOf(bytes32 modelId) public pure returns (bytes32) {
        return keccak256(abi.encode("model", uint256(modelId)));
    }

    function _inState(uint64 proposalId, uint8 expected) private view returns (Proposal storage proposal) {
        proposal = proposalOf[proposalId];
        require(proposal.state != 0, UnknownProposal(proposalId));
        require(proposal.state == expected, WrongState(proposal.state, expected));
    }

    function _reportInState(uint64 reportId, uint8 expected) private view returns (Report storage given) {
        given = reportOf[reportId];
        require(given.state != 0, UnknownReport(reportId));
        require(given.state == expected, WrongState(given.state, expected));
    }

    function _burnHalf(uint64 reportId, uint8 state, address rest) private {
        uint128 burned = bondAmount - bondAmount / 2;
        emit ModelReportResolved(reportId, state, burned);
        _credit(rest, bondAmount - burned);
        token.burn(burned);
    }

    /// @dev Credited, not sent: who cannot receive must not hold up a resolution.
    function _credit(address account, uint128 amount) private {
        uint128 newCredit = bondCredit[account] + amount;
        bondCredit[account] = newCredit;
        emit BondCredited(account, amount, newCredit);
    }

    function _pullBond() private {
        IERC20(token).safeTransferFrom(msg.sender, address(this), bondAmount);
    }
}
