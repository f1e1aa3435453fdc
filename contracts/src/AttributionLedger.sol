// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IAttributionLedger} from "./interfaces/IAttributionLedger.sol";
import {IRewardDistributor} from "./interfaces/IRewardDistributor.sol";
import {GuardedIntake, Permissioned} from "./Permissioned.sol";

/// @title The door through which roots of rewards come back to the chain.
/// @notice State of an epoch and who may move it:
///
///   None ──propose (poster)──▶ Proposed ──finalize (anyone, window over)──▶ Finalized
///                               ▲   │ dispute (anyone, window open)
///     resolveDispute(false)     │   ▼
///     (arbiter; new window) ── Disputed ──resolveDispute(true) (arbiter) or
///                                         rejectUnresolved (anyone, timeout)──▶ Rejected ──propose──▶ Proposed
///
/// And from Proposed or Disputed to Rejected: by the poster, who takes an epoch back before anyone disputes it, or by
/// anyone who proves a leaf wrong, which needs no arbiter.
///
/// Without a ruling nobody wins: the epoch is rejected, since a wrong root costs more than a late one; the poster has
/// his bond back, and the disputer half of his. So a dispute nobody rules on costs its disputer, also against oneself.
/// The previous root keeps paying throughout: leaves are cumulative, so a late epoch only delays what it adds.
contract AttributionLedger is IAttributionLedger, GuardedIntake, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @notice Largest daCommitment and evidence, in bytes.
    uint256 public constant DA_COMMITMENT_BYTES_MAX = 16_384;
    uint256 public constant EVIDENCE_BYTES_MAX = 16_384;

    /// @notice `reason` in LeafDisputed of what a proof shows without an arbiter.
    uint8 public constant FAULT_ABOVE_TOTAL = 251;
    uint8 public constant FAULT_FALLS = 252;
    uint8 public constant FAULT_TWICE = 253;

    uint8 private constant NONE = 0;
    uint8 private constant PROPOSED = 1;
    uint8 private constant DISPUTED = 2;
    uint8 private constant REJECTED = 3;
    uint8 private constant FINALIZED = 4;

    ERC20Burnable public immutable token;
    IRewardDistributor public immutable distributor;
    /// @inheritdoc IAttributionLedger
    uint128 public immutable bondAmount;
    /// @inheritdoc IAttributionLedger
    uint64 public immutable challengeWindowSeconds;
    uint64 public immutable arbitrationTimeoutSeconds;

    struct Epoch {
        uint8 status;
        uint64 challengeEnd;
        address poster;
    }

    /// @dev What finalising needs of the one open epoch. Overwritten by each proposal.
    struct OpenEpoch {
        bytes32 rewardRoot;
        uint128 rootTotal;
        uint64 toBlock;
        uint64 arbitrationEnd;
        address disputer;
    }

    mapping(uint64 epoch => Epoch) private _epochs;
    /// @inheritdoc IAttributionLedger
    mapping(uint64 epoch => bytes32) public headerHashOf;
    OpenEpoch private _open;
    /// @inheritdoc IAttributionLedger
    uint64 public epochCount;
    /// @notice toBlock of the last finalised epoch, where the next one begins.
    uint64 public settledToBlock;
    /// @inheritdoc IAttributionLedger
    mapping(address account => uint128) public bondCredit;

    constructor(
        ERC20Burnable token_,
        IRewardDistributor distributor_,
        address authority_,
        uint128 bondAmount_,
        uint64 challengeWindowSeconds_,
        uint64 arbitrationTimeoutSeconds_
    ) Permissioned(authority_) {
        token = token_;
        distributor = distributor_;
        bondAmount = bondAmount_;
        challengeWindowSeconds = challengeWindowSeconds_;
        arbitrationTimeoutSeconds = arbitrationTimeoutSeconds_;
    }

    /// @inheritdoc IAttributionLedger
    function propose(uint64 epoch, EpochHeader calldata header, bytes calldata daCommitment)
        external
        whileOpen
        nonReentrant
    {
        require(_isPermitted(), NotPoster(msg.sender));
        require(epoch == epochCount + 1, UnexpectedEpoch(epoch, epochCount + 1));
        uint8 status = _epochs[epoch].status;
        require(status == NONE || status == REJECTED, EpochOpen(epoch));
        _checkHeader(header, daCommitment);

        uint64 challengeEnd = uint64(block.timestamp) + challengeWindowSeconds;
        _epochs[epoch] = Epoch({status: PROPOSED, challengeEnd: challengeEnd, poster: msg.sender});
        headerHashOf[epoch] = keccak256(abi.encode(header));
        _open = OpenEpoch(header.rewardRoot, header.rootTotal, header.toBlock, 0, address(0));
        _emitProposed(epoch, header, daCommitment, challengeEnd);
        _pullBond();
    }

    /// @inheritdoc IAttributionLedger
    function dispute(uint64 epoch, uint8 reason, bytes calldata evidence) external nonReentrant {
        _dispute(epoch, reason, evidence);
    }

    /// @inheritdoc IAttributionLedger
    function disputeLeaf(uint64 epoch, Leaf calldata leaf, uint8 reason, bytes calldata evidence)
        external
        nonReentrant
    {
        require(epoch == epochCount + 1, NotProposed(epoch, _epochs[epoch].status));
        _checkLeaf(leaf, _open.rewardRoot);
        emit LeafDisputed(epoch, msg.sender, leaf.account, leaf.cumulative, reason);
        _dispute(epoch, reason, evidence);
    }

    /// @inheritdoc IAttributionLedger
    function proveLeafAboveTotal(uint64 epoch, Leaf calldata leaf) external nonReentrant {
        _checkProvable(epoch);
        _checkLeaf(leaf, _open.rewardRoot);
        require(leaf.cumulative > _open.rootTotal, LeafNotWrong(leaf.account, leaf.cumulative));
        _rejectProven(epoch, leaf, FAULT_ABOVE_TOTAL);
    }

    /// @inheritdoc IAttributionLedger
    function proveLeafFalls(uint64 epoch, Leaf calldata leaf, Leaf calldata before) external nonReentrant {
        _checkProvable(epoch);
        _checkLeaf(leaf, _open.rewardRoot);
        _checkLeaf(before, distributor.root());
        bool isWrong = leaf.account == before.account && leaf.cumulative < before.cumulative;
        require(isWrong, LeafNotWrong(leaf.account, leaf.cumulative));
        _rejectProven(epoch, leaf, FAULT_FALLS);
    }

    /// @inheritdoc IAttributionLedger
    function proveLeafTwice(uint64 epoch, Leaf calldata leaf, Leaf calldata other) external nonReentrant {
        _checkProvable(epoch);
        _checkLeaf(leaf, _open.rewardRoot);
        _checkLeaf(other, _open.rewardRoot);
        bool isWrong = leaf.account == other.account && leaf.cumulative != other.cumulative;
        require(isWrong, LeafNotWrong(leaf.account, leaf.cumulative));
        _rejectProven(epoch, leaf, FAULT_TWICE);
    }

    /// @inheritdoc IAttributionLedger
    function withdrawEpoch(uint64 epoch) external nonReentrant {
        Epoch storage entry = _epochs[epoch];
        require(entry.status == PROPOSED, NotProposed(epoch, entry.status));
        require(msg.sender == entry.poster, NotPoster(msg.sender));
        entry.status = REJECTED;
        emit EpochAbandoned(epoch, "withdrawn");
        _credit(entry.poster, bondAmount);
    }

    function _dispute(uint64 epoch, uint8 reason, bytes calldata evidence) private {
        Epoch storage entry = _epochs[epoch];
        require(entry.status == PROPOSED, NotProposed(epoch, entry.status));
        require(block.timestamp < entry.challengeEnd, WindowClosed(entry.challengeEnd));
        require(evidence.length <= EVIDENCE_BYTES_MAX, EvidenceTooLarge(evidence.length, EVIDENCE_BYTES_MAX));
        entry.status = DISPUTED;
        _open.disputer = msg.sender;
        _open.arbitrationEnd = uint64(block.timestamp) + arbitrationTimeoutSeconds;
        emit EpochDisputed(epoch, msg.sender, reason, keccak256(evidence), evidence);
        _pullBond();
    }

    /// @inheritdoc IAttributionLedger
    /// @dev A dispute found wrong opens a whole new window. Otherwise a poster could dispute himself with bad
    /// evidence and have the window run out while nobody else may speak.
    function resolveDispute(uint64 epoch, bool upheld) external nonReentrant {
        require(_isPermitted(), NotArbiter(msg.sender));
        Epoch storage entry = _epochs[epoch];
        require(entry.status == DISPUTED, NotDisputed(epoch, entry.status));
        require(block.timestamp < _open.arbitrationEnd, WindowClosed(_open.arbitrationEnd));
        if (upheld) {
            _reject(epoch);
            return;
        }
        entry.status = PROPOSED;
        entry.challengeEnd = uint64(block.timestamp) + challengeWindowSeconds;
        uint128 paid = bondAmount / 2;
        _settleDispute(epoch, false, entry.poster, paid, bondAmount - paid);
    }

    /// @inheritdoc IAttributionLedger
    function rejectUnresolved(uint64 epoch) external nonReentrant {
        Epoch storage entry = _epochs[epoch];
        require(entry.status == DISPUTED, NotDisputed(epoch, entry.status));
        require(block.timestamp >= _open.arbitrationEnd, WindowOpen(_open.arbitrationEnd));
        entry.status = REJECTED;
        address disputer = _open.disputer;
        uint128 returned = bondAmount / 2;
        _credit(entry.poster, bondAmount);
        _credit(disputer, returned);
        _settleDispute(epoch, true, address(0), 0, bondAmount - returned);
    }

    /// @inheritdoc IAttributionLedger
    function finalize(uint64 epoch) external nonReentrant {
        Epoch storage entry = _epochs[epoch];
        require(entry.status == PROPOSED, NotProposed(epoch, entry.status));
        require(block.timestamp >= entry.challengeEnd, WindowOpen(entry.challengeEnd));
        entry.status = FINALIZED;
        epochCount = epoch;
        settledToBlock = _open.toBlock;
        emit EpochFinalized(epoch, _open.rewardRoot, _open.rootTotal);
        _credit(entry.poster, bondAmount);
        distributor.activateRoot(epoch, _open.rewardRoot, _open.rootTotal);
    }

    /// @inheritdoc IAttributionLedger
    function withdrawBond() external nonReentrant {
        uint128 amount = bondCredit[msg.sender];
        require(amount > 0, NothingToWithdraw());
        bondCredit[msg.sender] = 0;
        emit BondWithdrawn(msg.sender, amount);
        IERC20(token).safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IAttributionLedger
    function statusOf(uint64 epoch) external view returns (uint8 status, uint64 challengeEnd, address poster_) {
        Epoch storage entry = _epochs[epoch];
        return (entry.status, entry.challengeEnd, entry.poster);
    }

    function _checkHeader(EpochHeader calldata header, bytes calldata daCommitment) private view {
        require(header.rewardRoot != bytes32(0) && header.attributionRoot != bytes32(0), ZeroRoot());
        require(header.fromBlock == settledToBlock, BlockRangeMismatch(header.fromBlock, settledToBlock));
        require(header.toBlock > header.fromBlock, BlockRangeMismatch(header.toBlock, header.fromBlock + 1));
        require(header.toBlock < block.number, BlockRangeMismatch(header.toBlock, uint64(block.number) - 1));
        uint128 previous = distributor.rootTotal();
        require(header.rootTotal >= previous, RootTotalBelowPrevious(header.rootTotal, previous));
        uint128 funded = distributor.totalFunded();
        require(header.rootTotal <= funded, RootTotalAboveFunds(header.rootTotal, funded));
        require(
            daCommitment.length <= DA_COMMITMENT_BYTES_MAX,
            DaCommitmentTooLarge(daCommitment.length, DA_COMMITMENT_BYTES_MAX)
        );
        bytes32 daRef = keccak256(daCommitment);
        require(header.daRef == daRef, DaRefMismatch(header.daRef, daRef));
    }

    function _emitProposed(
        uint64 epoch,
        EpochHeader calldata header,
        bytes calldata daCommitment,
        uint64 challengeEnd
    ) private {
        emit EpochProposed(
            epoch,
            msg.sender,
            header.rewardRoot,
            header.attributionRoot,
            header.receiptsAccumulator,
            distributor.root(),
            header.rootTotal,
            header.fromBlock,
            header.toBlock,
            header.methodHash,
            header.contentHash,
            header.daRef,
            daCommitment,
            challengeEnd
        );
    }

    function _checkProvable(uint64 epoch) private view {
        Epoch storage entry = _epochs[epoch];
        if (entry.status == DISPUTED) return;
        require(entry.status == PROPOSED, NotProposed(epoch, entry.status));
        require(block.timestamp < entry.challengeEnd, WindowClosed(entry.challengeEnd));
    }

    function _checkLeaf(Leaf calldata leaf, bytes32 root) private view {
        bytes32 hash = distributor.leafOf(leaf.account, leaf.cumulative);
        require(MerkleProof.verifyCalldata(leaf.proof, root, hash), LeafNotInRoot(leaf.account, leaf.cumulative));
    }

    /// @dev Who disputed meanwhile was right, whatever his reason: he has his bond back, but the reward is the prover's.
    function _rejectProven(uint64 epoch, Leaf calldata leaf, uint8 fault) private {
        _epochs[epoch].status = REJECTED;
        emit LeafDisputed(epoch, msg.sender, leaf.account, leaf.cumulative, fault);
        if (_open.disputer != address(0)) _credit(_open.disputer, bondAmount);
        uint128 paid = bondAmount / 2;
        _settleDispute(epoch, true, msg.sender, paid, bondAmount - paid);
    }

    /// @dev The disputer has his own bond back and half of the poster's.
    function _reject(uint64 epoch) private {
        _epochs[epoch].status = REJECTED;
        uint128 burned = bondAmount - bondAmount / 2;
        _settleDispute(epoch, true, _open.disputer, 2 * bondAmount - burned, burned);
    }

    /// @dev Half is burned: with all of it to the winner, disputing oneself to stall would cost nothing.
    function _settleDispute(uint64 epoch, bool upheld, address winner, uint128 paid, uint128 burned) private {
        _open.disputer = address(0);
        _open.arbitrationEnd = 0;
        emit EpochResolved(epoch, upheld, winner, paid, burned);
        if (paid > 0) _credit(winner, paid);
        token.burn(burned);
    }

    /// @dev Credited, not sent: a winner that cannot receive must not hold up an epoch.
    function _credit(address account, uint128 amount) private {
        uint128 newCredit = bondCredit[account] + amount;
        bondCredit[account] = newCredit;
        emit BondCredited(account, amount, newCredit);
    }

    function _pullBond() private {
        IERC20(token).safeTransferFrom(msg.sender, address(this), bondAmount);
    }
}
