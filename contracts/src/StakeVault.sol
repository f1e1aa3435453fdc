// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IStakeVault} from "./interfaces/IStakeVault.sol";

/// @title Custody of all stakes. Immutable: no owner, no upgrade, no sweep.
/// @notice Stake: staked → (requestUnstake) exiting → (cooldown over and no lock) withdrawn whole; or → (cancelUnstake) staked.
contract StakeVault is IStakeVault, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using Checkpoints for Checkpoints.Trace208;

    /// @notice Most that one slash may take, in basis points of the stake.
    uint16 public constant SLASH_BPS_MAX = 5_000;
    /// @notice Who proved a fault has this part of what is slashed; the rest is burned, so that reporting oneself costs.
    uint16 public constant REPORTER_BPS = 2_000;

    ERC20Burnable public immutable token;
    /// @notice Only these may lock, release and slash, each in its own scopes: a Datanet's, a node's, a model's.
    address public immutable registry;
    address public immutable hub;
    address public immutable proposals;
    /// @notice Receives what is slashed where nobody reported.
    address public immutable treasury;
    uint64 public immutable unstakeCooldownSeconds;

    /// @param unlockAt 0 while staked; once exiting, the second from which the stake may leave.
    /// @param locks Open matters that may still slash this stake.
    struct Stake {
        uint128 amount;
        uint64 unlockAt;
        uint32 locks;
    }

    mapping(bytes32 scope => mapping(address account => Stake)) private _stakes;
    mapping(bytes32 scope => mapping(address account => Checkpoints.Trace208)) private _votableOf;
    mapping(bytes32 scope => Checkpoints.Trace208) private _votable;

    /// @inheritdoc IStakeVault
    uint256 public totalStaked;
    /// @inheritdoc IStakeVault
    uint256 public totalSlashed;

    /// @param unstakeCooldownSeconds_ At least the longest time in which a fault can still be proven.
    constructor(
        ERC20Burnable token_,
        address registry_,
        address hub_,
        address proposals_,
        address treasury_,
        uint64 unstakeCooldownSeconds_
    ) {
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
        Stake storage held = _stakes[scope][msg.sender];
        uint128 amount = held.amount;
        require(amount > 0, ZeroAmount());
        require(held.unlockAt == 0, UnstakeAlreadyRequested(held.unlockAt));
        uint64 unlockAt = uint64(block.timestamp) + unstakeCooldownSeconds;
        held.unlockAt = unlockAt;
        uint128 newVotable = _setVotable(scope, msg.sender, amount, 0);
        emit UnstakeRequested(scope, msg.sender, amount, unlockAt, newVotable);
    }

    /// @inheritdoc IStakeVault
    /// @dev It votes again from now on; no vote of before counts it.
    function cancelUnstake(bytes32 scope) external {
        Stake storage held = _stakes[scope][msg.sender];
        require(held.unlockAt != 0, NoUnstakeRequested());
        held.unlockAt = 0;
        emit UnstakeCancelled(scope, msg.sender, _setVotable(scope, msg.sender, 0, held.amount));
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
        Stake storage held = _stakes[scope][account];
        uint128 stakeBefore = held.amount;
        amount = uint128((uint256(stakeBefore) * bps) / 10_000);
        if (amount == 0) return 0;
        uint128 newStake = stakeBefore - amount;
        held.amount = newStake;
        if (held.unlockAt == 0) _setVotable(scope, account, stakeBefore, newStake);
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
        Stake storage held = _stakes[scope][account];
        return held.unlockAt == 0 ? held.amount : 0;
    }

    /// @inheritdoc IStakeVault
    function votable(bytes32 scope) external view returns (uint128) {
        return uint128(_votable[scope].latest());
    }

    /// @inheritdoc IStakeVault
    function votableOfAt(bytes32 scope, address account, uint48 blockNumber) external view returns (uint128) {
        require(blockNumber < block.number, NotInThePast(blockNumber));
        return uint128(_votableOf[scope][account].upperLookupRecent(blockNumber));
    }

    /// @inheritdoc IStakeVault
    function votableAt(bytes32 scope, uint48 blockNumber) external view returns (uint128) {
        require(blockNumber < block.number, NotInThePast(blockNumber));
        return uint128(_votable[scope].upperLookupRecent(blockNumber));
    }

    function _stake(bytes32 scope, address account, uint128 amount) private nonReentrant {
        require(amount > 0, ZeroAmount());
        Stake storage held = _stakes[scope][account];
        require(held.unlockAt == 0, UnstakeAlreadyRequested(held.unlockAt));
        uint128 stakeBefore = held.amount;
        uint128 newStake = stakeBefore + amount;
        held.amount = newStake;
        uint128 newVotable = _setVotable(scope, account, stakeBefore, newStake);
        totalStaked += amount;
        emit Staked(scope, account, amount, newStake, newVotable);
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @return Scope of `id` among those of the caller: no controller reaches into another's.
    function _scopeOf(uint256 id) private view returns (bytes32) {
        if (msg.sender == registry) return keccak256(abi.encode("datanet", id));
        if (msg.sender == hub) return keccak256(abi.encode("node", id));
        if (msg.sender == proposals) return keccak256(abi.encode("model", id));
        revert NotController(msg.sender);
    }

    /// @return newVotable Votable stake of the whole scope.
    function _setVotable(bytes32 scope, address account, uint128 from, uint128 to) private returns (uint128 newVotable) {
        uint48 blockNumber = uint48(block.number);
        newVotable = uint128(_votable[scope].latest()) - from + to;
        _votableOf[scope][account].push(blockNumber, to);
        _votable[scope].push(blockNumber, newVotable);
    }
}
