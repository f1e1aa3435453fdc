// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";

/// @notice A token that refuses one recipient, and calls into its holders' contracts while they move it.
contract HostileToken is ERC20, ERC20Burnable {
    address public refused;
    address private target;
    bytes private call_;
    bool public hasTried;
    bool public hasEntered;

    constructor() ERC20("Hostile", "HST") {
        _mint(msg.sender, 1e30);
    }

    function refuseTo(address account) external {
        refused = account;
    }

    /// @notice With the next transfer, once, call `target_`.
    function arm(address target_, bytes calldata data) external {
        (target, call_, hasTried, hasEntered) = (target_, data, false, false);
    }

    function _update(address from, address to, uint256 value) internal override {
        require(to != refused || to == address(0), "refused");
        super._update(from, to, value);
        if (target == address(0)) return;
        address armed = target;
        target = address(0);
        hasTried = true;
        (hasEntered,) = armed.call(call_);
    }
}
