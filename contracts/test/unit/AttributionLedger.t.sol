// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {AttributionLedger} from "../../src/AttributionLedger.sol";
import {IAttributionLedger} from "../../src/interfaces/IAttributionLedger.sol";
import {Base, vm} from "../Base.sol";

contract AttributionLedgerTest is Base {
    address private alice = address(0xA11CE);
    uint64 private settledToBlock;
    IAttributionLedger.EpochHeader private proposed;

    function setUp() public override {
        super.setUp();
        token.approve(address(distributor), 1_000);
        distributor.fund(1_000);
        fund(poster, address(ledger), 10 * BOND);
        fund(alice, address(ledger), 10 * BOND);
    }

    function header(uint128 total) private view returns (IAttributionLedger.EpochHeader memory) {
        return IAttributionLedger.EpochHeader({
            rewardRoot: "reward",
            attributionRoot: "attribution",
            receiptsAccumulator: "accumulator",
            rootTotal: total,
            fromBlock: settledToBlock,
            toBlock: uint64(block.number) - 1,
            methodHash: "method",
            contentHash: "content",
            daRef: keccak256("cert")
        });
    }

    function propose(uint64 epoch, uint128 total) private {
        IAttributionLedger.EpochHeader memory given = header(total);
        proposed = given;
        vm.prank(poster);
        ledger.propose(epoch, given, "cert");
    }

    function refuseHeader(bytes memory error_, IAttributionLedger.EpochHeader memory given) private {
        refuse(error_);
        vm.prank(poster);
        ledger.propose(1, given, "cert");
    }

    function dispute(uint64 epoch) private {
        vm.prank(alice);
        ledger.dispute(epoch, 2, "evidence");
    }

    function resolve(uint64 epoch, bool upheld) private {
        vm.prank(arbiter);
        ledger.resolveDispute(epoch, upheld);
    }

    function finalizeNext(uint64 epoch, uint128 total) private {
        propose(epoch, total);
        pass(WINDOW);
        ledger.finalize(epoch, proposed);
        settledToBlock = ledger.settledToBlock();
        pass(10);
    }

    function statusOf(uint64 epoch) private view returns (uint8 status) {
        (status,,) = ledger.statusOf(epoch);
    }

    function test_a_proposal_takes_the_bond_and_keeps_only_the_headers_hash() public {
        IAttributionLedger.EpochHeader memory given = header(100);
        uint64 challengeEnd = uint64(block.timestamp) + WINDOW;
        vm.expectEmit();
        emit IAttributionLedger.EpochProposed(
            1,
            poster,
            "reward",
            "attribution",
            "accumulator",
            0,
            100,
            0,
            given.toBlock,
            "method",
            "content",
            keccak256("cert"),
            "cert",
            challengeEnd
        );
        propose(1, 100);
        bytes32 genesis = keccak256(abi.encode(block.chainid, address(ledger)));
        eq(ledger.headerHash(), genesis, "nothing final");
        eq(ledger.openHeaderHash(), keccak256(abi.encode(genesis, given)), "hash");
        eq(token.balanceOf(address(ledger)), BOND, "bond");
        eq(statusOf(1), 1, "proposed");
    }

    function test_finalises_after_the_window_and_frees_the_bond() public {
        propose(1, 100);
        uint64 challengeEnd = uint64(block.timestamp) + WINDOW;
        vm.warp(challengeEnd - 1);
        refuse(abi.encodeWithSelector(IAttributionLedger.WindowOpen.selector, challengeEnd));
        ledger.finalize(1, proposed);
        vm.warp(challengeEnd);
        vm.expectEmit();
        emit IAttributionLedger.EpochFinalized(1, "reward", 100);
        vm.expectEmit();
        emit IAttributionLedger.BondCredited(poster, BOND, BOND);
        ledger.finalize(1, proposed);
        eq(distributor.root(), "reward", "root");
        eq(distributor.rootTotal(), 100, "total");
        eq(distributor.epoch(), 1, "epoch");
        eq(ledger.epochCount(), 1, "count");
        vm.prank(poster);
        ledger.withdrawBond();
        eq(token.balanceOf(address(ledger)), 0, "all bonds out");
        refuse(abi.encodeWithSelector(IAttributionLedger.NothingToWithdraw.selector));
        ledger.withdrawBond();
    }

    function test_a_credit_pays_the_next_bond_where_it_covers_it() public {
        finalizeNext(1, 100);
        uint256 held = token.balanceOf(address(ledger));
        vm.expectEmit();
        emit IAttributionLedger.BondDebited(poster, BOND, 0);
        propose(2, 100);
        eq(ledger.bondCredit(poster), 0, "taken");
        eq(token.balanceOf(address(ledger)), held, "no token moved");
        dispute(2);
        resolve(2, false);
        eq(ledger.bondCredit(poster), BOND / 2, "half of the disputer's");
        vm.prank(poster);
        ledger.dispute(2, 1, "");
        eq(ledger.bondCredit(poster), BOND / 2, "too little: pulled");
        eq(token.balanceOf(address(ledger)), held + BOND / 2 + BOND, "pulled");
    }

    function test_only_the_proposed_header_is_final_and_its_hash_stands_for_all_before() public {
        propose(1, 100);
        IAttributionLedger.EpochHeader memory first = proposed;
        IAttributionLedger.EpochHeader memory other = first;
        pass(WINDOW);
        other.rootTotal = 101;
        bytes32 hash = ledger.openHeaderHash();
        bytes32 otherHash = keccak256(abi.encode(ledger.headerHash(), other));
        refuse(abi.encodeWithSelector(IAttributionLedger.HeaderMismatch.selector, otherHash, hash));
        ledger.finalize(1, other);
        first = proposed;
        ledger.finalize(1, first);
        eq(ledger.headerHash(), hash, "first");
        settledToBlock = ledger.settledToBlock();
        pass(10);
        finalizeNext(2, 100);
        eq(ledger.headerHash(), keccak256(abi.encode(hash, proposed)), "chained");
        eq(statusOf(0) + statusOf(3), 0, "no epochs");
        (uint8 status, uint64 deadline, address poster_) = ledger.statusOf(1);
        eq(status, 4, "final");
        vm.assertTrue(deadline == 0 && poster_ == address(0), "all there is");
    }

    function test_the_next_epoch_begins_where_the_last_ended() public {
        uint64 settledTo = uint64(block.number) - 1; // toBlock of the first header.
        finalizeNext(1, 100);
        eq(ledger.settledToBlock(), settledTo, "settled");
        IAttributionLedger.EpochHeader memory given = header(200);
        given.fromBlock = settledTo + 1;
        refuse(abi.encodeWithSelector(IAttributionLedger.BlockRangeMismatch.selector, settledTo + 1, settledTo));
        vm.prank(poster);
        ledger.propose(2, given, "cert");
        finalizeNext(2, 200);
        eq(ledger.epochCount(), 2, "count");
    }

    function test_refuses_headers_that_name_a_wrong_range() public {
        IAttributionLedger.EpochHeader memory given = header(100);
        given.toBlock = 0;
        refuseHeader(abi.encodeWithSelector(IAttributionLedger.BlockRangeMismatch.selector, 0, 1), given);
        given.toBlock = uint64(block.number);
        refuseHeader(
            abi.encodeWithSelector(IAttributionLedger.BlockRangeMismatch.selector, block.number, block.number - 1),
            given
        );
    }

    function test_refuses_zero_roots() public {
        IAttributionLedger.EpochHeader memory given = header(100);
        given.rewardRoot = 0;
        refuseHeader(abi.encodeWithSelector(IAttributionLedger.ZeroRoot.selector), given);
        given = header(100);
        given.attributionRoot = 0;
        refuseHeader(abi.encodeWithSelector(IAttributionLedger.ZeroRoot.selector), given);
    }

    function test_refuses_a_total_above_the_funds_or_below_the_previous() public {
        refuseHeader(abi.encodeWithSelector(IAttributionLedger.RootTotalAboveFunds.selector, 1_001, 1_000), header(1_001));
        finalizeNext(1, 100);
        IAttributionLedger.EpochHeader memory given = header(99);
        refuse(abi.encodeWithSelector(IAttributionLedger.RootTotalBelowPrevious.selector, 99, 100));
        vm.prank(poster);
        ledger.propose(2, given, "cert");
    }

    function test_refuses_a_certificate_that_is_not_the_headers_or_too_large() public {
        IAttributionLedger.EpochHeader memory given = header(100);
        given.daRef = "other";
        refuseHeader(
            abi.encodeWithSelector(IAttributionLedger.DaRefMismatch.selector, bytes32("other"), keccak256("cert")), given
        );
        refuse(abi.encodeWithSelector(IAttributionLedger.DaCommitmentTooLarge.selector, 16_385, 16_384));
        vm.prank(poster);
        ledger.propose(1, given, new bytes(16_385));
    }

    function test_refuses_periods_that_leave_no_time_or_no_end() public {
        for (uint64 i = 0; i < 4; i++) {
            uint64 given = i % 2 == 0 ? 0 : 365 days + 1;
            (uint64 window, uint64 arbitration) = i < 2 ? (given, WINDOW) : (WINDOW, given);
            refuse(abi.encodeWithSelector(IAttributionLedger.PeriodOutOfRange.selector, given, 365 days));
            new AttributionLedger(token, distributor, mirror, address(permissions), BOND, window, arbitration);
        }
        new AttributionLedger(token, distributor, mirror, address(permissions), BOND, 365 days, 1);
    }

    function test_only_the_poster_proposes_one_epoch_at_a_time_in_order() public {
        IAttributionLedger.EpochHeader memory given = header(100);
        refuse(abi.encodeWithSelector(IAttributionLedger.NotPoster.selector, alice));
        vm.prank(alice);
        ledger.propose(1, given, "cert");
        refuse(abi.encodeWithSelector(IAttributionLedger.UnexpectedEpoch.selector, 2, 1));
        propose(2, 100);
        propose(1, 100);
        refuse(abi.encodeWithSelector(IAttributionLedger.EpochOpen.selector, 1));
        propose(1, 100);
        dispute(1);
        refuse(abi.encodeWithSelector(IAttributionLedger.EpochOpen.selector, 1));
        propose(1, 100);
    }

    function test_an_upheld_dispute_rejects_pays_the_disputer_and_burns_half_a_bond() public {
        uint256 supply = token.totalSupply();
        propose(1, 100);
        vm.expectEmit();
        emit IAttributionLedger.EpochDisputed(
            1, alice, 2, uint64(block.timestamp) + ARBITRATION, keccak256("evidence"), "evidence"
        );
        dispute(1);
        vm.expectEmit();
        emit IAttributionLedger.EpochResolved(1, true, alice, 1_501, 501, 0);
        resolve(1, true);
        eq(statusOf(1), 3, "rejected");
        eq(ledger.bondCredit(alice), 1_501, "own bond and half of the other");
        eq(supply - token.totalSupply(), 501, "burned");
        eq(token.balanceOf(address(ledger)), 1_501, "in custody");
        eq(distributor.rootTotal(), 0, "no root");
        propose(1, 50);
        eq(statusOf(1), 1, "proposed again under its number");
    }

    function test_a_wrong_dispute_pays_the_poster_and_opens_a_whole_new_window() public {
        propose(1, 100);
        vm.warp(block.timestamp + WINDOW - 1);
        dispute(1);
        pass(1 days);
        vm.expectEmit();
        emit IAttributionLedger.EpochResolved(1, false, poster, 500, 501, uint64(block.timestamp) + WINDOW);
        resolve(1, false);
        uint64 challengeEnd = uint64(block.timestamp) + WINDOW;
        refuse(abi.encodeWithSelector(IAttributionLedger.WindowOpen.selector, challengeEnd));
        ledger.finalize(1, proposed);
        dispute(1);
        resolve(1, false);
        pass(WINDOW);
        ledger.finalize(1, proposed);
        eq(ledger.bondCredit(poster), 500 + 500 + BOND, "poster");
        eq(token.balanceOf(address(ledger)), 500 + 500 + BOND, "in custody");
    }

    function test_silence_of_the_arbiter_lets_the_dispute_stand() public {
        propose(1, 100);
        dispute(1);
        uint64 arbitrationEnd = uint64(block.timestamp) + ARBITRATION;
        vm.warp(arbitrationEnd - 1);
        refuse(abi.encodeWithSelector(IAttributionLedger.WindowOpen.selector, arbitrationEnd));
        ledger.rejectUnresolved(1);
        vm.warp(arbitrationEnd);
        refuse(abi.encodeWithSelector(IAttributionLedger.WindowClosed.selector, arbitrationEnd));
        resolve(1, false);
        ledger.rejectUnresolved(1);
        eq(statusOf(1), 3, "rejected");
        eq(ledger.bondCredit(alice), 500, "half of the disputer's own");
        eq(ledger.bondCredit(poster), 1_001, "the poster's whole");
        eq(token.totalSupply(), token.SUPPLY() - 501, "burned");
    }

    /// With a silent arbiter nobody gains by a dispute, whoever disputes whom.
    function test_a_poster_who_disputes_himself_and_is_not_ruled_on_loses_half_a_bond() public {
        uint256 before = token.balanceOf(poster);
        propose(1, 100);
        vm.prank(poster);
        ledger.dispute(1, 1, "");
        pass(ARBITRATION);
        ledger.rejectUnresolved(1);
        vm.prank(poster);
        ledger.withdrawBond();
        eq(before - token.balanceOf(poster), 501, "lost");
    }

    function test_a_poster_takes_an_epoch_back_until_it_is_disputed() public {
        propose(1, 100);
        refuse(abi.encodeWithSelector(IAttributionLedger.NotPoster.selector, alice));
        vm.prank(alice);
        ledger.withdrawEpoch(1);
        vm.expectEmit();
        emit IAttributionLedger.EpochAbandoned(1, "withdrawn");
        vm.prank(poster);
        ledger.withdrawEpoch(1);
        eq(statusOf(1), 3, "rejected");
        eq(ledger.bondCredit(poster), BOND, "bond");
        propose(1, 100);
        dispute(1);
        refuse(abi.encodeWithSelector(IAttributionLedger.NotProposed.selector, 1, 2));
        vm.prank(poster);
        ledger.withdrawEpoch(1);
    }

    function test_a_disputed_epoch_cannot_be_finalised_however_long_one_waits() public {
        propose(1, 100);
        dispute(1);
        pass(1_000 days);
        refuse(abi.encodeWithSelector(IAttributionLedger.NotProposed.selector, 1, 2));
        ledger.finalize(1, proposed);
    }

    function test_refuses_disputes_outside_the_window_or_twice() public {
        refuse(abi.encodeWithSelector(IAttributionLedger.NotProposed.selector, 1, 0));
        dispute(1);
        propose(1, 100);
        refuse(abi.encodeWithSelector(IAttributionLedger.EvidenceTooLarge.selector, 16_385, 16_384));
        vm.prank(alice);
        ledger.dispute(1, 2, new bytes(16_385));
        dispute(1);
        refuse(abi.encodeWithSelector(IAttributionLedger.NotProposed.selector, 1, 2));
        dispute(1);
        resolve(1, false);
        uint64 challengeEnd = uint64(block.timestamp) + WINDOW;
        vm.warp(challengeEnd);
        refuse(abi.encodeWithSelector(IAttributionLedger.WindowClosed.selector, challengeEnd));
        dispute(1);
    }

    function test_only_the_arbiter_rules_and_only_on_disputes() public {
        propose(1, 100);
        refuse(abi.encodeWithSelector(IAttributionLedger.NotDisputed.selector, 1, 1));
        resolve(1, true);
        refuse(abi.encodeWithSelector(IAttributionLedger.NotDisputed.selector, 1, 1));
        ledger.rejectUnresolved(1);
        dispute(1);
        refuse(abi.encodeWithSelector(IAttributionLedger.NotArbiter.selector, poster));
        vm.prank(poster);
        ledger.resolveDispute(1, false);
    }

    function test_refuses_to_finalise_twice_or_to_propose_a_final_epoch() public {
        finalizeNext(1, 100);
        refuse(abi.encodeWithSelector(IAttributionLedger.NotProposed.selector, 1, 4));
        ledger.finalize(1, proposed);
        refuse(abi.encodeWithSelector(IAttributionLedger.UnexpectedEpoch.selector, 1, 2));
        propose(1, 100);
    }

    function testFuzz_accepts_exactly_the_totals_between_the_previous_and_the_funds(uint128 first, uint128 second)
        public
    {
        first = uint128(bound(first, 0, 1_000));
        second = uint128(bound(second, 0, 1_100));
        finalizeNext(1, first);
        IAttributionLedger.EpochHeader memory given = header(second);
        if (second < first) {
            refuse(abi.encodeWithSelector(IAttributionLedger.RootTotalBelowPrevious.selector, second, first));
        } else if (second > 1_000) {
            refuse(abi.encodeWithSelector(IAttributionLedger.RootTotalAboveFunds.selector, second, 1_000));
        }
        vm.prank(poster);
        ledger.propose(2, given, "cert");
    }
}
