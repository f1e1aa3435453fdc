// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {StorageSlot} from "@openzeppelin/contracts/utils/StorageSlot.sol";

/// @title A registry whose code the Timelock may replace, until it switches that off for good.
/// @dev Everything the code needs is immutable in it, so a proxy has no initialiser that someone could call first.
abstract contract Upgradeable is UUPSUpgradeable {
    /// @dev ERC-7201 slot of "tributary.upgradeable": no storage of any code meets it.
    bytes32 private constant REVOKED_SLOT =
        keccak256(abi.encode(uint256(keccak256("tributary.upgradeable")) - 1)) & ~bytes32(uint256(0xff));

    /// @notice Only this address upgrades: the Timelock.
    address public immutable upgrader;

    /// @notice The code is what it is for good.
    event UpgradeabilityRevoked();

    /// @notice Only the Timelock upgrades.
    error NotUpgrader(address caller);
    /// @notice Upgrading was switched off for good.
    error NotUpgradeable();

    constructor(address upgrader_) {
        upgrader = upgrader_;
    }

    /// @notice One way: from now on the code stays what it is.
    function revokeUpgradeability() external onlyProxy {
        require(msg.sender == upgrader, NotUpgrader(msg.sender));
        StorageSlot.getBooleanSlot(REVOKED_SLOT).value = true;
        emit UpgradeabilityRevoked();
    }

    function isUpgradeable() public view returns (bool) {
        return !StorageSlot.getBooleanSlot(REVOKED_SLOT).value;
    }

    function _authorizeUpgrade(address) internal view override {
        require(msg.sender == upgrader, NotUpgrader(msg.sender));
        require(isUpgradeable(), NotUpgradeable());
    }
}
