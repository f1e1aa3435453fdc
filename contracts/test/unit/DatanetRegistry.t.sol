// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IDatanetAccess} from "../../src/interfaces/IDatanetAccess.sol";
import {IDatanetRegistry} from "../../src/interfaces/IDatanetRegistry.sol";
import {IStakeVault} from "../../src/interfaces/IStakeVault.sol";
import {Base, vm} from "../Base.sol";

contract DatanetRegistryTest is Base {
    address private contributor = address(0xC0);
    address private alice = address(0xA11CE);
    address private bob = address(0xB0B);
    uint64 private datanetId;
    bytes32 private scope;

    function setUp() public override {
        super.setUp();
        datanetId = datanets.createDatanet("meta", "uri", params());
        scope = datanets.scopeOf(datanetId);
        stakeAs(contributor, 1_000);
        stakeAs(alice, 600);
        stakeAs(bob, 400);
        pass(1);
    }

    function params() private pure returns (IDatanetRegistry.DatanetParams memory) {
        return IDatanetRegistry.DatanetParams({
            minContributorStake: 100,
            minValidatorStake: 10,
            votingPeriodSeconds: 1 days,
            quorumBps: 4_000,
            slashBps: 2_000,
            ownerBps: 500,
            validatorBps: 500
        });
    }

    function stakeAs(address account, uint128 amount) private {
        fund(account, address(vault), amount);
        vm.prank(account);
        vault.stake(scope, amount);
    }

    function submit() private returns (uint64) {
        vm.prank(contributor);
        return datanets.submitContribution(datanetId, "root", 3, "content", "MIT", "cert");
    }

    function voteAs(address validator, uint64 batchId, bool support) private {
        vm.prank(validator);
        datanets.vote(batchId, support, 10_000);
    }

    function stateOf(uint64 batchId) private view returns (uint8) {
        return datanets.batchOf(batchId).state;
    }

    function locksOf(address account) private view returns (uint32 locks) {
        (,, locks) = vault.stakeOf(scope, account);
    }

    function test_a_batch_locks_the_contributors_stake_and_counts_only_the_others() public {
        uint64 voteEnd = uint64(block.timestamp) + 1 days;
        vm.expectEmit();
        emit IDatanetRegistry.ContributionSubmitted(
            datanetId, 1, contributor, "root", 3, "content", "MIT", "cert", voteEnd, 1_000
        );
        vm.expectEmit();
        emit IStakeVault.StakeLocked(scope, contributor, datanets.lockIdOf(1), 1);
        uint64 batchId = submit();
        eq(locksOf(contributor), 1, "locks");
        eq(stateOf(batchId), 1, "pending");
    }

    function test_a_majority_of_the_snapshot_decides_at_once() public {
        uint64 batchId = submit();
        vm.expectEmit();
        emit IDatanetRegistry.ValidationVote(datanetId, batchId, alice, true, 9_000, 600, 600, 0);
        vm.prank(alice);
        datanets.vote(batchId, true, 9_000);
        vm.expectEmit();
        emit IDatanetRegistry.ContributionResolved(datanetId, batchId, 2, 600, 0);
        datanets.resolve(batchId);
        eq(locksOf(contributor), 0, "released");
        refuse(abi.encodeWithSelector(IDatanetRegistry.AlreadyResolved.selector, 2));
        datanets.resolve(batchId);
    }

    function test_a_majority_below_the_quorum_waits_too() public {
        IDatanetRegistry.DatanetParams memory strict = params();
        strict.quorumBps = 8_000;
        datanetId = datanets.createDatanet("meta", "uri", strict);
        scope = datanets.scopeOf(datanetId);
        stakeAs(contributor, 100);
        stakeAs(alice, 600);
        stakeAs(bob, 400);
        pass(1);
        uint64 batchId = submit();
        voteAs(alice, batchId, true);
        uint64 voteEnd = datanets.batchOf(batchId).voteEnd;
        refuse(abi.encodeWithSelector(IDatanetRegistry.VotingOpen.selector, voteEnd));
        datanets.resolve(batchId);
        voteAs(bob, batchId, false);
        datanets.resolve(batchId);
        eq(stateOf(batchId), 2, "accepted");
    }

    function test_lapses_without_votes_also_where_no_quorum_is_asked() public {
        IDatanetRegistry.DatanetParams memory open = params();
        (open.quorumBps, open.minContributorStake) = (0, 0);
        datanetId = datanets.createDatanet("meta", "uri", open);
        uint64 batchId = submit();
        pass(1 days);
        datanets.resolve(batchId);
        eq(stateOf(batchId), 4, "lapsed");
    }

    function test_a_minority_waits_for_the_end_of_the_vote() public {
        uint64 batchId = submit();
        voteAs(bob, batchId, true);
        uint64 voteEnd = datanets.batchOf(batchId).voteEnd;
        refuse(abi.encodeWithSelector(IDatanetRegistry.VotingOpen.selector, voteEnd));
        datanets.resolve(batchId);
        vm.warp(voteEnd);
        refuse(abi.encodeWithSelector(IDatanetRegistry.VotingClosed.selector, voteEnd));
        voteAs(alice, batchId, false);
        datanets.resolve(batchId);
        eq(stateOf(batchId), 2, "quorum of 4,000 reached: accepted");
    }

    function test_a_quorum_against_slashes_the_contributor_only() public {
        uint64 batchId = submit();
        voteAs(alice, batchId, false);
        voteAs(bob, batchId, true);
        vm.expectEmit();
        emit IStakeVault.Slashed(
            scope, contributor, "contribution-rejected", 200, 800, treasury, datanets.lockIdOf(batchId)
        );
        datanets.resolve(batchId);
        eq(stateOf(batchId), 3, "rejected");
        eq(vault.votableOf(scope, contributor), 800, "slashed by a fifth");
        eq(vault.votableOf(scope, bob), 400, "the losing vote costs nothing");
        eq(token.balanceOf(treasury), 200, "treasury");
        eq(locksOf(contributor), 0, "released");
    }

    function test_lapses_without_quorum_and_slashes_nobody() public {
        uint64 batchId = submit();
        pass(1 days);
        datanets.resolve(batchId);
        eq(stateOf(batchId), 4, "lapsed");
        eq(vault.totalSlashed(), 0, "slashed");
    }

    function test_a_tie_lapses() public {
        stakeAs(bob, 200);
        pass(1);
        uint64 batchId = submit();
        voteAs(alice, batchId, true);
        voteAs(bob, batchId, false);
        pass(1 days);
        datanets.resolve(batchId);
        eq(stateOf(batchId), 4, "lapsed");
    }

    /// Staking into a running vote would let money arrive only where it decides.
    function test_stake_that_came_after_the_submission_has_no_weight() public {
        uint64 batchId = submit();
        address late = address(0x1A7E);
        stakeAs(late, 10_000);
        refuse(abi.encodeWithSelector(IDatanetRegistry.StakeTooSmall.selector, 0, 10));
        voteAs(late, batchId, false);
        pass(5);
        refuse(abi.encodeWithSelector(IDatanetRegistry.StakeTooSmall.selector, 0, 10));
        voteAs(late, batchId, false);
        stakeAs(alice, 5_000);
        voteAs(alice, batchId, true);
        eq(datanets.batchOf(batchId).forW, 600, "weight at the submission");
    }

    function test_stake_that_is_leaving_has_no_weight() public {
        uint64 batchId = submit();
        vm.prank(alice);
        vault.requestUnstake(scope);
        refuse(abi.encodeWithSelector(IDatanetRegistry.StakeTooSmall.selector, 0, 10));
        voteAs(alice, batchId, true);
    }

    function test_refuses_a_second_vote_the_contributors_vote_and_a_quality_above_the_scale() public {
        uint64 batchId = submit();
        vm.assertTrue(!datanets.hasVoted(batchId, alice), "not yet");
        voteAs(alice, batchId, true);
        vm.assertTrue(datanets.hasVoted(batchId, alice), "voted");
        vm.assertTrue(!datanets.hasVoted(batchId, bob), "by himself alone");
        refuse(abi.encodeWithSelector(IDatanetRegistry.AlreadyVoted.selector, alice));
        voteAs(alice, batchId, false);
        refuse(abi.encodeWithSelector(IDatanetRegistry.ContributorCannotVote.selector, contributor));
        voteAs(contributor, batchId, true);
        refuse(abi.encodeWithSelector(IDatanetRegistry.QualityOutOfRange.selector, 10_001, 10_000));
        vm.prank(bob);
        datanets.vote(batchId, true, 10_001);
        refuse(abi.encodeWithSelector(IDatanetRegistry.UnknownBatch.selector, 9));
        voteAs(alice, 9, true);
    }

    function test_refuses_malformed_submissions() public {
        vm.startPrank(contributor);
        refuse(abi.encodeWithSelector(IDatanetAccess.UnknownDatanet.selector, 9));
        datanets.submitContribution(9, "root", 3, "content", "MIT", "cert");
        refuse(abi.encodeWithSelector(IDatanetRegistry.ZeroRoot.selector));
        datanets.submitContribution(datanetId, 0, 3, "content", "MIT", "cert");
        refuse(abi.encodeWithSelector(IDatanetRegistry.EmptyBatch.selector));
        datanets.submitContribution(datanetId, "root", 0, "content", "MIT", "cert");
        refuse(abi.encodeWithSelector(IDatanetRegistry.DaCommitmentTooLarge.selector, 16_385, 16_384));
        datanets.submitContribution(datanetId, "root", 3, "content", "MIT", new bytes(16_385));
        vm.stopPrank();
        refuse(abi.encodeWithSelector(IDatanetRegistry.StakeTooSmall.selector, 0, 100));
        datanets.submitContribution(datanetId, "root", 3, "content", "MIT", "cert");
    }

    function test_the_contributor_retracts_what_is_pending_or_accepted() public {
        uint64 pending = submit();
        uint64 accepted = submit();
        voteAs(alice, accepted, true);
        datanets.resolve(accepted);
        refuse(abi.encodeWithSelector(IDatanetRegistry.NotContributor.selector, alice));
        vm.prank(alice);
        datanets.retract(pending, "why");
        vm.startPrank(contributor);
        vm.expectEmit();
        emit IDatanetRegistry.ContributionRetracted(datanetId, pending, "why");
        datanets.retract(pending, "why");
        datanets.retract(accepted, "why");
        eq(stateOf(pending), 5, "pending");
        eq(stateOf(accepted), 5, "accepted");
        eq(locksOf(contributor), 0, "each lock released once");
        refuse(abi.encodeWithSelector(IDatanetRegistry.AlreadyResolved.selector, 5));
        datanets.retract(accepted, "why");
    }

    function test_refuses_to_retract_what_was_never_submitted() public {
        refuse(abi.encodeWithSelector(IDatanetRegistry.UnknownBatch.selector, 9));
        vm.prank(contributor);
        datanets.retract(9, "why");
    }

    function test_refuses_to_retract_under_a_vote_against_which_would_dodge_the_slash() public {
        uint64 batchId = submit();
        voteAs(bob, batchId, false);
        uint64 voteEnd = datanets.batchOf(batchId).voteEnd;
        refuse(abi.encodeWithSelector(IDatanetRegistry.VotingOpen.selector, voteEnd));
        vm.prank(contributor);
        datanets.retract(batchId, "why");
    }

    function testFuzz_creates_exactly_the_datanets_with_valid_parameters(IDatanetRegistry.DatanetParams memory given)
        public
    {
        given.minContributorStake = uint128(bound(given.minContributorStake, 0, uint256(type(uint96).max) + 1));
        if (given.minValidatorStake % 2 == 0) given.minValidatorStake = uint96(given.minValidatorStake);
        given.votingPeriodSeconds = uint64(bound(given.votingPeriodSeconds, 0, 31 days));
        given.quorumBps = uint16(bound(given.quorumBps, 0, 10_500));
        given.slashBps = uint16(bound(given.slashBps, 0, 5_500));
        given.ownerBps = uint16(bound(given.ownerBps, 0, 3_000));
        given.validatorBps = uint16(bound(given.validatorBps, 0, 3_000));
        bool isValid = given.minContributorStake <= type(uint96).max && given.minValidatorStake > 0
            && given.minValidatorStake <= type(uint96).max && given.votingPeriodSeconds > 0
            && given.votingPeriodSeconds <= 30 days && given.quorumBps <= 10_000 && given.slashBps <= 5_000
            && given.ownerBps + given.validatorBps <= 5_000;
        if (!isValid) refuse(abi.encodeWithSelector(IDatanetRegistry.InvalidParams.selector));
        uint64 id = datanets.createDatanet("meta", "uri", given);
        if (isValid) {
            eq(keccak256(abi.encode(datanets.paramsOf(id))), keccak256(abi.encode(given)), "stored as given");
            eq(datanets.ownerOf(id), address(this), "owner");
        }
    }

    function testFuzz_the_outcome_follows_from_the_votes(uint128 forStake, uint128 againstStake, uint128 silentStake)
        public
    {
        forStake = uint128(bound(forStake, 10, 1e24));
        againstStake = uint128(bound(againstStake, 10, 1e24));
        silentStake = uint128(bound(silentStake, 10, 1e24));
        stakeAs(address(0xF0), forStake);
        stakeAs(address(0xA6), againstStake);
        stakeAs(address(0x51), silentStake);
        pass(1);
        uint64 batchId = submit();
        voteAs(address(0xF0), batchId, true);
        voteAs(address(0xA6), batchId, false);
        pass(1 days);
        datanets.resolve(batchId);
        uint256 cast = uint256(forStake) + againstStake;
        bool hasQuorum = cast * 10_000 >= (cast + silentStake + 1_000) * 4_000;
        uint8 expected = !hasQuorum || forStake == againstStake ? 4 : forStake > againstStake ? 2 : 3;
        eq(stateOf(batchId), expected, "outcome");
        eq(vault.totalSlashed() > 0 ? 1 : 0, expected == 3 ? 1 : 0, "slashed only when rejected");
    }
}
