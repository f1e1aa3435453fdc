// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title What EigenDA's certificate verifiers and their router answer on layer 1 (Layr-Labs/eigenda,
/// contracts/src/integrations/cert/interfaces/IEigenDACertVerifierBase.sol).
interface IEigenDACertVerifier {
    /// @return status 1 valid, 6 invalid certificate, 7 internal error; others are no verdict either.
    function checkDACert(bytes calldata abiEncodedCert) external view returns (uint8 status);
}
