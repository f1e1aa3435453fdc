// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IEigenDACertVerifier} from "../interfaces/IEigenDACertVerifier.sol";

/// @title For tests: answers as EigenDA's verifier would, from a list. Not for a network: it checks no signature.
contract LocalCertVerifier is IEigenDACertVerifier {
    uint8 private constant INVALID = 6;

    /// @notice keccak256(abiEncodedCert) → status.
    mapping(bytes32 certificateHash => uint8) public statusOf;

    function setStatus(bytes32 certificateHash, uint8 status) external {
        statusOf[certificateHash] = status;
    }

    /// @return 6 for what it does not know.
    function checkDACert(bytes calldata abiEncodedCert) external view returns (uint8) {
        uint8 status = statusOf[keccak256(abiEncodedCert)];
        return status == 0 ? INVALID : status;
    }
}
