// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IChannelEscrow} from "./IChannelEscrow.sol";
import {IReceiptFaults} from "./IReceiptFaults.sol";

/// @title Batches of receipts become money: node and treasury are paid here, the pool share funds the distributor.
interface ISettlementHub is IReceiptFaults {
    struct ModelTotal {
        bytes32 modelId;
        uint128 amount;
        uint32 calls;
    }

    /// @notice A node settled a batch; amounts in wei, the shares sum to the total.
    event BatchSettled(bytes32 indexed receiptsRoot, address indexed node, uint64 indexed batchId, uint32 calls, uint128 total, uint128 nodeShare, uint128 poolShare, uint128 treasuryShare, bytes32 contentHash, bytes daCommitment);
    /// @notice What a batch says a model earned, in wei, and in how many calls.
    event ModelUsage(uint64 indexed batchId, bytes32 indexed modelId, uint128 amount, uint32 calls);
    /// @notice A node may be paid more; wei.
    event NodeCredited(address indexed node, uint128 amount, uint128 newCredit);
    /// @notice A node was paid its credit; wei.
    event NodePaid(address indexed node, address to, uint128 amount, uint128 newCredit);

    /// @notice The caller is not the node, or no serving node.
    error NotNode(address caller);
    /// @notice A root of zero would commit to nothing.
    error ZeroRoot();
    /// @notice The node settled this root.
    error BatchExists(bytes32 receiptsRoot);
    /// @notice A batch of no claims or no models.
    error EmptyBatch();
    /// @notice The models' amounts do not sum to what was claimed; wei.
    error TotalsMismatch(uint256 claimed, uint256 declared);
    /// @notice There is no such model.
    error UnknownModel(bytes32 modelId);
    /// @notice A model is named twice.
    error DuplicateModel(bytes32 modelId);
    /// @notice The certificate of the blob has too many bytes.
    error DaCommitmentTooLarge(uint256 given, uint256 max);
    /// @notice The node has no credit.
    error NothingToPay();
    /// @notice Less than the model's price for its calls; wei.
    /// @dev Without it a node could give calls away, and with them the shares of everyone behind the model.
    error FeeBelowPrice(bytes32 modelId, uint128 given, uint256 min);
    /// @notice The node's stake that is not leaving, and the least its models' tier takes; wei.
    error NodeStakeTooSmall(uint128 given, uint128 min);

    /// @notice Settle one batch, as ChannelEscrow.claimAndSettle does its claims: each channel's receiver is the hub, its
    /// authoriser `node`. Without that a node could settle vouchers given to another. The caller is the node, with at least nodeStakeMinOf(highest service
    /// tier of the models) staked in scope ("node", its address);
    /// each model's amount is at least its price per call times its calls. Splits: treasuryShare = total·treasuryBps/10,000 and
    /// nodeShare = total·nodeBps/10,000, both rounded down; poolShare is the rest, moved into the distributor.
    function submitBatch(address node, IChannelEscrow.CompactClaim[] calldata claims, bytes[] calldata walletSignatures, ModelTotal[] calldata totals, bytes32 receiptsRoot, bytes32 contentHash, bytes calldata daCommitment) external returns (uint64 batchId);
    /// @notice Anyone; the node is paid its credit.
    function payNode(address node) external;

    /// @notice Id of the batch a node settled under a root, 0 if none. A root settles once per node.
    function batchIdOf(address node, bytes32 receiptsRoot) external view returns (uint64);
    function batchCount() external view returns (uint64);
    /// @notice What the node can be paid, in wei.
    function nodeCredit(address node) external view returns (uint128);
    function nodeBps() external view returns (uint16);
    function treasuryBps() external view returns (uint16);
    function treasury() external view returns (address);
    function nodeStakeMin() external view returns (uint128);
    /// @notice Least operating stake for calls of a model of this tier: nodeStakeMin · 10^tier, in wei.
    function nodeStakeMinOf(uint8 tier) external view returns (uint128);
}
