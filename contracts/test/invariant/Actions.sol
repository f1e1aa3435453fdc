// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Base, vm} from "../Base.sol";

/// @notice A world in which Foundry calls `actions()` in random order, with random arguments and passing time.
/// @dev An action either returns because it does not apply, or must succeed; `attempt` is for those that may not.
abstract contract Actions is Base {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    /// @return Selectors of the functions that Foundry may call.
    function actions() internal pure virtual returns (bytes4[] memory);

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(this);
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(this), actions());
    }

    /// Often a moment, sometimes long enough for windows and cooldowns to end.
    function wait_(uint256 seconds_) external {
        pass(seconds_ % 3 == 0 ? bound(seconds_, 1 days, 6 days) : bound(seconds_, 1, 1 hours));
    }

    function attempt(address sender, address target, bytes memory call_) internal returns (bool isDone) {
        vm.prank(sender);
        (isDone,) = target.call(call_);
    }

    function actor(uint256 index) internal pure returns (address) {
        return vm.addr(1 + (index % ACTORS));
    }

    uint256 internal constant ACTORS = 3;
}
