// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC20Votes} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Votes.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";

/// @title OPEN: the unit of every fee, stake, bond and reward.
/// @notice Fixed supply, no owner, no minter. Votes are counted by timestamp, since a layer 2's block time may change.
contract OpenToken is ERC20, ERC20Burnable, ERC20Permit, ERC20Votes {
    /// @notice Whole supply, minted once: 10^9 OPEN of 18 decimals.
    uint256 public constant SUPPLY = 1_000_000_000 ether;

    /// @param holder Receives the whole supply.
    constructor(address holder) ERC20("Tributary OPEN", "OPEN") ERC20Permit("Tributary OPEN") {
        _mint(holder, SUPPLY);
    }

    /// @notice Seconds since 1970: the clock of the votes (ERC-6372).
    function clock() public view override returns (uint48) {
        return uint48(block.timestamp);
    }

    function CLOCK_MODE() public pure override returns (string memory) {
        return "mode=timestamp";
    }

    function _update(address from, address to, uint256 value) internal override(ERC20, ERC20Votes) {
        super._update(from, to, value);
    }

    function nonces(address owner) public view override(ERC20Permit, Nonces) returns (uint256) {
        return super.nonces(owner);
    }
}
