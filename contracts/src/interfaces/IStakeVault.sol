// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title Stakes by scope: keccak256(abi.encode(kind, uint256 id)) with kind "datanet" (id of the Datanet), "node" (the
/// node's address: its operating stake) or "model" (id of the model).
/// @notice Each kind has one controller, named at construction, that may lock and slash. Every event carries the post-state.
interface IStakeVault {
    /// @notice A stake grew; wei, sums after it.
    event Staked(bytes32 indexed scope, address indexed account, uint128 amount, uint128 newStake, uint128 newVotable);
    /// @notice A stake is leaving: it votes no more, and may go from the second `unlockAt`. Wei.
    event UnstakeRequested(bytes32 indexed scope, address indexed account, uint128 amount, uint64 unlockAt, uint128 newVotable);
    /// @notice A stake stays, and votes again; wei.
    event UnstakeCancelled(bytes32 indexed scope, address indexed account, uint128 newVotable);
    /// @notice A stake left whole; wei.
    event Unstaked(bytes32 indexed scope, address indexed account, uint128 amount, uint128 newStake);
    /// @notice An open matter holds a stake back; `locks` counts them.
    event StakeLocked(bytes32 indexed scope, address indexed account, bytes32 indexed lockId, uint32 locks);
    /// @notice An open matter ended; `locks` counts those left.
    event StakeReleased(bytes32 indexed scope, address indexed account, bytes32 indexed lockId, uint32 locks);
    /// @notice A part of a stake was taken; wei.
    /// @dev beneficiary: the treasury, the reporter of the fault, or zero for what is burned. One event for each.
    event Slashed(bytes32 indexed scope, address indexed account, bytes32 indexed reason, uint128 amount, uint128 newStake, address beneficiary, bytes32 evidenceHash);

    /// @notice Nothing, where there must be something.
    error ZeroAmount();
    /// @notice Only the registry, the hub and the proposals lock and slash, each in its own scopes.
    error NotController(address caller);
    /// @notice Open matters hold the stake back.
    error StakeIsLocked(uint32 locks);
    /// @notice The stake may go from the second `unlockAt`.
    error StakeInCooldown(uint64 unlockAt);
    /// @notice The stake is not leaving.
    error NoUnstakeRequested();
    /// @notice The stake is leaving, from the second `unlockAt`.
    error UnstakeAlreadyRequested(uint64 unlockAt);
    /// @notice A slash above the most there may be.
    /// @param given, max In basis points of the stake.
    error SlashTooLarge(uint128 given, uint128 max);
    /// @notice Votes of a block count once it is over.
    error NotInThePast(uint48 blockNumber);
    /// @notice A stake does not fit 96 bits, which hold the whole supply; wei.
    error StakeTooLarge(uint256 given, uint256 max);
    /// @notice Seconds of a cooldown that nobody would outlive.
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
