// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IDatanetRegistry} from "../../src/interfaces/IDatanetRegistry.sol";
import {vm} from "../Base.sol";
import {Actions} from "./Actions.sol";

/// @notice Stakes of two Datanets under votes, slashes, exits and passing time.
contract StakeInvariantTest is Actions {
    uint16 private constant SLASH_BPS = 2_500;
    uint256 private constant DATANETS = 2;
    uint256 private constant BATCHES_MAX = 8;

    mapping(uint64 batchId => uint8) private settledState;

    function setUp() public override {
        super.setUp();
        for (uint256 i = 0; i < DATANETS; i++) {
            datanets.createDatanet("meta", "uri", IDatanetRegistry.DatanetParams(0, 1, 1 days, 3_000, SLASH_BPS, 0, 0));
        }
        for (uint256 i = 0; i < ACTORS; i++) {
            fund(actor(i), address(vault), 1e24);
            vm.startPrank(actor(i));
            token.approve(address(vault), type(uint256).max); // What left is staked again.
            for (uint64 d = 0; d < DATANETS; d++) {
                vault.stake(scopeAt(d), uint128(1e20 * (i + 1)));
            }
            vm.stopPrank();
        }
        pass(1);
    }

    function actions() internal pure override returns (bytes4[] memory selectors) {
        selectors = new bytes4[](9);
        selectors[0] = this.stake.selector;
        selectors[1] = this.requestUnstake.selector;
        selectors[2] = this.unstake.selector;
        selectors[3] = this.submit.selector;
        selectors[4] = this.vote.selector;
        selectors[5] = this.resolve.selector;
        selectors[6] = this.retract.selector;
        selectors[7] = this.wait_.selector;
        selectors[8] = this.cancelUnstake.selector;
    }

    function stake(uint256 who, uint64 datanet, uint128 amount) external {
        bytes32 scope = scopeAt(datanet);
        (, uint64 unlockAt,) = vault.stakeOf(scope, actor(who));
        uint256 balance = token.balanceOf(actor(who));
        if (unlockAt != 0 || balance == 0) return;
        vm.prank(actor(who));
        vault.stake(scope, uint128(bound(amount, 1, balance)));
    }

    function requestUnstake(uint256 who, uint64 datanet) external {
        bytes32 scope = scopeAt(datanet);
        if (vault.votableOf(scope, actor(who)) == 0) return;
        vm.prank(actor(who));
        vault.requestUnstake(scope);
    }

    function cancelUnstake(uint256 who, uint64 datanet) external {
        bytes32 scope = scopeAt(datanet);
        (, uint64 unlockAt,) = vault.stakeOf(scope, actor(who));
        bool isDone = attempt(actor(who), address(vault), abi.encodeCall(vault.cancelUnstake, (scope)));
        vm.assertTrue(isDone == (unlockAt != 0), "exactly while it is leaving");
    }

    /// Invariant 9: what is locked or cooling down cannot leave; what is neither can.
    function unstake(uint256 who, uint64 datanet) external {
        bytes32 scope = scopeAt(datanet);
        (uint128 amount, uint64 unlockAt, uint32 locks) = vault.stakeOf(scope, actor(who));
        bool mayLeave = unlockAt != 0 && block.timestamp >= unlockAt && locks == 0;
        uint256 balance = token.balanceOf(actor(who));
        bool hasLeft = attempt(actor(who), address(vault), abi.encodeCall(vault.unstake, (scope)));
        vm.assertTrue(hasLeft == mayLeave, "leaves exactly when free");
        eq(token.balanceOf(actor(who)), balance + (hasLeft ? amount : 0), "whole stake");
    }

    function submit(uint256 who, uint64 datanet) external {
        if (datanets.batchCount() >= BATCHES_MAX) return;
        vm.prank(actor(who));
        datanets.submitContribution(idAt(datanet), "root", 1, 0, 0, "");
    }

    function vote(uint256 who, uint64 batch, bool support) external {
        if (datanets.batchCount() == 0) return;
        attempt(actor(who), address(datanets), abi.encodeCall(datanets.vote, (batchAt(batch), support, 1)));
    }

    /// Invariant 10: a slash is the Datanet's share of the stake, and falls on rejection alone.
    function resolve(uint64 batch) external {
        if (datanets.batchCount() == 0) return;
        IDatanetRegistry.Batch memory given = datanets.batchOf(batchAt(batch));
        bytes32 scope = datanets.scopeOf(given.datanetId);
        (uint128 stakeBefore,,) = vault.stakeOf(scope, given.contributor);
        bool isResolved = attempt(actor(0), address(datanets), abi.encodeCall(datanets.resolve, (batchAt(batch))));
        if (given.state == 1 && block.timestamp >= given.voteEnd) vm.assertTrue(isResolved, "ends by time");
        uint8 state = datanets.batchOf(batchAt(batch)).state;
        (uint128 stakeAfter,,) = vault.stakeOf(scope, given.contributor);
        uint256 slashed = isResolved && state == 3 ? (uint256(stakeBefore) * SLASH_BPS) / 10_000 : 0;
        eq(stakeBefore - stakeAfter, slashed, "slash");
    }

    function retract(uint64 batch, bytes32 reason) external {
        if (datanets.batchCount() == 0) return;
        IDatanetRegistry.Batch memory given = datanets.batchOf(batchAt(batch));
        bytes memory call_ = abi.encodeCall(datanets.retract, (batchAt(batch), reason));
        bool isDone = attempt(given.contributor, address(datanets), call_);
        bool mayRetract = given.state == 2 || (given.state == 1 && given.againstW == 0);
        vm.assertTrue(isDone == mayRetract, "retracts what is not voted against");
    }

    function invariant_custody_equals_the_sum_of_stakes() public view {
        uint256 sum;
        for (uint64 d = 0; d < DATANETS; d++) {
            for (uint256 i = 0; i < ACTORS; i++) {
                (uint128 amount,,) = vault.stakeOf(scopeAt(d), actor(i));
                sum += amount;
            }
        }
        eq(vault.totalStaked(), sum, "total");
        eq(token.balanceOf(address(vault)), sum, "balance");
    }

    function invariant_slashes_reach_the_treasury_and_nothing_is_created() public view {
        eq(token.balanceOf(treasury), vault.totalSlashed(), "treasury");
        uint256 held = token.balanceOf(address(vault)) + token.balanceOf(treasury);
        for (uint256 i = 0; i < ACTORS; i++) {
            held += token.balanceOf(actor(i));
        }
        eq(held, ACTORS * 1e24, "conserved");
    }

    function invariant_votable_is_the_stake_that_is_not_leaving() public view {
        for (uint64 d = 0; d < DATANETS; d++) {
            uint256 sum;
            for (uint256 i = 0; i < ACTORS; i++) {
                (uint128 amount, uint64 unlockAt,) = vault.stakeOf(scopeAt(d), actor(i));
                if (unlockAt == 0) sum += amount;
                eq(vault.votableOf(scopeAt(d), actor(i)), unlockAt == 0 ? amount : 0, "votable of one");
            }
            eq(vault.votable(scopeAt(d)), sum, "votable");
        }
    }

    function invariant_locks_count_the_pending_batches() public view {
        uint256[ACTORS][DATANETS] memory pending;
        for (uint64 b = datanets.batchCount(); b > 0; b--) {
            IDatanetRegistry.Batch memory given = datanets.batchOf(b);
            for (uint256 i = 0; i < ACTORS; i++) {
                if (given.state == 1 && given.contributor == actor(i)) pending[given.datanetId - 1][i]++;
            }
        }
        for (uint64 d = 0; d < DATANETS; d++) {
            for (uint256 i = 0; i < ACTORS; i++) {
                (,, uint32 locks) = vault.stakeOf(scopeAt(d), actor(i));
                eq(locks, pending[d][i], "locks");
            }
        }
    }

    function invariant_votes_never_exceed_the_snapshot() public view {
        for (uint64 b = 1; b <= datanets.batchCount(); b++) {
            IDatanetRegistry.Batch memory given = datanets.batchOf(b);
            vm.assertLe(uint256(given.forW) + given.againstW, given.snapshotVotable, "votes");
        }
    }

    /// A settled batch may only still be retracted.
    function invariant_a_settled_batch_stays_settled() public {
        for (uint64 b = 1; b <= datanets.batchCount(); b++) {
            uint8 state = datanets.batchOf(b).state;
            uint8 before = settledState[b];
            if (before > 1) vm.assertTrue(state == before || (before == 2 && state == 5), "stays");
            settledState[b] = state;
        }
    }

    function idAt(uint64 index) private pure returns (uint64) {
        return 1 + (index % uint64(DATANETS));
    }

    function scopeAt(uint64 index) private pure returns (bytes32) {
        return keccak256(abi.encode("datanet", idAt(index)));
    }

    function batchAt(uint64 index) private view returns (uint64) {
        return 1 + (index % datanets.batchCount());
    }
}
