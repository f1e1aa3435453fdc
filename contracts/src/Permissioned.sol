// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {AuthorityUtils} from "@openzeppelin/contracts/access/manager/AuthorityUtils.sol";

/// @title Asks the AccessManager who may call what. All permissions are in its one stream of events.
abstract contract Permissioned {
    /// @notice The AccessManager, under the Timelock.
    address public immutable authority;

    /// @notice The caller does not hold the role this takes.
    error NotPermitted(address caller);

    constructor(address authority_) {
        authority = authority_;
    }

    /// @return Whether the caller holds, now, the role of the function that is called.
    function _isPermitted() internal view returns (bool) {
        (bool isImmediate,) = AuthorityUtils.canCallWithDelay(authority, msg.sender, address(this), msg.sig);
        return isImmediate;
    }
}

/// @title A door for new work that the guardian can close for a while. What lies inside stays in reach: nothing that
/// pays out, leaves, answers or rules is behind it.
abstract contract GuardedIntake is Permissioned {
    /// @notice Longest pause. It ends by itself: a guardian that is lost or captured cannot close the door for good.
    uint64 public constant PAUSE_SECONDS_MAX = 7 days;

    /// @notice Second at which the pause ends, 0 where there was none.
    uint64 public pausedUntil;

    /// @notice No new work is taken until the second `pausedUntil`; claims, exits and rulings go on.
    event IntakePaused(address indexed by, uint64 pausedUntil);
    /// @notice New work is taken again.
    event IntakeResumed(address indexed by);

    /// @notice The guardian holds new work up until the second `pausedUntil`.
    error IntakeIsPaused(uint64 pausedUntil);
    /// @notice Seconds of a pause, and the most there may be.
    error PauseTooLong(uint64 given, uint64 max);

    modifier whileOpen() {
        require(block.timestamp >= pausedUntil, IntakeIsPaused(pausedUntil));
        _;
    }

    /// @notice Guardian: take nothing new for `seconds_`.
    function pauseIntake(uint64 seconds_) external {
        require(_isPermitted(), NotPermitted(msg.sender));
        require(seconds_ <= PAUSE_SECONDS_MAX, PauseTooLong(seconds_, PAUSE_SECONDS_MAX));
        uint64 until = uint64(block.timestamp) + seconds_;
        pausedUntil = until;
        emit IntakePaused(msg.sender, until);
    }

    /// @notice Guardian: end the pause.
    function resumeIntake() external {
        require(_isPermitted(), NotPermitted(msg.sender));
        pausedUntil = 0;
        emit IntakeResumed(msg.sender);
    }
}
