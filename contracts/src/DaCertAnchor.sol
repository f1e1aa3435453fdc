// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {DaCertCodec} from "./DaCertCodec.sol";
import {ICrossDomainMessenger} from "./interfaces/ICrossDomainMessenger.sol";
import {IDaCertMirror} from "./interfaces/IDaCertMirror.sol";
import {IEigenDACertVerifier} from "./interfaces/IEigenDACertVerifier.sol";

/// @title On layer 1: asks EigenDA's verifier about a certificate and sends its answer to layer 2. Only disputes need it.
/// @notice Anyone anchors. The bytes are those that stand in layer 2's events (daCommitment: version byte and RLP), so that
/// keccak256 of them is the daRef there; they are decoded here into what checkDACert takes.
/// A verdict is 1 (valid) or 6 (invalid): bytes that are no certificate, and a certificate whose reference block has not
/// been, are invalid. Every other answer of the verifier is none, and reverts.
/// @dev Gas: EigenDA's verifier takes running out of gas while it decodes for an invalid certificate, so whoever calls
/// with little gas could have a valid one found invalid. CHECK_GAS_MIN is well above its decoding limit of 2,097,152;
/// where gas runs out later it answers 7, which is no verdict.
contract DaCertAnchor {
    uint8 public constant VALID = 1;
    uint8 public constant INVALID = 6;
    /// @notice Gas that must be left when the verifier is called.
    uint256 public constant CHECK_GAS_MIN = 8_000_000;
    /// @notice Gas of the message on layer 2.
    uint32 public constant RELAY_GAS = 200_000;

    /// @notice EigenDA's certificate verifier or its router.
    IEigenDACertVerifier public immutable verifier;
    ICrossDomainMessenger public immutable messenger;
    /// @notice The DaCertMirror on layer 2.
    address public immutable mirror;

    /// @notice A verdict of EigenDA's verifier left for layer 2: 1 valid, 6 invalid.
    event DACertAnchored(bytes32 indexed daRef, address indexed sender, uint8 status);

    /// @notice The verifier gave no verdict: an error of its own.
    error NoVerdict(uint8 status);
    /// @notice With less the verifier might run out and call a good certificate invalid.
    error GasTooLow(uint256 given, uint256 min);

    constructor(IEigenDACertVerifier verifier_, ICrossDomainMessenger messenger_, address mirror_) {
        verifier = verifier_;
        messenger = messenger_;
        mirror = mirror_;
    }

    /// @param daCommitment As in layer 2's event.
    /// @return status 1 or 6.
    function anchor(bytes calldata daCommitment) external returns (uint8 status) {
        status = _check(daCommitment);
        require(status == VALID || status == INVALID, NoVerdict(status));
        bytes32 daRef = keccak256(daCommitment);
        emit DACertAnchored(daRef, msg.sender, status);
        bytes memory message = abi.encodeCall(IDaCertMirror.onVerified, (daRef, status, uint64(block.number)));
        messenger.sendMessage(mirror, message, RELAY_GAS);
    }

    /// @notice The same bytes as checkDACert takes them, and the reference block. Reverts where they are no certificate.
    function decode(bytes calldata daCommitment)
        external
        pure
        returns (bytes memory abiEncoded, uint32 referenceBlockNumber)
    {
        return DaCertCodec.decode(daCommitment);
    }

    function _check(bytes calldata daCommitment) private view returns (uint8) {
        try this.decode(daCommitment) returns (bytes memory abiEncoded, uint32 referenceBlockNumber) {
            if (referenceBlockNumber >= block.number) return INVALID;
            uint256 left = gasleft();
            require(left >= CHECK_GAS_MIN, GasTooLow(left, CHECK_GAS_MIN));
            return verifier.checkDACert(abiEncoded);
        } catch (bytes memory reason) {
            // Empty where gas ran out: that says nothing about the bytes.
            require(reason.length > 0, GasTooLow(gasleft(), CHECK_GAS_MIN));
            return INVALID;
        }
    }
}
