// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title The part of the OP Stack's CrossDomainMessenger that is called here, on either layer (specs.optimism.io,
/// "Cross Domain Messengers").
interface ICrossDomainMessenger {
    /// @notice A message left for the other layer.
    event SentMessage(address indexed target, address sender, bytes message, uint256 messageNonce, uint256 gasLimit);

    function sendMessage(address target, bytes calldata message, uint32 minGasLimit) external payable;
    /// @notice Who sent the message that is being relayed, on the other layer. Reverts outside of a relay.
    function xDomainMessageSender() external view returns (address);
}
