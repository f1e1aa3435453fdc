// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {IChannelEscrow} from "./interfaces/IChannelEscrow.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {IRewardDistributor} from "./interfaces/IRewardDistributor.sol";
import {ISettlementHub} from "./interfaces/ISettlementHub.sol";
import {IStakeVault} from "./interfaces/IStakeVault.sol";
import {GuardedIntake, Permissioned} from "./Permissioned.sol";
import {ReceiptFaults} from "./ReceiptFaults.sol";

/// @title The receiver of every channel: turns a batch of receipts into three shares of money.
/// @notice The payers' vouchers cap what can be taken. How the total spreads over models is the node's statement;
/// the receipts behind receiptsRoot prove or refute it. Holds the nodes' credits and open bonds.
contract SettlementHub is ISettlementHub, ReceiptFaults, GuardedIntake {
    using SafeERC20 for IERC20;

    /// @notice Largest daCommitment, in bytes.
    uint256 public constant DA_COMMITMENT_BYTES_MAX = 16_384;

    /// @notice A service tier takes this many times the operating stake of the one below.
    uint128 public constant TIER_STAKE_FACTOR = 10;

    IModelRegistry public immutable modelRegistry;
    IRewardDistributor public immutable distributor;
    /// @inheritdoc ISettlementHub
    address public immutable treasury;
    /// @inheritdoc ISettlementHub
    uint16 public immutable nodeBps;
    /// @inheritdoc ISettlementHub
    uint16 public immutable treasuryBps;
    /// @inheritdoc ISettlementHub
    uint128 public immutable nodeStakeMin;

    /// @inheritdoc ISettlementHub
    uint64 public batchCount;
    /// @inheritdoc ISettlementHub
    mapping(address node => mapping(bytes32 receiptsRoot => uint64 batchId)) public batchIdOf;
    /// @inheritdoc ISettlementHub
    mapping(address node => uint128) public nodeCredit;

    /// @notice Node and treasury together would get more than there is; basis points.
    error SharesAboveWhole(uint256 givenBps);

    constructor(
        IERC20 token_,
        IChannelEscrow escrow_,
        IStakeVault vault_,
        uint128 faultBond_,
        uint64 answerWindowSeconds_,
        IModelRegistry modelRegistry_,
        IRewardDistributor distributor_,
        address treasury_,
        uint16 nodeBps_,
        uint16 treasuryBps_,
        uint128 nodeStakeMin_,
        address authority_
    ) ReceiptFaults(token_, escrow_, vault_, faultBond_, answerWindowSeconds_) Permissioned(authority_) {
        require(uint256(nodeBps_) + treasuryBps_ <= 10_000, SharesAboveWhole(uint256(nodeBps_) + treasuryBps_));
        modelRegistry = modelRegistry_;
        distributor = distributor_;
        treasury = treasury_;
        nodeBps = nodeBps_;
        treasuryBps = treasuryBps_;
        nodeStakeMin = nodeStakeMin_;
        // The distributor is immutable and pulls from its caller only, so only fund() below can use this.
        token_.forceApprove(address(distributor_), type(uint256).max);
    }

    /// @inheritdoc ISettlementHub
    function submitBatch(
        address node,
        IChannelEscrow.CompactClaim[] calldata claims,
        bytes[] calldata, // walletSignatures
        ModelTotal[] calldata totals,
        bytes32 receiptsRoot,
        bytes32 contentHash,
        bytes calldata daCommitment
    ) external whileOpen nonReentrant returns (uint64 batchId) {
        require(msg.sender == node && modelRegistry.isNode(node), NotNode(msg.sender));
        require(receiptsRoot != bytes32(0), ZeroRoot());
        // Per node: the blob is public before this call, so another node could settle our root first for a wei.
        require(batchIdOf[msg.sender][receiptsRoot] == 0, BatchExists(receiptsRoot));
        require(claims.length > 0 && totals.length > 0, EmptyBatch());
        require(
            daCommitment.length <= DA_COMMITMENT_BYTES_MAX,
            DaCommitmentTooLarge(daCommitment.length, DA_COMMITMENT_BYTES_MAX)
        );
        batchId = ++batchCount;
        batchIdOf[msg.sender][receiptsRoot] = batchId;

        Settled memory batch = Settled(receiptsRoot, batchId, 0, 0, contentHash);
        (uint256 declared, uint8 tier) = _recordUsage(batch, totals);
        _checkStake(tier);
        batch.total = _claim();
        require(batch.total == declared, TotalsMismatch(batch.total, declared));
        _split(batch, daCommitment);
    }

    /// @inheritdoc ISettlementHub
    /// @dev Anyone may call; the node is paid.
    function payNode(address node) external nonReentrant {
        uint128 amount = nodeCredit[node];
        require(amount > 0, NothingToPay());
        nodeCredit[node] = 0;
        emit NodePaid(node, node, amount, 0);
        token.safeTransfer(node, amount);
    }

    /// @inheritdoc ISettlementHub
    function nodeStakeMinOf(uint8 tier) public view returns (uint128) {
        return nodeStakeMin * TIER_STAKE_FACTOR ** tier;
    }

    struct Settled {
        bytes32 receiptsRoot;
        uint64 batchId;
        uint32 calls;
        uint128 total;
        bytes32 contentHash;
    }

    /// @return declared Sum of the amounts; that of the calls goes into `batch`. @return tier Highest of the models.
    function _recordUsage(Settled memory batch, ModelTotal[] calldata totals)
        private
        returns (uint256 declared, uint8 tier)
    {
        for (uint256 i = 0; i < totals.length; i++) {
            ModelTotal calldata usage = totals[i];
            uint8 modelTier = _checkFee(usage);
            if (modelTier > tier) tier = modelTier;
            for (uint256 j = 0; j < i; j++) {
                require(totals[j].modelId != usage.modelId, DuplicateModel(usage.modelId));
            }
            declared += usage.amount;
            batch.calls += usage.calls;
            emit ModelUsage(batch.batchId, usage.modelId, usage.amount, usage.calls);
        }
    }

    /// @dev Node, claims and signatures as they came: they are the first arguments of the escrow's call too, and what
    /// follows is ignored there. To encode each field of each claim anew would cost 800 gas a channel.
    function _claim() private returns (uint128) {
        bytes memory call_ = bytes.concat(IChannelEscrow.claimAndSettle.selector, msg.data[4:]);
        return abi.decode(Address.functionCall(address(escrow), call_), (uint128));
    }

    function _checkFee(ModelTotal calldata usage) private view returns (uint8 tier) {
        address owner;
        uint128 pricePerCall;
        (owner, pricePerCall, tier) = modelRegistry.termsOf(usage.modelId);
        require(owner != address(0), UnknownModel(usage.modelId));
        uint256 min = uint256(pricePerCall) * usage.calls;
        require(usage.amount >= min, FeeBelowPrice(usage.modelId, usage.amount, min));
    }

    /// @dev A stake that is leaving counts no more: what it could be slashed for must not grow.
    function _checkStake(uint8 tier) private view {
        uint128 min = nodeStakeMinOf(tier);
        if (min == 0) return;
        uint128 staked = vault.votableOf(nodeScopeOf(msg.sender), msg.sender);
        require(staked >= min, NodeStakeTooSmall(staked, min));
    }

    function _isBatch(address node, bytes32 receiptsRoot) internal view override returns (bool) {
        return batchIdOf[node][receiptsRoot] != 0;
    }

    function _creditNode(address node, uint128 amount) internal override {
        uint128 newCredit = nodeCredit[node] + amount;
        nodeCredit[node] = newCredit;
        emit NodeCredited(node, amount, newCredit);
    }

    /// @dev The two rounded shares first, the pool has the rest: no wei is lost and none is made.
    function _split(Settled memory batch, bytes calldata daCommitment) private {
        uint128 nodeShare = uint128((uint256(batch.total) * nodeBps) / 10_000);
        uint128 treasuryShare = uint128((uint256(batch.total) * treasuryBps) / 10_000);
        uint128 poolShare = batch.total - nodeShare - treasuryShare;
        _creditNode(msg.sender, nodeShare);
        emit BatchSettled(
            batch.receiptsRoot,
            msg.sender,
            batch.batchId,
            batch.calls,
            batch.total,
            nodeShare,
            poolShare,
            treasuryShare,
            batch.contentHash,
            daCommitment
        );
        if (treasuryShare > 0) token.safeTransfer(treasury, treasuryShare);
        if (poolShare > 0) distributor.fund(poolShare);
    }
}
