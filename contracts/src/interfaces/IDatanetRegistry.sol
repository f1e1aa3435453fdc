// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IDatanetAccess} from "./IDatanetAccess.sol";

/// @title Datanets: domain repositories of contributed records, voted on by staked validators.
interface IDatanetRegistry is IDatanetAccess {
    /// @param minContributorStake, minValidatorStake In wei, below 2^96.
    /// @param ownerBps, validatorBps Shares of what a chunk earns that go to the Datanet's owner and to the
    /// validators who voted for the batch; the contributor has the rest. Their sum is at most 5,000.
    struct DatanetParams {
        uint128 minContributorStake;
        uint128 minValidatorStake;
        uint64 votingPeriodSeconds;
        uint16 quorumBps;
        uint16 slashBps;
        uint16 ownerBps;
        uint16 validatorBps;
    }

    /// @dev Wire values of `state` and of `outcome`.
    /// 0 None, 1 Pending, 2 Accepted, 3 Rejected (quorum against), 4 Lapsed (no quorum), 5 Retracted.
    struct Batch {
        uint64 datanetId;
        address contributor;
        uint64 voteEnd;
        uint8 state;
        uint16 quorumBps;
        uint16 slashBps;
        uint128 snapshotVotable;
        uint128 forW;
        uint128 againstW;
    }

    /// @param usageRoot Root over what each chunk of the Datanet earned in an epoch. @param amount Their sum, in wei.
    struct Usage {
        uint64 datanetId;
        bytes32 usageRoot;
        uint128 amount;
    }

    /// @notice A Datanet was founded, under these terms.
    event DatanetCreated(uint64 indexed datanetId, address indexed owner, bytes32 metadataHash, string metadataURI, DatanetParams params);
    /// @notice A batch of records is voted on until the second `voteEnd`; `items` counts its chunks, `snapshotVotable` is the stake in wei whose votes count.
    event ContributionSubmitted(uint64 indexed datanetId, uint64 indexed batchId, address indexed contributor, bytes32 dataRoot, uint32 items, bytes32 contentHash, bytes32 licenseHash, bytes daCommitment, uint64 voteEnd, uint128 snapshotVotable);
    /// @notice A validator voted; weights and their sums after it in wei, `quality` of 10,000.
    event ValidationVote(uint64 indexed datanetId, uint64 indexed batchId, address indexed validator, bool support, uint16 quality, uint128 weight, uint128 forW, uint128 againstW);
    /// @notice A vote ended; `outcome` as Batch.state has it, sums in wei.
    event ContributionResolved(uint64 indexed datanetId, uint64 indexed batchId, uint8 outcome, uint128 forW, uint128 againstW);
    /// @notice The contributor took a batch back: it earns nothing from now on.
    event ContributionRetracted(uint64 indexed datanetId, uint64 indexed batchId, bytes32 reason);

    /// @notice Terms of batches submitted after this; ownerBps and validatorBps never change.
    event DatanetParamsUpdated(uint64 indexed datanetId, DatanetParams oldParams, DatanetParams newParams);
    /// @notice What batches submitted after this must look like. Hashes of the data format and of the validation rule.
    /// @param version Counts from 1.
    event DatanetRulesSet(uint64 indexed datanetId, uint32 indexed version, bytes32 formatHash, bytes32 validationRuleHash);
    /// @notice What the owner's share of batches settled after this goes to.
    event DatanetOwnershipTransferred(uint64 indexed datanetId, address indexed from, address indexed to);
    /// @notice A Datanet was closed to new batches, or opened again.
    /// @param newStatus 0 open, 1 closed to new batches.
    event DatanetStatusChanged(uint64 indexed datanetId, uint8 oldStatus, uint8 newStatus);
    /// @notice The quality that validators gave a batch.
    /// @param quality Mean of the votes' quality by their weight, of all who voted, 0 to 10,000.
    event ContributionScored(uint64 indexed datanetId, uint64 indexed batchId, uint16 quality);
    /// @notice What a Datanet's chunks earned in a final epoch.
    /// @param usageRoot Root over the uses of the Datanet's chunks in the epoch. @param amount What they earned, in wei.
    event DatanetUsageRecorded(uint64 indexed epoch, uint64 indexed datanetId, bytes32 usageRoot, uint128 amount);

    /// @notice Nobody would own it.
    error ZeroOwner();
    /// @notice The Datanet takes no new batches.
    error DatanetClosed(uint64 datanetId);
    /// @notice The usage of a Datanet is recorded once per epoch.
    error UsageAlreadyRecorded(uint64 epoch, uint64 datanetId);
    /// @notice The epoch is not final, so its usage is not either.
    error EpochNotFinal(uint64 epoch);
    /// @notice There is no such batch.
    error UnknownBatch(uint64 batchId);
    /// @notice A term is out of its bounds, or one that never changes was changed.
    error InvalidParams();
    /// @notice Stake that counts, and the least there must be; wei.
    error StakeTooSmall(uint128 given, uint128 min);
    /// @notice A root of zero would commit to nothing.
    error ZeroRoot();
    /// @notice A batch of no records.
    error EmptyBatch();
    /// @notice The certificate of the blob has too many bytes.
    error DaCommitmentTooLarge(uint256 given, uint256 max);
    /// @notice The vote is over; `voteEnd` in unix seconds.
    error VotingClosed(uint64 voteEnd);
    /// @notice The vote is not over, and not decided before its end.
    error VotingOpen(uint64 voteEnd);
    /// @notice A vote of this account was counted.
    error AlreadyVoted(address validator);
    /// @notice The batch is not pending; `state` as Batch has it.
    error AlreadyResolved(uint8 state);
    /// @notice A quality above 10,000.
    error QualityOutOfRange(uint16 given, uint16 max);
    /// @notice The caller did not submit the batch.
    error NotContributor(address caller);
    /// @notice Nobody votes on his own batch.
    error ContributorCannotVote(address caller);

    /// @notice Anyone; the caller owns it.
    function createDatanet(bytes32 metadataHash, string calldata metadataURI, DatanetParams calldata params) external returns (uint64 datanetId);
    /// @notice Submit a batch of records as the root of a Merkle tree over its chunks.
    /// @param daCommitment Certificate of the blob that holds the records, at most 16,384 bytes.
    function submitContribution(uint64 datanetId, bytes32 dataRoot, uint32 items, bytes32 contentHash, bytes32 licenseHash, bytes calldata daCommitment) external returns (uint64 batchId);
    /// @notice Validator, once per batch, before `voteEnd`; not its contributor. @param quality 0 to 10,000.
    function vote(uint64 batchId, bool support, uint16 quality) external;
    /// @notice Anyone may resolve after `voteEnd`, or earlier once the votes for or against pass half of the snapshot.
    function resolve(uint64 batchId) external;
    /// @notice Contributor: an accepted batch, or a pending one that nobody voted against. It earns nothing from then on.
    function retract(uint64 batchId, bytes32 reason) external;

    /// @notice Owner: terms of new batches. Running votes keep the terms of their submission; the shares of owner and
    /// validators cannot change, since earlier contributors agreed to them.
    function updateParams(uint64 datanetId, DatanetParams calldata params) external;
    /// @notice Owner.
    function setRules(uint64 datanetId, bytes32 formatHash, bytes32 validationRuleHash) external;
    /// @notice Owner. @param status 0 open, 1 closed to new batches.
    function setStatus(uint64 datanetId, uint8 status) external;
    /// @notice Owner: hand the Datanet over, to a person or to its DAO. Its shares of later batches go to the new owner.
    function transferOwnership(uint64 datanetId, address to) external;
    /// @notice Role POSTER, once per final epoch and Datanet.
    function recordUsage(uint64 epoch, Usage[] calldata usages) external;

    function hasVoted(uint64 batchId, address validator) external view returns (bool);
    /// @notice Mean quality a resolved batch was given, 0 before and where nobody voted.
    function qualityOf(uint64 batchId) external view returns (uint16);
    function rulesOf(uint64 datanetId) external view returns (bytes32 formatHash, bytes32 validationRuleHash);
    /// @notice The rules that held when the batch was submitted.
    function rulesOfBatch(uint64 batchId) external view returns (bytes32 formatHash, bytes32 validationRuleHash);
    function statusOf(uint64 datanetId) external view returns (uint8);
    /// @notice Zero where none was recorded.
    function usageRootOf(uint64 epoch, uint64 datanetId) external view returns (bytes32);
    function datanetCount() external view returns (uint64);
    function batchCount() external view returns (uint64);
    /// @notice All zeros where there is no such batch.
    function batchOf(uint64 batchId) external view returns (Batch memory);
    /// @notice Zero where there is no such Datanet.
    function ownerOf(uint64 datanetId) external view returns (address);
    function paramsOf(uint64 datanetId) external view returns (DatanetParams memory);
    /// @notice Of its stakes in the vault.
    function scopeOf(uint64 datanetId) external pure returns (bytes32);
}
