// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IChannelEscrow} from "./IChannelEscrow.sol";

/// @title Batches of receipts become money: node and treasury are paid here, the pool share funds the distributor.
/// @notice Receipt v1 typed data: domain {name "OpenInference", version "1", chainId, verifyingContract: this},
/// InferenceReceipt(bytes32 requestId,address payer,address node,bytes32 modelId,bytes32 adapterSet,bytes32 inputCommit,bytes32 outputCommit,bytes32 retrievalCommit,bytes32 paramsHash,bytes32 profileHash,uint8 provenanceMode,uint32 promptTokens,uint32 completionTokens,uint128 fee,bytes32 channelId,uint128 cumulativeCharged,uint64 servedAt)
interface ISettlementHub {
    struct InferenceReceipt {
        bytes32 requestId;
        address payer;
        address node;
        bytes32 modelId;
        bytes32 adapterSet;
        bytes32 inputCommit;
        bytes32 outputCommit;
        bytes32 retrievalCommit;
        bytes32 paramsHash;
        bytes32 profileHash;
        uint8 provenanceMode;
        uint32 promptTokens;
        uint32 completionTokens;
        uint128 fee;
        bytes32 channelId;
        uint128 cumulativeCharged;
        uint64 servedAt;
    }

    struct ModelTotal {
        bytes32 modelId;
        uint128 amount;
        uint32 calls;
    }

    event BatchSettled(bytes32 indexed receiptsRoot, address indexed node, uint64 indexed batchId, uint32 calls, uint128 total, uint128 nodeShare, uint128 poolShare, uint128 treasuryShare, bytes32 contentHash, bytes daCommitment);
    event ModelUsage(uint64 indexed batchId, bytes32 indexed modelId, uint128 amount, uint32 calls);
    event NodeCredited(address indexed node, uint128 amount, uint128 newCredit);
    event NodePaid(address indexed node, address to, uint128 amount, uint128 newCredit);

    error NotNode(address caller);
    /// @dev Without it a node could settle vouchers that were given to another node.
    error NotChannelNode(address node, address caller);
    error ZeroRoot();
    error BatchExists(bytes32 receiptsRoot);
    error EmptyBatch();
    error TotalsMismatch(uint256 claimed, uint256 declared);
    error UnknownModel(bytes32 modelId);
    error DuplicateModel(bytes32 modelId);
    error DaCommitmentTooLarge(uint256 given, uint256 max);
    error NothingToPay();

    /// @notice Settle one batch. The caller is the node. Splits: treasuryShare = total·treasuryBps/10,000 and
    /// nodeShare = total·nodeBps/10,000, both rounded down; poolShare is the rest, moved into the distributor.
    function submitBatch(IChannelEscrow.VoucherClaim[] calldata claims, ModelTotal[] calldata totals, bytes32 receiptsRoot, bytes32 contentHash, bytes calldata daCommitment) external returns (uint64 batchId);
    function payNode(address node) external;

    /// @notice Id of the batch a node settled under a root, 0 if none. A root settles once per node.
    function batchIdOf(address node, bytes32 receiptsRoot) external view returns (uint64);
    function batchCount() external view returns (uint64);
    function nodeCredit(address node) external view returns (uint128);
    function receiptDigest(InferenceReceipt calldata receipt) external view returns (bytes32);
    function nodeBps() external view returns (uint16);
    function treasuryBps() external view returns (uint16);
    function treasury() external view returns (address);
}
