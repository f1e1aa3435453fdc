// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IStakeVault} from "./interfaces/IStakeVault.sol";

/// @title Custody of all stakes. Immutable: no owner, no upgrade, no sweep.
/// @notice Stake: staked → (requestUnstake) exiting → (cooldown over and no lock) withdrawn whole; or → (cancelUnstake) staked.
contract StakeVault is IStakeVault, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @notice Most that one slash may take, in basis points of the stake.
    uint16 public constant SLASH_BPS_MAX = 5_000;
    /// @notice Who proved a fault has this part of what is slashed; the rest is burned, so that reporting oneself costs.
    uint16 public constant REPORTER_BPS = 2_000;
    uint64 public constant UNSTAKE_COOLDOWN_SECONDS_MAX = 365 days;

    ERC20Burnable public immutable token;
    /// @notice Only these may lock, release and slash, each in its own scopes: a Datanet's, a node's, a model's.
    address public immutable registry;
    address public immutable hub;
    address public immutable proposals;
    /// @notice Receives what is slashed where nobody reported.
    address public immutable treasury;
    uint64 public immutable unstakeCooldownSeconds;

    /// @dev One slot, and with it the last checkpoint: most accounts stake once and stay. 96 bits hold the whole supply.
    /// @param unlockAt 0 while staked; once exiting, the second from which the stake may leave.
    /// @param locks Open matters that may still slash this stake.
    /// @param since Block from whose end on the stake votes as it does now.
    /// @param changes Number of checkpoints of before, in `_pastOf`.
    struct Stake {
        uint96 amount;
        uint40 unlockAt;
        uint32 locks;
        uint48 since;
        uint32 changes;
    }

    /// @dev Of a scope: the sum of its stakes that are not leaving; `since` and `changes` as above.
    struct Total {
        uint96 votable;
        uint48 since;
        uint32 changes;
    }

    /// @dev What voted from the end of the block `since` until the next checkpoint.
    struct Checkpoint {
        uint48 since;
        uint96 votable;
    }

    mapping(bytes32 scope => mapping(address account => Stake)) private _stakes;
    mapping(bytes32 scope => Total) private _totals;
    mapping(bytes32 scope => mapping(address account => mapping(uint32 index => Checkpoint))) private _pastOf;
    mapping(bytes32 scope => mapping(uint32 index => Checkpoint)) private _past;

    /// @inheritdoc IStakeVault
    uint128 public totalStaked;
    /// @inheritdoc IStakeVault
    uint128 public totalSlashed;

    /// @param unstakeCooldownSeconds_ At least the longest time in which a fault can still be proven.
    constructor(
        ERC20Burnable token_,
        address registry_,
        address hub_,
        address proposals_,
        address treasury_,
        uint64 unstakeCooldownSeconds_
    ) {
        require(
            unstakeCooldownSeconds_ <= UNSTAKE_COOLDOWN_SECONDS_MAX,
            CooldownTooLong(unstakeCooldownSeconds_, UNSTAKE_COOLDOWN_SECONDS_MAX)
        );
        token = token_;
        registry = registry_;
        hub = hub_;
        proposals = proposals_;
        treasury = treasury_;
        unstakeCooldownSeconds = unstakeCooldownSeconds_;
    }

    /// @inheritdoc IStakeVault
    function stake(bytes32 scope, uint128 amount) external {
        _stake(scope, msg.sender, amount);
    }

    /// @inheritdoc IStakeVault
    function stakeFor(bytes32 scope, address account, uint128 amount) external {
        _stake(scope, account, amount);
    }

    /// @inheritdoc IStakeVault
    function requestUnstake(bytes32 scope) external {
        Stake memory held = _stakes[scope][msg.sender];
        require(held.amount > 0, ZeroAmount());
        require(held.unlockAt == 0, UnstakeAlreadyRequested(held.unlockAt));
        uint128 newVotable = _checkpoint(scope, msg.sender, held, 0);
        held.unlockAt = uint40(block.timestamp + unstakeCooldownSeconds);
        _stakes[scope][msg.sender] = held;
        emit UnstakeRequested(scope, msg.sender, held.amount, held.unlockAt, newVotable);
    }

    /// @inheritdoc IStakeVault
    /// @dev It votes again from now on; no vote of before counts it.
    function cancelUnstake(bytes32 scope) external {
        Stake memory held = _stakes[scope][msg.sender];
        require(held.unlockAt != 0, NoUnstakeRequested());
        uint128 newVotable = _checkpoint(scope, msg.sender, held, held.amount);
        held.unlockAt = 0;
        _stakes[scope][msg.sender] = held;
        emit UnstakeCancelled(scope, msg.sender, newVotable);
    }

    /// @inheritdoc IStakeVault
    function unstake(bytes32 scope) external nonReentrant {
        Stake storage held = _stakes[scope][msg.sender];
        require(held.unlockAt != 0, NoUnstakeRequested());
        require(block.timestamp >= held.unlockAt, StakeInCooldown(held.unlockAt));
        require(held.locks == 0, StakeIsLocked(held.locks));
        uint128 amount = held.amount;
        held.amount = 0;
        held.unlockAt = 0;
        totalStaked -= amount;
        emit Unstaked(scope, msg.sender, amount, 0);
        IERC20(token).safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IStakeVault
    function lock(uint256 id, address account, bytes32 lockId) external {
        bytes32 scope = _scopeOf(id);
        uint32 locks = ++_stakes[scope][account].locks;
        emit StakeLocked(scope, account, lockId, locks);
    }

    /// @inheritdoc IStakeVault
    function release(uint256 id, address account, bytes32 lockId) external {
        bytes32 scope = _scopeOf(id);
        uint32 locks = --_stakes[scope][account].locks;
        emit StakeReleased(scope, account, lockId, locks);
    }

    /// @inheritdoc IStakeVault
    /// @dev An exiting stake can be slashed too: it has no votes left, but it has not left.
    function slash(uint256 id, address account, uint16 bps, bytes32 reason, bytes32 evidenceHash, address reporter)
        external
        nonReentrant
        returns (uint128 amount)
    {
        bytes32 scope = _scopeOf(id);
        require(bps <= SLASH_BPS_MAX, SlashTooLarge(bps, SLASH_BPS_MAX));
        Stake memory held = _stakes[scope][account];
        uint128 stakeBefore = held.amount;
        amount = uint128((uint256(stakeBefore) * bps) / 10_000);
        if (amount == 0) return 0;
        uint96 newStake = uint96(stakeBefore - amount);
        if (held.unlockAt == 0) _checkpoint(scope, account, held, newStake);
        held.amount = newStake;
        _stakes[scope][account] = held;
        totalStaked -= amount;
        totalSlashed += amount;
        if (reporter == address(0)) {
            emit Slashed(scope, account, reason, amount, newStake, treasury, evidenceHash);
            IERC20(token).safeTransfer(treasury, amount);
            return amount;
        }
        uint128 reward = uint128((uint256(amount) * REPORTER_BPS) / 10_000);
        emit Slashed(scope, account, reason, reward, stakeBefore - reward, reporter, evidenceHash);
        emit Slashed(scope, account, reason, amount - reward, newStake, address(0), evidenceHash);
        IERC20(token).safeTransfer(reporter, reward);
        token.burn(amount - reward);
    }

    /// @inheritdoc IStakeVault
    function stakeOf(bytes32 scope, address account) external view returns (uint128, uint64, uint32) {
        Stake storage held = _stakes[scope][account];
        return (held.amount, held.unlockAt, held.locks);
    }

    /// @inheritdoc IStakeVault
    function votableOf(bytes32 scope, address account) external view returns (uint128) {
        return _votableOf(_stakes[scope][account]);
    }

    /// @inheritdoc IStakeVault
    function votable(bytes32 scope) external view returns (uint128) {
        return _totals[scope].votable;
    }

    /// @inheritdoc IStakeVault
    function votableOfAt(bytes32 scope, address account, uint48 blockNumber) external view returns (uint128) {
        require(blockNumber < block.number, NotInThePast(blockNumber));
        Stake memory held = _stakes[scope][account];
        if (held.since <= blockNumber) return _votableOf(held);
        return _lookUp(_pastOf[scope][account], held.changes, blockNumber);
    }

    /// @inheritdoc IStakeVault
    function votableAt(bytes32 scope, uint48 blockNumber) external view returns (uint128) {
        require(blockNumber < block.number, NotInThePast(blockNumber));
        Total memory total = _totals[scope];
        if (total.since <= blockNumber) return total.votable;
        return _lookUp(_past[scope], total.changes, blockNumber);
    }

    function _stake(bytes32 scope, address account, uint128 amount) private nonReentrant {
        require(amount > 0, ZeroAmount());
        Stake memory held = _stakes[scope][account];
        require(held.unlockAt == 0, UnstakeAlreadyRequested(held.unlockAt));
        uint256 newStake = uint256(held.amount) + amount;
        require(newStake <= type(uint96).max, StakeTooLarge(newStake, type(uint96).max));
        uint128 newVotable = _checkpoint(scope, account, held, uint96(newStake));
        held.amount = uint96(newStake);
        _stakes[scope][account] = held;
        totalStaked += amount;
        emit Staked(scope, account, amount, uint128(newStake), newVotable);
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @return Scope of `id` among those of the caller: no controller reaches into another's.
    function _scopeOf(uint256 id) private view returns (bytes32) {
        if (msg.sender == registry) return keccak256(abi.encode("datanet", id));
        if (msg.sender == hub) return keccak256(abi.encode("node", id));
        if (msg.sender == proposals) return keccak256(abi.encode("model", id));
        revert NotController(msg.sender);
    }

    function _votableOf(Stake memory held) private pure returns (uint96) {
        return held.unlockAt == 0 ? held.amount : 0;
    }

    /// @dev Before `held` changes, so that it votes with `votable_`; whoever calls this stores `held`.
    /// @return Votable stake of the whole scope.
    function _checkpoint(bytes32 scope, address account, Stake memory held, uint96 votable_) private returns (uint96) {
        uint96 before = _votableOf(held);
        (held.since, held.changes) = _keep(_pastOf[scope][account], held.since, held.changes, before);
        Total memory total = _totals[scope];
        (total.since, total.changes) = _keep(_past[scope], total.since, total.changes, total.votable);
        total.votable = total.votable - before + votable_;
        _totals[scope] = total;
        return total.votable;
    }

    /// @dev What changes twice in a block counts at its end alone; before the first change there was nothing.
    function _keep(mapping(uint32 => Checkpoint) storage past, uint48 since, uint32 changes, uint96 votable_)
        private
        returns (uint48, uint32)
    {
        if (since != 0 && since != block.number) past[changes++] = Checkpoint(since, votable_);
        return (uint48(block.number), changes);
    }

    /// @return votable_ Of the last of `count` checkpoints that is not after `blockNumber`; 0 before the first.
    function _lookUp(mapping(uint32 => Checkpoint) storage past, uint32 count, uint48 blockNumber)
        private
        view
        returns (uint96 votable_)
    {
        uint32 low = 0;
        while (low < count) {
            uint32 middle = (low + count) / 2;
            Checkpoint memory checkpoint = past[middle];
            if (checkpoint.since > blockNumber) {
                count = middle;
            } else {
                low = middle + 1;
                votable_ = checkpoint.votable;
            }
        }
    }
}
