// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {IAttributionLedger} from "../../src/interfaces/IAttributionLedger.sol";
import {Base, vm} from "../Base.sol";

/// @notice Challenges of one leaf: with evidence for the arbiter, or with a proof that needs none.
contract LedgerLeafTest is Base {
    address private alice = address(0xA11CE);
    address private bob = address(0xB0B);
    uint64 private settledToBlock;
    IAttributionLedger.EpochHeader private header;

    function setUp() public override {
        super.setUp();
        token.approve(address(distributor), 1_000);
        distributor.fund(1_000);
        fund(poster, address(ledger), 10 * BOND);
        fund(alice, address(ledger), 10 * BOND);
    }

    /// A tree of two leaves; `who` is the account of the left one.
    function propose(address first, uint128 one, address second, uint128 two, uint128 total) private {
        bytes32 root = Hashes.commutativeKeccak256(distributor.leafOf(first, one), distributor.leafOf(second, two));
        uint64 epoch = ledger.epochCount() + 1;
        header = IAttributionLedger.EpochHeader({
            rewardRoot: root,
            attributionRoot: "attribution",
            receiptsAccumulator: 0,
            rootTotal: total,
            fromBlock: settledToBlock,
            toBlock: uint64(block.number) - 1,
            methodHash: 0,
            contentHash: 0,
            daRef: keccak256("")
        });
        vm.prank(poster);
        ledger.propose(epoch, header, "");
    }

    /// The leaf of `account`, whose sibling is (`other`, `otherCumulative`).
    function leafOf(address account, uint128 cumulative, address other, uint128 otherCumulative)
        private
        view
        returns (IAttributionLedger.Leaf memory leaf)
    {
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = distributor.leafOf(other, otherCumulative);
        return IAttributionLedger.Leaf(account, cumulative, proof);
    }

    function checkRejected(address winner) private view {
        (uint8 status,,) = ledger.statusOf(ledger.epochCount() + 1);
        eq(status, 3, "rejected");
        eq(ledger.bondCredit(winner), 500, "half of the poster's bond");
        eq(token.totalSupply(), token.SUPPLY() - 501, "half burned");
    }

    function test_disputes_one_leaf_of_the_open_root_with_evidence() public {
        propose(alice, 60, bob, 40, 100);
        IAttributionLedger.Leaf memory leaf = leafOf(bob, 40, alice, 60);
        IAttributionLedger.Leaf memory wrong = leafOf(bob, 41, alice, 60);
        refuse(abi.encodeWithSelector(IAttributionLedger.LeafNotInRoot.selector, bob, 41));
        vm.prank(alice);
        ledger.disputeLeaf(1, header, wrong, 7, "why");
        refuse(abi.encodeWithSelector(IAttributionLedger.NotProposed.selector, 2, 0));
        vm.prank(alice);
        ledger.disputeLeaf(2, header, leaf, 7, "why");
        vm.expectEmit();
        emit IAttributionLedger.LeafDisputed(1, alice, bob, 40, 7);
        vm.expectEmit();
        emit IAttributionLedger.EpochDisputed(
            1, alice, 7, uint64(block.timestamp) + ARBITRATION, keccak256("why"), "why"
        );
        vm.prank(alice);
        ledger.disputeLeaf(1, header, leaf, 7, "why");
        vm.prank(arbiter);
        ledger.resolveDispute(1, true);
        eq(ledger.bondCredit(alice), BOND + 500, "own bond and half of the poster's");
    }

    function test_a_leaf_above_the_total_is_proven_without_the_arbiter() public {
        propose(alice, 101, bob, 40, 100);
        IAttributionLedger.Leaf memory fine = leafOf(bob, 40, alice, 101);
        refuse(abi.encodeWithSelector(IAttributionLedger.LeafNotWrong.selector, bob, 40));
        ledger.proveLeafAboveTotal(1, header, fine);
        ledger.proveLeafAboveTotal(1, header, leafOf(alice, 101, bob, 40));
        checkRejected(address(this));
        refuse(abi.encodeWithSelector(IAttributionLedger.NotProposed.selector, 1, 3));
        ledger.proveLeafAboveTotal(1, header, fine);
    }

    function test_a_leaf_that_fell_is_proven_by_the_live_root() public {
        propose(alice, 60, bob, 40, 100);
        pass(WINDOW);
        ledger.finalize(1, header);
        vm.prank(poster);
        ledger.withdrawBond();
        settledToBlock = ledger.settledToBlock();
        pass(10);
        propose(alice, 70, bob, 39, 109);
        IAttributionLedger.Leaf memory before = leafOf(bob, 40, alice, 60);
        IAttributionLedger.Leaf memory grown = leafOf(alice, 70, bob, 39);
        refuse(abi.encodeWithSelector(IAttributionLedger.LeafNotWrong.selector, alice, 70));
        ledger.proveLeafFalls(2, header, grown, before);
        IAttributionLedger.Leaf memory fell = leafOf(bob, 39, alice, 70);
        refuse(abi.encodeWithSelector(IAttributionLedger.LeafNotInRoot.selector, bob, 39));
        ledger.proveLeafFalls(2, header, fell, fell);
        ledger.proveLeafFalls(2, header, fell, before);
        checkRejected(address(this));
    }

    function test_two_leaves_of_one_account_are_proven_also_while_disputed() public {
        propose(bob, 60, bob, 40, 100);
        IAttributionLedger.Leaf memory first = leafOf(bob, 60, bob, 40);
        IAttributionLedger.Leaf memory second = leafOf(bob, 40, bob, 60);
        refuse(abi.encodeWithSelector(IAttributionLedger.LeafNotWrong.selector, bob, 60));
        ledger.proveLeafTwice(1, header, first, first);
        vm.prank(alice);
        ledger.dispute(1, 1, "");
        ledger.proveLeafTwice(1, header, first, second);
        checkRejected(address(this));
        eq(ledger.bondCredit(alice), BOND, "who disputed has the own bond back");
        eq(ledger.bondCredit(poster), 0, "poster");
    }

    function test_refuses_proofs_after_the_window() public {
        propose(alice, 101, bob, 40, 100);
        IAttributionLedger.Leaf memory leaf = leafOf(alice, 101, bob, 40);
        (, uint64 deadline,) = ledger.statusOf(1);
        vm.warp(deadline);
        refuse(abi.encodeWithSelector(IAttributionLedger.WindowClosed.selector, deadline));
        ledger.proveLeafAboveTotal(1, header, leaf);
    }
}
