// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title What layer 1 said about certificates, on layer 2.
interface IDaCertMirror {
    /// @notice A verdict of layer 1 arrived: 1 valid, 6 invalid. The first one stays.
    /// @param status 1 valid, 6 invalid. @param l1Block Block of layer 1 in which it was checked.
    event DACertVerified(bytes32 indexed daRef, uint8 status, uint64 l1Block);

    /// @notice Only the OP Stack's messenger calls here.
    error NotMessenger(address caller);
    /// @notice The message was not sent by the anchor on layer 1.
    error NotAnchor(address sender);
    /// @notice Neither valid nor invalid.
    error NoVerdict(uint8 status);

    /// @notice The messenger, for the anchor. The first verdict stays: a certificate is what it is.
    function onVerified(bytes32 daRef, uint8 status, uint64 l1Block) external;
    /// @param daRef keccak256(daCommitment). @return 0 never checked, 1 valid, 6 invalid.
    function verdictOf(bytes32 daRef) external view returns (uint8);
}
