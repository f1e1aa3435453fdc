// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IAttributionLedger} from "./interfaces/IAttributionLedger.sol";
import {IDaCertMirror} from "./interfaces/IDaCertMirror.sol";
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

    /// @notice Longest challenge window and arbitration: no deadline exceeds its 40 bits.
    uint64 public constant PERIOD_SECONDS_MAX = 365 days;

    /// @notice `reason` in LeafDisputed of what a proof shows without an arbiter.
    uint8 public constant FAULT_ABOVE_TOTAL = 251;
    uint8 public constant FAULT_FALLS = 252;
    uint8 public constant FAULT_TWICE = 253;

    /// @dev The mirror's verdict on a certificate that is none.
    uint8 private constant CERTIFICATE_INVALID = 6;
    uint8 private constant NONE = 0;
    uint8 private constant PROPOSED = 1;
    uint8 private constant DISPUTED = 2;
    uint8 private constant REJECTED = 3;
    uint8 private constant FINALIZED = 4;

    ERC20Burnable public immutable token;
    IRewardDistributor public immutable distributor;
    IDaCertMirror public immutable certMirror;
    /// @inheritdoc IAttributionLedger
    uint128 public immutable bondAmount;
    /// @inheritdoc IAttributionLedger
    uint64 public immutable challengeWindowSeconds;
    uint64 public immutable arbitrationTimeoutSeconds;

    /// @dev Of the one open epoch, or of the last one where that is rejected or final. One slot.
    /// @param deadline End of the challenge window while proposed, of the arbiter's time while disputed.
    /// @param settledToBlock toBlock of the last finalised epoch.
    struct Epoch {
        address poster;
        uint8 status;
        uint40 deadline;
        uint48 settledToBlock;
    }

    // These share the slot of `pausedUntil`, which a proposal reads anyway. It is never empty, so that the first dispute
    // and the first final epoch cost what all later ones do.
    /// @dev Number of the open epoch, or of the one that is proposed next.
    uint32 private _epoch = 1;
    /// @dev Of the last dispute: it counts while the status says that there is one.
    address private _disputer;
    Epoch private _open;
    /// @inheritdoc IAttributionLedger
    bytes32 public openHeaderHash;
    /// @inheritdoc IAttributionLedger
    bytes32 public headerHash;
    /// @inheritdoc IAttributionLedger
    mapping(address account => uint128) public bondCredit;

    constructor(
        ERC20Burnable token_,
        IRewardDistributor distributor_,
        IDaCertMirror certMirror_,
        address authority_,
        uint128 bondAmount_,
        uint64 challengeWindowSeconds_,
        uint64 arbitrationTimeoutSeconds_
    ) Permissioned(authority_) {
        _checkPeriod(challengeWindowSeconds_);
        _checkPeriod(arbitrationTimeoutSeconds_);
        token = token_;
        distributor = distributor_;
        certMirror = certMirror_;
        bondAmount = bondAmount_;
        challengeWindowSeconds = challengeWindowSeconds_;
        arbitrationTimeoutSeconds = arbitrationTimeoutSeconds_;
        headerHash = keccak256(abi.encode(block.chainid, address(this)));
    }

    /// @inheritdoc IAttributionLedger
    function propose(uint64 epoch, EpochHeader calldata header, bytes calldata daCommitment)
        external
        whileOpen
        nonReentrant
    {
        require(_isPermitted(), NotPoster(msg.sender));
        require(epoch == _epoch, UnexpectedEpoch(epoch, _epoch));
        Epoch memory open = _open;
        require(open.status != PROPOSED && open.status != DISPUTED, EpochOpen(epoch));
        _checkHeader(header, daCommitment, open.settledToBlock);

        uint64 challengeEnd = uint64(block.timestamp) + challengeWindowSeconds;
        _open = Epoch(msg.sender, PROPOSED, uint40(challengeEnd), open.settledToBlock);
        openHeaderHash = _hash(header);
        _emitProposed(epoch, header, daCommitment, challengeEnd);
        _takeBond();
    }

    /// @inheritdoc IAttributionLedger
    function dispute(uint64 epoch, uint8 reason, bytes calldata evidence) external nonReentrant {
        _openDispute(epoch, reason, evidence);
    }

    /// @inheritdoc IAttributionLedger
    function disputeLeaf(
        uint64 epoch,
        EpochHeader calldata header,
        Leaf calldata leaf,
        uint8 reason,
        bytes calldata evidence
    ) external nonReentrant {
        _checkOpen(epoch, header);
        _checkLeaf(leaf, header.rewardRoot);
        emit LeafDisputed(epoch, msg.sender, leaf.account, leaf.cumulative, reason);
        _openDispute(epoch, reason, evidence);
    }

    /// @inheritdoc IAttributionLedger
    function proveLeafAboveTotal(uint64 epoch, EpochHeader calldata header, Leaf calldata leaf) external nonReentrant {
        _checkProvable(epoch, header);
        _checkLeaf(leaf, header.rewardRoot);
        require(leaf.cumulative > header.rootTotal, LeafNotWrong(leaf.account, leaf.cumulative));
        _rejectLeaf(epoch, leaf, FAULT_ABOVE_TOTAL);
    }

    /// @inheritdoc IAttributionLedger
    function proveLeafFalls(uint64 epoch, EpochHeader calldata header, Leaf calldata leaf, Leaf calldata before)
        external
        nonReentrant
    {
        _checkProvable(epoch, header);
        _checkLeaf(leaf, header.rewardRoot);
        _checkLeaf(before, distributor.root());
        bool isWrong = leaf.account == before.account && leaf.cumulative < before.cumulative;
        require(isWrong, LeafNotWrong(leaf.account, leaf.cumulative));
        _rejectLeaf(epoch, leaf, FAULT_FALLS);
    }

    /// @inheritdoc IAttributionLedger
    function proveLeafTwice(uint64 epoch, EpochHeader calldata header, Leaf calldata leaf, Leaf calldata other)
        external
        nonReentrant
    {
        _checkProvable(epoch, header);
        _checkLeaf(leaf, header.rewardRoot);
        _checkLeaf(other, header.rewardRoot);
        bool isWrong = leaf.account == other.account && leaf.cumulative != other.cumulative;
        require(isWrong, LeafNotWrong(leaf.account, leaf.cumulative));
        _rejectLeaf(epoch, leaf, FAULT_TWICE);
    }

    /// @inheritdoc IAttributionLedger
    /// @dev The verdict comes from layer 1 (DaCertAnchor), which may take longer than the window: a dispute first keeps the
    /// epoch open for it.
    function proveCertificateInvalid(uint64 epoch, EpochHeader calldata header) external nonReentrant {
        _checkProvable(epoch, header);
        uint8 verdict = certMirror.verdictOf(header.daRef);
        require(verdict == CERTIFICATE_INVALID, CertificateNotInvalid(header.daRef, verdict));
        emit CertificateProvenInvalid(epoch, msg.sender, header.daRef);
        _rejectProven(epoch);
    }

    /// @inheritdoc IAttributionLedger
    function withdrawEpoch(uint64 epoch) external nonReentrant {
        Epoch memory open = _checkProposed(epoch);
        require(msg.sender == open.poster, NotPoster(msg.sender));
        _open.status = REJECTED;
        emit EpochAbandoned(epoch, "withdrawn");
        _credit(open.poster, bondAmount);
    }

    /// @inheritdoc IAttributionLedger
    /// @dev A dispute found wrong opens a whole new window. Otherwise a poster could dispute himself with bad
    /// evidence and have the window run out while nobody else may speak.
    function resolveDispute(uint64 epoch, bool upheld) external nonReentrant {
        require(_isPermitted(), NotArbiter(msg.sender));
        Epoch memory open = _checkDisputed(epoch);
        require(block.timestamp < open.deadline, WindowClosed(open.deadline));
        uint128 half = bondAmount / 2;
        if (upheld) {
            // The disputer has his own bond back and half of the poster's.
            _open.status = REJECTED;
            _settleDispute(epoch, true, _disputer, bondAmount + half, bondAmount - half);
            return;
        }
        open.status = PROPOSED;
        open.deadline = uint40(block.timestamp + challengeWindowSeconds);
        _open = open;
        _settleDispute(epoch, false, open.poster, half, bondAmount - half);
    }

    /// @inheritdoc IAttributionLedger
    function rejectUnresolved(uint64 epoch) external nonReentrant {
        Epoch memory open = _checkDisputed(epoch);
        require(block.timestamp >= open.deadline, WindowOpen(open.deadline));
        _open.status = REJECTED;
        uint128 returned = bondAmount / 2;
        _credit(open.poster, bondAmount);
        _credit(_disputer, returned);
        _settleDispute(epoch, true, address(0), 0, bondAmount - returned);
    }

    /// @inheritdoc IAttributionLedger
    function finalize(uint64 epoch, EpochHeader calldata header) external nonReentrant {
        Epoch memory open = _checkProposed(epoch);
        require(block.timestamp >= open.deadline, WindowOpen(open.deadline));
        headerHash = _checkHash(header);
        open.status = FINALIZED;
        open.settledToBlock = uint48(header.toBlock); // Below the number of the block it was proposed in.
        _open = open;
        _epoch = uint32(epoch) + 1;
        emit EpochFinalized(epoch, header.rewardRoot, header.rootTotal);
        _credit(open.poster, bondAmount);
        distributor.activateRoot(epoch, header.rewardRoot, header.rootTotal);
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
    function epochCount() external view returns (uint64) {
        return _epoch - 1;
    }

    /// @inheritdoc IAttributionLedger
    function settledToBlock() external view returns (uint64) {
        return _open.settledToBlock;
    }

    /// @inheritdoc IAttributionLedger
    function statusOf(uint64 epoch) external view returns (uint8 status, uint64 deadline, address poster) {
        Epoch memory state = _stateOf(epoch);
        return (state.status, state.deadline, state.poster);
    }

    function _checkPeriod(uint64 givenSeconds) private pure {
        bool isInRange = givenSeconds > 0 && givenSeconds <= PERIOD_SECONDS_MAX;
        require(isInRange, PeriodOutOfRange(givenSeconds, PERIOD_SECONDS_MAX));
    }

    function _checkHeader(EpochHeader calldata header, bytes calldata daCommitment, uint64 settledTo) private view {
        require(header.rewardRoot != bytes32(0) && header.attributionRoot != bytes32(0), ZeroRoot());
        require(header.fromBlock == settledTo, BlockRangeMismatch(header.fromBlock, settledTo));
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

    /// @dev Chained: the hash of a final epoch stands for every header before it too.
    function _hash(EpochHeader calldata header) private view returns (bytes32) {
        return keccak256(abi.encode(headerHash, header));
    }

    function _checkHash(EpochHeader calldata header) private view returns (bytes32 hash) {
        hash = _hash(header);
        require(hash == openHeaderHash, HeaderMismatch(hash, openHeaderHash));
    }

    /// @dev Of a final epoch there is its status alone.
    function _stateOf(uint64 epoch) private view returns (Epoch memory state) {
        state = _open;
        if (epoch == _epoch && state.status != FINALIZED) return state;
        return Epoch(address(0), epoch > 0 && epoch < _epoch ? FINALIZED : NONE, 0, 0);
    }

    /// @dev The epoch is open and this is its header.
    function _checkOpen(uint64 epoch, EpochHeader calldata header) private view returns (Epoch memory open) {
        open = _stateOf(epoch);
        require(open.status == PROPOSED || open.status == DISPUTED, NotProposed(epoch, open.status));
        _checkHash(header);
    }

    function _checkProvable(uint64 epoch, EpochHeader calldata header) private view {
        Epoch memory open = _checkOpen(epoch, header);
        if (open.status == PROPOSED) require(block.timestamp < open.deadline, WindowClosed(open.deadline));
    }

    function _checkProposed(uint64 epoch) private view returns (Epoch memory open) {
        open = _stateOf(epoch);
        require(open.status == PROPOSED, NotProposed(epoch, open.status));
    }

    function _checkDisputed(uint64 epoch) private view returns (Epoch memory open) {
        open = _stateOf(epoch);
        require(open.status == DISPUTED, NotDisputed(epoch, open.status));
    }

    function _checkLeaf(Leaf calldata leaf, bytes32 root) private view {
        bytes32 hash = distributor.leafOf(leaf.account, leaf.cumulative);
        require(MerkleProof.verifyCalldata(leaf.proof, root, hash), LeafNotInRoot(leaf.account, leaf.cumulative));
    }

    function _openDispute(uint64 epoch, uint8 reason, bytes calldata evidence) private {
        Epoch memory open = _checkProposed(epoch);
        require(block.timestamp < open.deadline, WindowClosed(open.deadline));
        require(evidence.length <= EVIDENCE_BYTES_MAX, EvidenceTooLarge(evidence.length, EVIDENCE_BYTES_MAX));
        open.status = DISPUTED;
        open.deadline = uint40(block.timestamp + arbitrationTimeoutSeconds);
        _open = open;
        _disputer = msg.sender;
        emit EpochDisputed(epoch, msg.sender, reason, open.deadline, keccak256(evidence), evidence);
        _takeBond();
    }

    function _rejectLeaf(uint64 epoch, Leaf calldata leaf, uint8 fault) private {
        emit LeafDisputed(epoch, msg.sender, leaf.account, leaf.cumulative, fault);
        _rejectProven(epoch);
    }

    /// @dev Who disputed meanwhile was right, whatever his reason: he has his bond back, but the reward is the prover's.
    function _rejectProven(uint64 epoch) private {
        if (_open.status == DISPUTED) _credit(_disputer, bondAmount);
        _open.status = REJECTED;
        uint128 paid = bondAmount / 2;
        _settleDispute(epoch, true, msg.sender, paid, bondAmount - paid);
    }

    /// @dev Half is burned: with all of it to the winner, disputing oneself to stall would cost nothing.
    function _settleDispute(uint64 epoch, bool upheld, address winner, uint128 paid, uint128 burned) private {
        emit EpochResolved(epoch, upheld, winner, paid, burned, upheld ? 0 : _open.deadline);
        if (paid > 0) _credit(winner, paid);
        token.burn(burned);
    }

    /// @dev Credited, not sent: a winner that cannot receive must not hold up an epoch.
    function _credit(address account, uint128 amount) private {
        uint128 newCredit = bondCredit[account] + amount;
        bondCredit[account] = newCredit;
        emit BondCredited(account, amount, newCredit);
    }

    /// @dev From the caller's credit where that covers it: a poster's bond comes back as credit with every final epoch.
    function _takeBond() private {
        uint128 credit = bondCredit[msg.sender];
        if (credit < bondAmount) {
            IERC20(token).safeTransferFrom(msg.sender, address(this), bondAmount);
            return;
        }
        bondCredit[msg.sender] = credit - bondAmount;
        emit BondDebited(msg.sender, bondAmount, credit - bondAmount);
    }
}
