// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title Stakes by scope: keccak256(abi.encode(kind, uint256 id)) with kind "datanet" (id of the Datanet), "node" (the
/// node's address: its operating stake) or "model" (id of the model).
/// @notice Each kind has one controller, named at construction, that may lock and slash. Every event carries the post-state.
interface IStakeVault {
    event Staked(bytes32 indexed scope, address indexed account, uint128 amount, uint128 newStake, uint128 newVotable);
    event UnstakeRequested(bytes32 indexed scope, address indexed account, uint128 amount, uint64 unlockAt, uint128 newVotable);
    event UnstakeCancelled(bytes32 indexed scope, address indexed account, uint128 newVotable);
    event Unstaked(bytes32 indexed scope, address indexed account, uint128 amount, uint128 newStake);
    event StakeLocked(bytes32 indexed scope, address indexed account, bytes32 indexed lockId, uint32 locks);
    event StakeReleased(bytes32 indexed scope, address indexed account, bytes32 indexed lockId, uint32 locks);
    /// @dev beneficiary: the treasury, the reporter of the fault, or zero for what is burned. One event for each.
    event Slashed(bytes32 indexed scope, address indexed account, bytes32 indexed reason, uint128 amount, uint128 newStake, address beneficiary, bytes32 evidenceHash);

    error ZeroAmount();
    error NotController(address caller);
    error StakeIsLocked(uint32 locks);
    error StakeInCooldown(uint64 unlockAt);
    error NoUnstakeRequested();
    error UnstakeAlreadyRequested(uint64 unlockAt);
    /// @param given, max In basis points of the stake.
    error SlashTooLarge(uint128 given, uint128 max);
    error NotInThePast(uint48 blockNumber);
    error StakeTooLarge(uint256 given, uint256 max);
    error CooldownTooLong(uint64 given, uint64 max);

    /// @notice Stake the caller's tokens, on top of what is there and not leaving.
    function stake(bytes32 scope, uint128 amount) external;
    /// @notice Stake for another account; the caller pays.
    function stakeFor(bytes32 scope, address account, uint128 amount) external;
    /// @notice The whole stake starts its cooldown and loses its voting weight at once.
    function requestUnstake(bytes32 scope) external;
    /// @notice The whole stake stays after all, and votes again.
    function cancelUnstake(bytes32 scope) external;
    /// @notice Take the whole stake out, once its cooldown is over and nothing locks it.
    function unstake(bytes32 scope) external;
    /// @notice Controllers only, here and in the next two; `id` within the caller's own kind.
    function lock(uint256 id, address account, bytes32 lockId) external;
    function release(uint256 id, address account, bytes32 lockId) external;
    /// @notice Take `bps` of a stake: for the treasury, or a fifth for `reporter` and the rest burned.
    /// @return amount What was taken in all; 0 without a stake.
    function slash(uint256 id, address account, uint16 bps, bytes32 reason, bytes32 evidenceHash, address reporter) external returns (uint128 amount);

    /// @notice Also while it is leaving: `unlockAt` is then the second from which it may.
    function stakeOf(bytes32 scope, address account) external view returns (uint128 amount, uint64 unlockAt, uint32 locks);
    /// @notice Stake of `account` that counts in votes: zero once an unstake is requested.
    function votableOf(bytes32 scope, address account) external view returns (uint128);
    /// @notice Sum of votableOf of all accounts.
    function votable(bytes32 scope) external view returns (uint128);
    /// @notice votableOf at the end of block `blockNumber`, which must lie in the past, so that nobody stakes into a
    /// running vote. By block and not by time: blocks of one second share their timestamp on some chains.
    function votableOfAt(bytes32 scope, address account, uint48 blockNumber) external view returns (uint128);
    function votableAt(bytes32 scope, uint48 blockNumber) external view returns (uint128);
    function totalStaked() external view returns (uint128);
    function totalSlashed() external view returns (uint128);
}
