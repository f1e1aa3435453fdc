// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ICrossDomainMessenger} from "../interfaces/ICrossDomainMessenger.sol";

/// @title For tests on local chains, where the OP Stack's messengers do not stand. Not for a network.
/// @notice Keeps their interface, their event, and their rule that a message of layer 1 is relayed on layer 2 by the aliased
/// address of layer 1's messenger, in a deposit transaction. Leaves out fees, replays of failed messages and withdrawals.
contract LocalMessenger is ICrossDomainMessenger {
    /// @dev What the OP Stack adds to a layer 1 contract's address when it calls on layer 2.
    uint160 private constant ALIAS = uint160(0x1111000000000000000000000000000000001111);
    address private constant NOBODY = address(0xdead);

    /// @notice The messenger of the other layer.
    address public immutable other;

    uint256 public messageNonce;
    address private _sender = NOBODY;

    error NotOtherMessenger(address caller);
    error NoMessageIsRelayed();
    error RelayFailed(bytes reason);

    constructor(address other_) {
        other = other_;
    }

    function sendMessage(address target, bytes calldata message, uint32 minGasLimit) external payable {
        emit SentMessage(target, msg.sender, message, messageNonce, minGasLimit);
        messageNonce++;
    }

    function relayMessage(uint256, address sender, address target, uint256, uint256 minGasLimit, bytes calldata message)
        external
        payable
    {
        require(msg.sender == address(uint160(other) + ALIAS), NotOtherMessenger(msg.sender));
        _sender = sender;
        (bool isDone, bytes memory reason) = target.call{gas: minGasLimit}(message);
        _sender = NOBODY;
        require(isDone, RelayFailed(reason));
    }

    function xDomainMessageSender() external view returns (address) {
        require(_sender != NOBODY, NoMessageIsRelayed());
        return _sender;
    }
}
