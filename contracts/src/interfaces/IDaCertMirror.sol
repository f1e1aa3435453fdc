// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title What layer 1 said about certificates, on layer 2.
interface IDaCertMirror {
    /// @param status 1 valid, 6 invalid. @param l1Block Block of layer 1 in which it was checked.
    event DACertVerified(bytes32 indexed daRef, uint8 status, uint64 l1Block);

    error NotMessenger(address caller);
    error NotAnchor(address sender);
    error NoVerdict(uint8 status);

    /// @notice The messenger, for the anchor. The first verdict stays: a certificate is what it is.
    function onVerified(bytes32 daRef, uint8 status, uint64 l1Block) external;
    /// @param daRef keccak256(daCommitment). @return 0 never checked, 1 valid, 6 invalid.
    function verdictOf(bytes32 daRef) external view returns (uint8);
}
