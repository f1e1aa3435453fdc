// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IChannelEscrow} from "./interfaces/IChannelEscrow.sol";
import {IReceiptFaults} from "./interfaces/IReceiptFaults.sol";
import {IStakeVault} from "./interfaces/IStakeVault.sol";

/// @title The hub's part that judges receipts.
/// @notice Challenge of a missing receipt: (none) ──challengeMissing, bond──▶ open ──answerMissing──▶ (none), the bond to
/// the node; open ──resolveMissing, window over──▶ (none), the node slashed, the bond back.
abstract contract ReceiptFaults is IReceiptFaults, EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    uint8 public constant FAULT_MISSING = 1;
    uint8 public constant FAULT_DOUBLE = 2;
    uint8 public constant FAULT_ALTERED = 3;
    /// @notice Part of the node's stake that a proven fault takes. Must not exceed the vault's SLASH_BPS_MAX.
    uint16 public constant FAULT_SLASH_BPS = 5_000;

    bytes32 private constant RECEIPT_TYPEHASH = keccak256(
        "InferenceReceipt(bytes32 requestId,address payer,address node,bytes32 modelId,bytes32 adapterSet,bytes32 inputCommit,bytes32 outputCommit,bytes32 retrievalCommit,bytes32 paramsHash,bytes32 profileHash,uint8 provenanceMode,uint32 promptTokens,uint32 completionTokens,uint128 fee,bytes32 channelId,uint128 cumulativeCharged,uint64 servedAt)"
    );

    IERC20 public immutable token;
    IChannelEscrow public immutable escrow;
    IStakeVault public immutable vault;
    /// @inheritdoc IReceiptFaults
    uint128 public immutable faultBond;
    /// @inheritdoc IReceiptFaults
    uint64 public immutable answerWindowSeconds;

    struct Challenge {
        address node;
        uint64 answerEnd;
        address challenger;
        bytes32 requestId;
    }

    mapping(bytes32 receiptHash => Challenge) private _challenges;
    /// @inheritdoc IReceiptFaults
    mapping(address node => mapping(bytes32 requestId => bool)) public isFaultProven;

    constructor(
        IERC20 token_,
        IChannelEscrow escrow_,
        IStakeVault vault_,
        uint128 faultBond_,
        uint64 answerWindowSeconds_
    ) EIP712("OpenInference", "1") {
        token = token_;
        escrow = escrow_;
        vault = vault_;
        faultBond = faultBond_;
        answerWindowSeconds = answerWindowSeconds_;
    }

    /// @inheritdoc IReceiptFaults
    /// @dev Once the channel was claimed up to a receipt, its batch is due: each batch claims up to its last receipt.
    /// A receipt without a fee moves no claim, so it proves nothing; nor does one that charges less than its own fee.
    function challengeMissing(InferenceReceipt calldata receipt, bytes calldata signature) external nonReentrant {
        bytes32 receiptHash = _checkSigned(receipt, signature);
        (, uint128 totalClaimed) = escrow.channels(receipt.channelId);
        bool isCharged = receipt.fee > 0 && receipt.cumulativeCharged >= receipt.fee
            && receipt.cumulativeCharged <= totalClaimed;
        require(isCharged, NotCharged(receipt.cumulativeCharged, totalClaimed));
        require(!isFaultProven[receipt.node][receipt.requestId], FaultAlreadyProven(receipt.requestId));
        require(_challenges[receiptHash].answerEnd == 0, AlreadyChallenged(receiptHash));
        uint64 answerEnd = uint64(block.timestamp) + answerWindowSeconds;
        _challenges[receiptHash] = Challenge(receipt.node, answerEnd, msg.sender, receipt.requestId);
        emit ReceiptChallenged(
            receipt.node, receiptHash, msg.sender, receipt.requestId, FAULT_MISSING, answerEnd, receiptHash
        );
        vault.lock(_idOf(receipt.node), receipt.node, receiptHash);
        token.safeTransferFrom(msg.sender, address(this), faultBond);
    }

    /// @inheritdoc IReceiptFaults
    function answerMissing(bytes32 receiptHash, bytes32 receiptsRoot, bytes32[] calldata proof) external nonReentrant {
        Challenge memory challenge = _closeChallenge(receiptHash);
        _checkInBatch(challenge.node, receiptHash, receiptsRoot, proof);
        emit ReceiptChallengeResolved(challenge.node, receiptHash, false, 0, receiptsRoot);
        vault.release(_idOf(challenge.node), challenge.node, receiptHash);
        _creditNode(challenge.node, faultBond);
    }

    /// @inheritdoc IReceiptFaults
    function resolveMissing(bytes32 receiptHash) external nonReentrant {
        Challenge memory challenge = _closeChallenge(receiptHash);
        address node = challenge.node;
        require(block.timestamp >= challenge.answerEnd, AnswerWindowOpen(challenge.answerEnd));
        // Another fault of the same request may have been proven meanwhile: a request counts once.
        uint128 slashed = 0;
        if (!isFaultProven[node][challenge.requestId]) {
            isFaultProven[node][challenge.requestId] = true;
            slashed = _slash(node, FAULT_MISSING, receiptHash, challenge.challenger);
        }
        emit ReceiptChallengeResolved(node, receiptHash, true, slashed, 0);
        vault.release(_idOf(node), node, receiptHash);
        token.safeTransfer(challenge.challenger, faultBond);
    }

    /// @inheritdoc IReceiptFaults
    function proveDouble(
        InferenceReceipt calldata first,
        bytes calldata firstSignature,
        InferenceReceipt calldata second,
        bytes calldata secondSignature
    ) external nonReentrant {
        require(first.node == second.node && first.requestId == second.requestId, NotTheSameRequest());
        bytes32 receiptHash = _checkSigned(first, firstSignature);
        _punish(first, receiptHash, _checkSigned(second, secondSignature), FAULT_DOUBLE);
    }

    /// @inheritdoc IReceiptFaults
    function proveAltered(
        InferenceReceipt calldata signed,
        bytes calldata signature,
        InferenceReceipt calldata settled,
        bytes32 receiptsRoot,
        bytes32[] calldata proof
    ) external nonReentrant {
        require(signed.requestId == settled.requestId, NotTheSameRequest());
        bytes32 receiptHash = _checkSigned(signed, signature);
        bytes32 settledHash = receiptDigest(settled);
        _checkInBatch(signed.node, settledHash, receiptsRoot, proof);
        _punish(signed, receiptHash, settledHash, FAULT_ALTERED);
    }

    /// @inheritdoc IReceiptFaults
    function receiptDigest(InferenceReceipt calldata receipt) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(RECEIPT_TYPEHASH, receipt)));
    }

    /// @inheritdoc IReceiptFaults
    function challengeOf(bytes32 receiptHash) external view returns (address, address, uint64) {
        Challenge storage challenge = _challenges[receiptHash];
        return (challenge.node, challenge.challenger, challenge.answerEnd);
    }

    /// @inheritdoc IReceiptFaults
    function nodeScopeOf(address node) public pure returns (bytes32) {
        return keccak256(abi.encode("node", _idOf(node)));
    }

    /// @return Whether `node` settled a batch under `receiptsRoot`.
    function _isBatch(address node, bytes32 receiptsRoot) internal view virtual returns (bool);

    function _creditNode(address node, uint128 amount) internal virtual;

    function _punish(InferenceReceipt calldata receipt, bytes32 receiptHash, bytes32 otherHash, uint8 fault) private {
        require(receiptHash != otherHash, SameReceipt(receiptHash));
        (address node, bytes32 requestId) = (receipt.node, receipt.requestId);
        require(!isFaultProven[node][requestId], FaultAlreadyProven(requestId));
        isFaultProven[node][requestId] = true;
        bytes32 evidenceHash = keccak256(abi.encode(receiptHash, otherHash));
        emit ReceiptChallenged(node, receiptHash, msg.sender, requestId, fault, 0, evidenceHash);
        uint128 slashed = _slash(node, fault, evidenceHash, msg.sender);
        emit ReceiptChallengeResolved(node, receiptHash, true, slashed, 0);
    }

    function _slash(address node, uint8 fault, bytes32 evidenceHash, address reporter) private returns (uint128) {
        return vault.slash(_idOf(node), node, FAULT_SLASH_BPS, bytes32(uint256(fault)), evidenceHash, reporter);
    }

    function _closeChallenge(bytes32 receiptHash) private returns (Challenge memory challenge) {
        challenge = _challenges[receiptHash];
        require(challenge.answerEnd != 0, NotChallenged(receiptHash));
        delete _challenges[receiptHash];
    }

    function _checkSigned(InferenceReceipt calldata receipt, bytes calldata signature)
        private
        view
        returns (bytes32 receiptHash)
    {
        receiptHash = receiptDigest(receipt);
        (address signer,,) = ECDSA.tryRecoverCalldata(receiptHash, signature);
        require(signer == receipt.node && signer != address(0), InvalidReceiptSignature(receipt.node));
    }

    function _checkInBatch(address node, bytes32 receiptHash, bytes32 receiptsRoot, bytes32[] calldata proof)
        private
        view
    {
        bytes32 leaf = keccak256(abi.encode(receiptHash));
        bool isIn = _isBatch(node, receiptsRoot) && MerkleProof.verifyCalldata(proof, receiptsRoot, leaf);
        require(isIn, NotInBatch(node, receiptsRoot));
    }

    /// @dev Of the node's operating stake in the vault.
    function _idOf(address node) private pure returns (uint256) {
        return uint160(node);
    }
}
