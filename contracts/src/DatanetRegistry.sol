// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";
import {DatanetAccess} from "./DatanetAccess.sol";
import {IAttributionLedger} from "./interfaces/IAttributionLedger.sol";
import {IDatanetRegistry} from "./interfaces/IDatanetRegistry.sol";
import {IStakeVault} from "./interfaces/IStakeVault.sol";
import {Permissioned} from "./Permissioned.sol";
import {Upgradeable} from "./Upgradeable.sol";

/// @title Datanets and the votes on what is contributed to them. Holds no money; upgradeable by the Timelock.
/// @notice State of a batch: Pending ──resolve──▶ Accepted | Rejected | Lapsed; Pending or Accepted ──retract──▶ Retracted.
/// A vote weighs what the validator had staked before the batch was submitted, and still has: nobody stakes into a
/// running vote. Only a quorum against slashes, and only the contributor; a vote for the losing side costs nothing.
contract DatanetRegistry is IDatanetRegistry, DatanetAccess, Permissioned, Upgradeable {
    using BitMaps for BitMaps.BitMap;

    uint16 private constant BPS = 10_000;
    /// @notice Most that owner and validators may take together of what a chunk earns.
    uint16 public constant OWNER_AND_VALIDATOR_BPS_MAX = 5_000;
    /// @notice Must not exceed the vault's SLASH_BPS_MAX.
    uint16 public constant SLASH_BPS_MAX = 5_000;
    uint64 public constant VOTING_PERIOD_SECONDS_MAX = 30 days;
    uint16 public constant QUALITY_MAX = 10_000;
    /// @notice Largest daCommitment, in bytes.
    uint256 public constant DA_COMMITMENT_BYTES_MAX = 16_384;
    /// @notice Reason in the vault's Slashed event.
    bytes32 public constant SLASH_REASON = "contribution-rejected";

    uint8 private constant PENDING = 1;
    uint8 private constant ACCEPTED = 2;
    uint8 private constant REJECTED = 3;
    uint8 private constant LAPSED = 4;
    uint8 private constant RETRACTED = 5;
    uint8 private constant CLOSED = 1;

    IStakeVault public immutable vault;
    IAttributionLedger public immutable ledger;

    /// @inheritdoc IDatanetRegistry
    uint64 public datanetCount;
    /// @inheritdoc IDatanetRegistry
    uint64 public batchCount;
    mapping(uint64 datanetId => Datanet) private _datanets;
    mapping(uint64 batchId => PackedBatch) private _batches;
    /// @dev By batchId: who votes on many batches writes into the same slot.
    mapping(address validator => BitMaps.BitMap) private _voted;

    /// @dev With its DatanetParams in two slots: 96 bits hold the whole supply.
    /// @param rulesVersion Counts the Datanet's rules from 1; 0 where none were ever set.
    struct Datanet {
        address owner;
        uint8 status;
        uint32 rulesVersion;
        uint56 votingPeriodSeconds;
        uint96 minContributorStake;
        uint96 minValidatorStake;
        uint16 quorumBps;
        uint16 slashBps;
        uint16 ownerBps;
        uint16 validatorBps;
    }

    /// @dev A batch and what holds for it whatever the owner changes later: three slots when it is submitted, and the sums
    /// of the votes in one more.
    /// @param snapshotBlock Block before the submission, at whose end the votes were counted.
    /// @param rulesVersion Of the rules the batch must follow.
    /// @param qualityW Sum of weight · quality of the votes.
    struct PackedBatch {
        address contributor;
        uint40 voteEnd;
        uint8 state;
        uint16 quorumBps;
        uint16 slashBps;
        uint16 quality;
        uint64 datanetId;
        uint96 snapshotVotable;
        uint96 minValidatorStake;
        uint48 snapshotBlock;
        uint32 rulesVersion;
        uint112 qualityW;
        uint96 forW;
        uint96 againstW;
    }

    struct Rules {
        bytes32 formatHash;
        bytes32 validationRuleHash;
    }

    mapping(uint64 datanetId => mapping(uint32 version => Rules)) private _rules;
    /// @inheritdoc IDatanetRegistry
    mapping(uint64 epoch => mapping(uint64 datanetId => bytes32)) public usageRootOf;

    modifier onlyDatanetOwner(uint64 datanetId) {
        require(_datanets[datanetId].owner == msg.sender, NotDatanetOwner(msg.sender));
        _;
    }

    constructor(IStakeVault vault_, IAttributionLedger ledger_, address authority_, address upgrader_)
        Permissioned(authority_)
        Upgradeable(upgrader_)
    {
        vault = vault_;
        ledger = ledger_;
    }

    /// @inheritdoc IDatanetRegistry
    function createDatanet(bytes32 metadataHash, string calldata metadataURI, DatanetParams calldata params)
        external
        returns (uint64 datanetId)
    {
        _checkParams(params);
        datanetId = ++datanetCount;
        Datanet memory datanet;
        datanet.owner = msg.sender;
        _setParams(datanet, params);
        _datanets[datanetId] = datanet;
        emit DatanetCreated(datanetId, msg.sender, metadataHash, metadataURI, params);
    }

    /// @inheritdoc IDatanetRegistry
    function updateParams(uint64 datanetId, DatanetParams calldata params) external onlyDatanetOwner(datanetId) {
        _checkParams(params);
        DatanetParams memory old = paramsOf(datanetId);
        require(params.ownerBps == old.ownerBps && params.validatorBps == old.validatorBps, InvalidParams());
        Datanet memory datanet = _datanets[datanetId];
        _setParams(datanet, params);
        _datanets[datanetId] = datanet;
        emit DatanetParamsUpdated(datanetId, old, params);
    }

    /// @inheritdoc IDatanetRegistry
    function setRules(uint64 datanetId, bytes32 formatHash, bytes32 validationRuleHash)
        external
        onlyDatanetOwner(datanetId)
    {
        uint32 version = ++_datanets[datanetId].rulesVersion;
        _rules[datanetId][version] = Rules(formatHash, validationRuleHash);
        emit DatanetRulesSet(datanetId, version, formatHash, validationRuleHash);
    }

    /// @inheritdoc IDatanetRegistry
    function setStatus(uint64 datanetId, uint8 status) external onlyDatanetOwner(datanetId) {
        require(status <= CLOSED, InvalidParams());
        emit DatanetStatusChanged(datanetId, _datanets[datanetId].status, status);
        _datanets[datanetId].status = status;
    }

    /// @inheritdoc IDatanetRegistry
    function transferOwnership(uint64 datanetId, address to) external onlyDatanetOwner(datanetId) {
        require(to != address(0), ZeroOwner());
        _datanets[datanetId].owner = to;
        emit DatanetOwnershipTransferred(datanetId, msg.sender, to);
    }

    /// @inheritdoc IDatanetRegistry
    /// @dev Not challenged here: it is recomputed from the epoch's blob, as the epoch is.
    function recordUsage(uint64 epoch, Usage[] calldata usages) external {
        require(_isPermitted(), NotPermitted(msg.sender));
        require(epoch > 0 && epoch <= ledger.epochCount(), EpochNotFinal(epoch));
        for (uint256 i = 0; i < usages.length; i++) {
            (uint64 datanetId, bytes32 usageRoot) = (usages[i].datanetId, usages[i].usageRoot);
            require(_datanets[datanetId].owner != address(0), UnknownDatanet(datanetId));
            require(usageRoot != bytes32(0), ZeroRoot());
            require(usageRootOf[epoch][datanetId] == bytes32(0), UsageAlreadyRecorded(epoch, datanetId));
            usageRootOf[epoch][datanetId] = usageRoot;
            emit DatanetUsageRecorded(epoch, datanetId, usageRoot, usages[i].amount);
        }
    }

    /// @inheritdoc IDatanetRegistry
    /// @dev The contributor's stake stays locked until the batch is resolved or retracted.
    function submitContribution(
        uint64 datanetId,
        bytes32 dataRoot,
        uint32 items,
        bytes32 contentHash,
        bytes32 licenseHash,
        bytes calldata daCommitment
    ) external returns (uint64 batchId) {
        Datanet memory datanet = _datanets[datanetId];
        require(datanet.owner != address(0), UnknownDatanet(datanetId));
        require(datanet.status != CLOSED, DatanetClosed(datanetId));
        require(dataRoot != bytes32(0), ZeroRoot());
        require(items > 0, EmptyBatch());
        require(
            daCommitment.length <= DA_COMMITMENT_BYTES_MAX,
            DaCommitmentTooLarge(daCommitment.length, DA_COMMITMENT_BYTES_MAX)
        );
        PackedBatch memory batch = _newBatch(datanetId, datanet);
        batchId = ++batchCount;
        _batches[batchId] = batch;
        emit ContributionSubmitted(
            datanetId,
            batchId,
            msg.sender,
            dataRoot,
            items,
            contentHash,
            licenseHash,
            daCommitment,
            batch.voteEnd,
            batch.snapshotVotable
        );
        vault.lock(datanetId, msg.sender, lockIdOf(batchId));
    }

    /// @inheritdoc IDatanetRegistry
    function vote(uint64 batchId, bool support, uint16 quality) external {
        PackedBatch storage batch = _pendingBatch(batchId);
        require(block.timestamp < batch.voteEnd, VotingClosed(batch.voteEnd));
        require(quality <= QUALITY_MAX, QualityOutOfRange(quality, QUALITY_MAX));
        require(msg.sender != batch.contributor, ContributorCannotVote(msg.sender));
        require(!_voted[msg.sender].get(batchId), AlreadyVoted(msg.sender));
        uint96 weight = _weightOf(batch, msg.sender);
        require(weight >= batch.minValidatorStake, StakeTooSmall(weight, batch.minValidatorStake));
        _voted[msg.sender].set(batchId);
        batch.qualityW += uint112(weight) * quality;
        if (support) batch.forW += weight;
        else batch.againstW += weight;
        emit ValidationVote(
            batch.datanetId, batchId, msg.sender, support, quality, weight, batch.forW, batch.againstW
        );
    }

    /// @inheritdoc IDatanetRegistry
    /// @dev A tie lapses: it neither accepts the data nor proves a fault.
    function resolve(uint64 batchId) external {
        PackedBatch storage batch = _pendingBatch(batchId);
        (uint96 forW, uint96 againstW) = (batch.forW, batch.againstW);
        bool hasQuorum = _hasQuorum(batch);
        bool isDecided = hasQuorum && 2 * uint256(forW > againstW ? forW : againstW) > batch.snapshotVotable;
        require(isDecided || block.timestamp >= batch.voteEnd, VotingOpen(batch.voteEnd));
        uint8 outcome = LAPSED;
        if (hasQuorum && forW > againstW) outcome = ACCEPTED;
        if (hasQuorum && forW < againstW) outcome = REJECTED;
        batch.state = outcome;
        emit ContributionResolved(batch.datanetId, batchId, outcome, forW, againstW);
        _score(batchId, batch);
        (uint64 datanetId, address contributor) = (batch.datanetId, batch.contributor);
        if (outcome == REJECTED) {
            vault.slash(datanetId, contributor, batch.slashBps, SLASH_REASON, lockIdOf(batchId), address(0));
        }
        vault.release(datanetId, contributor, lockIdOf(batchId));
    }

    /// @inheritdoc IDatanetRegistry
    /// @dev Not once someone has voted against it: retracting would dodge the slash.
    function retract(uint64 batchId, bytes32 reason) external {
        PackedBatch storage batch = _batches[batchId];
        uint8 state = batch.state;
        require(state != 0, UnknownBatch(batchId));
        require(batch.contributor == msg.sender, NotContributor(msg.sender));
        require(state == PENDING || state == ACCEPTED, AlreadyResolved(state));
        require(state == ACCEPTED || batch.againstW == 0, VotingOpen(batch.voteEnd));
        batch.state = RETRACTED;
        emit ContributionRetracted(batch.datanetId, batchId, reason);
        if (state == PENDING) vault.release(batch.datanetId, msg.sender, lockIdOf(batchId));
    }

    /// @inheritdoc IDatanetRegistry
    function batchOf(uint64 batchId) external view returns (Batch memory) {
        PackedBatch memory batch = _batches[batchId];
        return Batch({
            datanetId: batch.datanetId,
            contributor: batch.contributor,
            voteEnd: batch.voteEnd,
            state: batch.state,
            quorumBps: batch.quorumBps,
            slashBps: batch.slashBps,
            snapshotVotable: batch.snapshotVotable,
            forW: batch.forW,
            againstW: batch.againstW
        });
    }

    /// @inheritdoc IDatanetRegistry
    function hasVoted(uint64 batchId, address validator) external view returns (bool) {
        return _voted[validator].get(batchId);
    }

    /// @inheritdoc IDatanetRegistry
    function paramsOf(uint64 datanetId) public view returns (DatanetParams memory) {
        Datanet memory datanet = _datanets[datanetId];
        return DatanetParams({
            minContributorStake: datanet.minContributorStake,
            minValidatorStake: datanet.minValidatorStake,
            votingPeriodSeconds: datanet.votingPeriodSeconds,
            quorumBps: datanet.quorumBps,
            slashBps: datanet.slashBps,
            ownerBps: datanet.ownerBps,
            validatorBps: datanet.validatorBps
        });
    }

    /// @inheritdoc IDatanetRegistry
    function ownerOf(uint64 datanetId) external view returns (address) {
        return _datanets[datanetId].owner;
    }

    /// @inheritdoc IDatanetRegistry
    function statusOf(uint64 datanetId) external view returns (uint8) {
        return _datanets[datanetId].status;
    }

    /// @inheritdoc IDatanetRegistry
    function rulesOf(uint64 datanetId) external view returns (bytes32 formatHash, bytes32 validationRuleHash) {
        Rules storage rules = _rules[datanetId][_datanets[datanetId].rulesVersion];
        return (rules.formatHash, rules.validationRuleHash);
    }

    /// @inheritdoc IDatanetRegistry
    function rulesOfBatch(uint64 batchId) external view returns (bytes32 formatHash, bytes32 validationRuleHash) {
        Rules storage rules = _rules[_batches[batchId].datanetId][_batches[batchId].rulesVersion];
        return (rules.formatHash, rules.validationRuleHash);
    }

    /// @inheritdoc IDatanetRegistry
    function qualityOf(uint64 batchId) external view returns (uint16) {
        return _batches[batchId].quality;
    }

    /// @inheritdoc IDatanetRegistry
    function scopeOf(uint64 datanetId) public pure returns (bytes32) {
        return keccak256(abi.encode("datanet", datanetId));
    }

    /// @notice lockId in the vault's StakeLocked and StakeReleased events, evidenceHash in its Slashed.
    function lockIdOf(uint64 batchId) public pure returns (bytes32) {
        return keccak256(abi.encode("batch", batchId));
    }

    /// @dev Nothing is cut: `_checkParams` bounds each.
    function _setParams(Datanet memory datanet, DatanetParams calldata params) private pure {
        datanet.votingPeriodSeconds = uint56(params.votingPeriodSeconds);
        datanet.minContributorStake = uint96(params.minContributorStake);
        datanet.minValidatorStake = uint96(params.minValidatorStake);
        datanet.quorumBps = params.quorumBps;
        datanet.slashBps = params.slashBps;
        datanet.ownerBps = params.ownerBps;
        datanet.validatorBps = params.validatorBps;
    }

    function _checkParams(DatanetParams calldata params) private pure {
        bool isValid = params.minContributorStake <= type(uint96).max && params.minValidatorStake > 0
            && params.minValidatorStake <= type(uint96).max && params.votingPeriodSeconds > 0
            && params.votingPeriodSeconds <= VOTING_PERIOD_SECONDS_MAX && params.quorumBps <= BPS
            && params.slashBps <= SLASH_BPS_MAX
            && uint256(params.ownerBps) + params.validatorBps <= OWNER_AND_VALIDATOR_BPS_MAX;
        require(isValid, InvalidParams());
    }

    /// @dev Rounded down; nothing where nobody voted.
    function _score(uint64 batchId, PackedBatch storage batch) private {
        uint256 cast = uint256(batch.forW) + batch.againstW;
        if (cast == 0) return;
        uint16 quality = uint16(batch.qualityW / cast); // A mean of values up to QUALITY_MAX.
        batch.quality = quality;
        emit ContributionScored(batch.datanetId, batchId, quality);
    }

    function _ownerOf(uint64 datanetId) internal view override returns (address) {
        return _datanets[datanetId].owner;
    }

    function _newBatch(uint64 datanetId, Datanet memory datanet) private view returns (PackedBatch memory batch) {
        bytes32 scope = scopeOf(datanetId);
        uint128 staked = vault.votableOf(scope, msg.sender);
        require(staked >= datanet.minContributorStake, StakeTooSmall(staked, datanet.minContributorStake));
        batch.contributor = msg.sender;
        batch.voteEnd = uint40(block.timestamp + datanet.votingPeriodSeconds);
        batch.state = PENDING;
        batch.quorumBps = datanet.quorumBps;
        batch.slashBps = datanet.slashBps;
        batch.datanetId = datanetId;
        batch.minValidatorStake = datanet.minValidatorStake;
        batch.snapshotBlock = uint48(block.number) - 1;
        batch.rulesVersion = datanet.rulesVersion;
        // The vault holds no more than 96 bits.
        uint128 votable = vault.votableAt(scope, batch.snapshotBlock);
        batch.snapshotVotable = uint96(votable - vault.votableOfAt(scope, msg.sender, batch.snapshotBlock));
    }

    function _pendingBatch(uint64 batchId) private view returns (PackedBatch storage batch) {
        batch = _batches[batchId];
        require(batch.state != 0, UnknownBatch(batchId));
        require(batch.state == PENDING, AlreadyResolved(batch.state));
    }

    /// @return Smaller of what was staked before the submission and what is staked now; the vault holds no more than 96 bits.
    function _weightOf(PackedBatch storage batch, address validator) private view returns (uint96) {
        bytes32 scope = scopeOf(batch.datanetId);
        uint128 then_ = vault.votableOfAt(scope, validator, batch.snapshotBlock);
        uint128 now_ = vault.votableOf(scope, validator);
        return uint96(then_ < now_ ? then_ : now_);
    }

    /// @dev Without votes neither side is ahead, so a batch lapses also where the quorum is zero.
    function _hasQuorum(PackedBatch storage batch) private view returns (bool) {
        uint256 cast = uint256(batch.forW) + batch.againstW;
        return cast * BPS >= uint256(batch.snapshotVotable) * batch.quorumBps;
    }
}
