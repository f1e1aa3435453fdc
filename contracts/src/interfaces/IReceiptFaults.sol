// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title What a node's own signature proves against it, without an arbiter.
/// @notice Three faults: (1) a signed receipt whose fee was claimed is in none of the node's batches, (2) two receipts for
/// one request, (3) a leaf of a batch that differs from the signed receipt of its request. Each costs half of the node's
/// operating stake, a fifth of that for who proved it, the rest burned; a request counts once.
/// @notice Receipt v1 typed data: domain {name "OpenInference", version "1", chainId, verifyingContract: this},
/// InferenceReceipt(bytes32 requestId,address payer,address node,bytes32 modelId,bytes32 adapterSet,bytes32 inputCommit,bytes32 outputCommit,bytes32 retrievalCommit,bytes32 paramsHash,bytes32 profileHash,uint8 provenanceMode,uint32 promptTokens,uint32 completionTokens,uint128 fee,bytes32 channelId,uint128 cumulativeCharged,uint64 servedAt)
interface IReceiptFaults {
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

    /// @notice A fault of a node is claimed: 1 missing, 2 two receipts of one request, 3 a leaf that differs from its receipt. `answerEnd` in unix seconds, 0 where there is nothing to answer.
    /// @param fault 1 missing, 2 two receipts, 3 altered leaf. @param answerEnd End of the node's time to answer, 0 where
    /// there is nothing to answer. @param evidenceHash keccak256 over the digests that prove it.
    event ReceiptChallenged(address indexed node, bytes32 indexed receiptHash, address indexed challenger, bytes32 requestId, uint8 fault, uint64 answerEnd, bytes32 evidenceHash);
    /// @notice A challenge ended, or a fault was proven at once; `slashed` in wei.
    /// @param receiptsRoot The root that held the receipt after all, where the challenge was answered.
    event ReceiptChallengeResolved(address indexed node, bytes32 indexed receiptHash, bool upheld, uint128 slashed, bytes32 receiptsRoot);

    /// @notice The receipt is not signed by the node it names.
    error InvalidReceiptSignature(address node);
    /// @notice The receipts are of two requests, or of two nodes.
    error NotTheSameRequest();
    /// @notice One receipt is no two.
    error SameReceipt(bytes32 receiptHash);
    /// @notice No claim has reached the receipt yet, or it charges less than its own fee; wei in all.
    /// @dev The fee was not claimed yet, so the receipt may still be on its way; or there is none; or no channel.
    error NotCharged(uint128 cumulativeCharged, uint128 totalClaimed);
    /// @notice The node settled no such root, or the receipt is not in it.
    error NotInBatch(address node, bytes32 receiptsRoot);
    /// @notice A request counts once.
    error FaultAlreadyProven(bytes32 requestId);
    /// @notice The receipt is challenged.
    error AlreadyChallenged(bytes32 receiptHash);
    /// @notice Nobody challenges the receipt.
    error NotChallenged(bytes32 receiptHash);
    /// @notice The node still has time to answer; unix seconds.
    error AnswerWindowOpen(uint64 answerEnd);

    /// @notice Claim with a bond that a signed receipt is in no batch, though its fee was claimed. The node's stake is
    /// locked; it has answerWindowSeconds to show a batch.
    function challengeMissing(InferenceReceipt calldata receipt, bytes calldata signature) external;
    /// @notice Anyone, until it is resolved: show the receipt in a batch of its node, which then has the bond.
    function answerMissing(bytes32 receiptHash, bytes32 receiptsRoot, bytes32[] calldata proof) external;
    /// @notice Anyone, after the window: the node is slashed, the challenger has the bond back and a reporter's share.
    function resolveMissing(bytes32 receiptHash) external;
    /// @notice Prove two receipts for one request.
    function proveDouble(InferenceReceipt calldata first, bytes calldata firstSignature, InferenceReceipt calldata second, bytes calldata secondSignature) external;
    /// @notice Prove that `settled`, a leaf of the node's batch, differs from what the node signed for the same request.
    function proveAltered(InferenceReceipt calldata signed, bytes calldata signature, InferenceReceipt calldata settled, bytes32 receiptsRoot, bytes32[] calldata proof) external;

    /// @notice What the node signs.
    function receiptDigest(InferenceReceipt calldata receipt) external view returns (bytes32);
    /// @notice The open challenge of a receipt; zeros without one.
    function challengeOf(bytes32 receiptHash) external view returns (address node, address challenger, uint64 answerEnd);
    function isFaultProven(address node, bytes32 requestId) external view returns (bool);
    /// @notice Scope of the node's operating stake in the vault.
    function nodeScopeOf(address node) external pure returns (bytes32);
    function faultBond() external view returns (uint128);
    function answerWindowSeconds() external view returns (uint64);
}
