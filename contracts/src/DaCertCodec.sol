// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Memory} from "@openzeppelin/contracts/utils/Memory.sol";
import {RLP} from "@openzeppelin/contracts/utils/RLP.sol";

/// @title EigenDA certificates as proxies write them (version − 1, then RLP) → as contracts take them (abi.encode).
/// @dev Field order: EigenDACertTypes.sol, Layr-Labs/eigenda @ 61019b4e9f91. Not stricter than EigenDA's own decoder: an
/// integer may have leading zeros here. What reverts here is no certificate there either.
library DaCertCodec {
    using RLP for Memory.Slice;
    using Memory for bytes;

    struct G1Point {
        uint256 x;
        uint256 y;
    }

    struct G2Point {
        uint256[2] x;
        uint256[2] y;
    }

    struct BatchHeader {
        bytes32 batchRoot;
        uint32 referenceBlockNumber;
    }

    struct BlobCommitment {
        G1Point commitment;
        G2Point lengthCommitment;
        G2Point lengthProof;
        uint32 length;
    }

    struct BlobHeader {
        uint16 version;
        bytes quorumNumbers;
        BlobCommitment commitment;
        bytes32 paymentHeaderHash;
    }

    struct BlobCertificate {
        BlobHeader blobHeader;
        bytes signature;
        uint32[] relayKeys;
    }

    struct BlobInclusion {
        BlobCertificate blobCertificate;
        uint32 blobIndex;
        bytes inclusionProof;
    }

    struct Attestation {
        uint32[] nonSignerQuorumBitmapIndices;
        G1Point[] nonSignerPubkeys;
        G1Point[] quorumApks;
        G2Point apkG2;
        G1Point sigma;
        uint32[] quorumApkIndices;
        uint32[] totalStakeIndices;
        uint32[][] nonSignerStakeIndices;
    }

    struct CertV3 {
        BatchHeader batchHeader;
        BlobInclusion blobInclusion;
        Attestation attestation;
        bytes signedQuorumNumbers;
    }

    struct CertV4 {
        BatchHeader batchHeader;
        BlobInclusion blobInclusion;
        Attestation attestation;
        bytes signedQuorumNumbers;
        uint16 offchainDerivationVersion;
    }

    bytes1 private constant V3 = 0x02;
    bytes1 private constant V4 = 0x03;

    /// @notice The first byte is not that of a certificate we read.
    error UnknownVersion(bytes1 version);
    /// @notice An RLP list has another number of items.
    error WrongFieldCount(uint256 given, uint256 expected);
    /// @notice An integer is above what its field holds.
    error IntegerTooLarge(uint256 given, uint256 max);
    /// @notice A hash does not have 32 bytes.
    error WrongHashLength(uint256 given);
    /// @notice There are no bytes.
    error Empty();

    /// @return abiEncoded What checkDACert takes. @return referenceBlockNumber Of layer 1.
    function decode(bytes calldata daCommitment)
        internal
        pure
        returns (bytes memory abiEncoded, uint32 referenceBlockNumber)
    {
        require(daCommitment.length > 0, Empty());
        bytes1 version = daCommitment[0];
        require(version == V3 || version == V4, UnknownVersion(version));
        bytes memory rlp = daCommitment[1:];
        Memory.Slice[] memory nodes = _fields(rlp.asSlice(), version == V4 ? 5 : 4);
        BatchHeader memory header = _batchHeader(nodes[0]);
        BlobInclusion memory inclusion = _inclusion(nodes[1]);
        Attestation memory attestation = _attestation(nodes[2]);
        bytes memory quorums = nodes[3].readBytes();
        referenceBlockNumber = header.referenceBlockNumber;
        if (version == V3) return (abi.encode(CertV3(header, inclusion, attestation, quorums)), referenceBlockNumber);
        uint16 derivation = uint16(_integer(nodes[4], type(uint16).max));
        return (abi.encode(CertV4(header, inclusion, attestation, quorums, derivation)), referenceBlockNumber);
    }

    function _batchHeader(Memory.Slice item) private pure returns (BatchHeader memory) {
        Memory.Slice[] memory nodes = _fields(item, 2);
        return BatchHeader(_hash(nodes[0]), _uint32(nodes[1]));
    }

    function _inclusion(Memory.Slice item) private pure returns (BlobInclusion memory) {
        Memory.Slice[] memory nodes = _fields(item, 3);
        Memory.Slice[] memory blob = _fields(nodes[0], 3);
        BlobCertificate memory certificate =
            BlobCertificate(_blobHeader(blob[0]), blob[1].readBytes(), _uint32s(blob[2]));
        return BlobInclusion(certificate, _uint32(nodes[1]), nodes[2].readBytes());
    }

    function _blobHeader(Memory.Slice item) private pure returns (BlobHeader memory) {
        Memory.Slice[] memory nodes = _fields(item, 4);
        Memory.Slice[] memory points = _fields(nodes[2], 4);
        BlobCommitment memory commitment =
            BlobCommitment(_g1(points[0]), _g2(points[1]), _g2(points[2]), _uint32(points[3]));
        uint16 version = uint16(_integer(nodes[0], type(uint16).max));
        return BlobHeader(version, nodes[1].readBytes(), commitment, _hash(nodes[3]));
    }

    function _attestation(Memory.Slice item) private pure returns (Attestation memory attestation) {
        Memory.Slice[] memory nodes = _fields(item, 8);
        attestation.nonSignerQuorumBitmapIndices = _uint32s(nodes[0]);
        attestation.nonSignerPubkeys = _g1s(nodes[1]);
        attestation.quorumApks = _g1s(nodes[2]);
        attestation.apkG2 = _g2(nodes[3]);
        attestation.sigma = _g1(nodes[4]);
        attestation.quorumApkIndices = _uint32s(nodes[5]);
        attestation.totalStakeIndices = _uint32s(nodes[6]);
        Memory.Slice[] memory rows = nodes[7].readList();
        attestation.nonSignerStakeIndices = new uint32[][](rows.length);
        for (uint256 i = 0; i < rows.length; i++) {
            attestation.nonSignerStakeIndices[i] = _uint32s(rows[i]);
        }
    }

    function _g1(Memory.Slice item) private pure returns (G1Point memory) {
        Memory.Slice[] memory nodes = _fields(item, 2);
        return G1Point(nodes[0].readUint256(), nodes[1].readUint256());
    }

    function _g1s(Memory.Slice item) private pure returns (G1Point[] memory points) {
        Memory.Slice[] memory nodes = item.readList();
        points = new G1Point[](nodes.length);
        for (uint256 i = 0; i < nodes.length; i++) {
            points[i] = _g1(nodes[i]);
        }
    }

    function _g2(Memory.Slice item) private pure returns (G2Point memory point) {
        Memory.Slice[] memory nodes = _fields(item, 2);
        point.x = _pair(nodes[0]);
        point.y = _pair(nodes[1]);
    }

    function _pair(Memory.Slice item) private pure returns (uint256[2] memory) {
        Memory.Slice[] memory nodes = _fields(item, 2);
        return [nodes[0].readUint256(), nodes[1].readUint256()];
    }

    function _uint32s(Memory.Slice item) private pure returns (uint32[] memory values) {
        Memory.Slice[] memory nodes = item.readList();
        values = new uint32[](nodes.length);
        for (uint256 i = 0; i < nodes.length; i++) {
            values[i] = _uint32(nodes[i]);
        }
    }

    function _uint32(Memory.Slice item) private pure returns (uint32) {
        return uint32(_integer(item, type(uint32).max));
    }

    function _integer(Memory.Slice item, uint256 max) private pure returns (uint256 value) {
        value = item.readUint256();
        require(value <= max, IntegerTooLarge(value, max));
    }

    function _hash(Memory.Slice item) private pure returns (bytes32) {
        bytes memory value = item.readBytes();
        require(value.length == 32, WrongHashLength(value.length));
        return bytes32(value);
    }

    function _fields(Memory.Slice item, uint256 count) private pure returns (Memory.Slice[] memory nodes) {
        nodes = item.readList();
        require(nodes.length == count, WrongFieldCount(nodes.length, count));
    }
}
