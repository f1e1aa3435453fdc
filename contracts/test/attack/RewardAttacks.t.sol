// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {AttributionLedger} from "../../src/AttributionLedger.sol";
import {IAttributionLedger} from "../../src/interfaces/IAttributionLedger.sol";
import {IRewardDistributor} from "../../src/interfaces/IRewardDistributor.sol";
import {RewardDistributor} from "../../src/RewardDistributor.sol";
import {Base, vm} from "../Base.sol";
import {HostileToken} from "./HostileToken.sol";

/// @notice Attacks on what is claimed: roots, leaves, bonds. contracts/test/README.md says which finding each answers.
contract RewardAttacksTest is Base {
    address private alice = address(0xA11CE);
    address private bob = address(0xB0B);
    address private thief = address(0x7417F);
    IAttributionLedger.EpochHeader private header;

    function setUp() public override {
        super.setUp();
        token.approve(address(distributor), 10_000);
        distributor.fund(1_000);
        fund(poster, address(ledger), 20 * BOND);
        fund(alice, address(ledger), 20 * BOND);
    }

    function leaf(address account, uint128 cumulative) private view returns (bytes32) {
        return keccak256(
            bytes.concat(keccak256(abi.encode(block.chainid, address(distributor), account, uint256(cumulative))))
        );
    }

    function pair(uint128 forAlice, uint128 forBob) private view returns (bytes32) {
        return Hashes.commutativeKeccak256(leaf(alice, forAlice), leaf(bob, forBob));
    }

    function proofBy(address other, uint128 cumulative) private view returns (bytes32[] memory proof) {
        proof = new bytes32[](1);
        proof[0] = leaf(other, cumulative);
    }

    function propose(bytes32 root, uint128 total) private {
        header = IAttributionLedger.EpochHeader(
            root, "a", 0, total, ledger.settledToBlock(), uint64(block.number) - 1, 0, 0, keccak256("")
        );
        uint64 epoch = ledger.epochCount() + 1;
        vm.prank(poster);
        ledger.propose(epoch, header, "");
    }

    function settle(bytes32 root, uint128 total) private {
        propose(root, total);
        pass(WINDOW);
        ledger.finalize(ledger.epochCount() + 1, header);
        pass(10);
    }

    function refuseClaim(address account, uint128 cumulative, bytes32[] memory proof) private {
        refuse(abi.encodeWithSelector(IRewardDistributor.InvalidProof.selector, account, cumulative));
        distributor.claim(account, cumulative, proof);
    }

    /// Whoever computes the rewards again has the whole window to stop a wrong root, which then pays nobody.
    function test_a_root_that_recomputation_refutes_never_pays() public {
        settle(pair(100, 50), 150);
        bytes32 wrong = pair(100, 850);
        propose(wrong, 950);
        refuseClaim(bob, 850, proofBy(alice, 100));
        vm.prank(alice);
        ledger.dispute(2, 1, "recomputed");
        vm.prank(arbiter);
        ledger.resolveDispute(2, true);
        pass(WINDOW);
        refuse(abi.encodeWithSelector(IAttributionLedger.NotProposed.selector, 2, 3));
        ledger.finalize(2, header);
        refuseClaim(bob, 850, proofBy(alice, 100));
        distributor.claim(bob, 50, proofBy(alice, 100));
        eq(token.balanceOf(bob), 50, "what the last good root says");
    }

    /// The same epoch cannot count twice: its blocks are settled, and its number is taken.
    function test_refuses_the_same_epoch_under_a_new_number() public {
        settle(pair(100, 50), 150);
        IAttributionLedger.EpochHeader memory again = header;
        uint64 settledTo = again.toBlock;
        refuse(abi.encodeWithSelector(IAttributionLedger.BlockRangeMismatch.selector, 0, settledTo));
        vm.prank(poster);
        ledger.propose(2, again, "");
        again.fromBlock = settledTo;
        refuse(abi.encodeWithSelector(IAttributionLedger.BlockRangeMismatch.selector, settledTo, settledTo + 1));
        vm.prank(poster);
        ledger.propose(2, again, "");
    }

    function test_an_inner_node_and_padding_are_no_leaves() public {
        bytes32 left = pair(100, 50);
        bytes32 root = Hashes.commutativeKeccak256(left, 0); // Padded with zero, as ours never are.
        vm.prank(address(ledger));
        distributor.activateRoot(1, root, 200);
        // The preimage of an inner node is two words; that of a leaf is the hash of four.
        refuseClaim(address(uint160(uint256(left))), uint128(uint256(left)), new bytes32[](0));
        bytes32[] memory siblingOfZero = new bytes32[](1);
        siblingOfZero[0] = left;
        refuseClaim(address(0), 1, siblingOfZero);
        refuseClaim(thief, 1, siblingOfZero);
        vm.assertTrue(leaf(address(0), 0) != bytes32(0), "no amount makes the zero leaf");
    }

    function test_an_inactive_root_pays_nobody_and_the_live_one_pays_through_a_dispute() public {
        settle(pair(100, 50), 150);
        propose(pair(130, 50), 180);
        refuseClaim(alice, 130, proofBy(bob, 50));
        vm.prank(alice);
        ledger.dispute(2, 1, "");
        distributor.claim(alice, 100, proofBy(bob, 50));
        eq(token.balanceOf(alice) + BOND, 20 * BOND + 100, "paid while disputed");
        pass(ARBITRATION);
        ledger.rejectUnresolved(2);
        refuseClaim(alice, 130, proofBy(bob, 50));
    }

    function test_refuses_an_unset_root() public {
        refuseClaim(alice, 1, new bytes32[](0));
        refuseClaim(address(0), 1, new bytes32[](0));
        header = IAttributionLedger.EpochHeader(0, "a", 0, 1, 0, uint64(block.number) - 1, 0, 0, keccak256(""));
        refuse(abi.encodeWithSelector(IAttributionLedger.ZeroRoot.selector));
        vm.prank(poster);
        ledger.propose(1, header, "");
    }

    /// Money that came by itself funds no root.
    function test_refuses_an_underfunded_tree_also_with_a_gift() public {
        token.transfer(address(distributor), 500);
        header = IAttributionLedger.EpochHeader(
            pair(1_000, 1), "a", 0, 1_001, 0, uint64(block.number) - 1, 0, 0, keccak256("")
        );
        refuse(abi.encodeWithSelector(IAttributionLedger.RootTotalAboveFunds.selector, 1_001, 1_000));
        vm.prank(poster);
        ledger.propose(1, header, "");
        eq(distributor.totalFunded(), 1_000, "a gift is no funding");
    }

    /// A later leaf below what was paid blocks nobody and underflows nothing.
    function test_an_account_whose_leaf_fell_waits_and_the_others_claim() public {
        settle(pair(100, 50), 150);
        distributor.claim(alice, 100, proofBy(bob, 50));
        settle(pair(40, 110), 150);
        refuse(abi.encodeWithSelector(IRewardDistributor.NothingToClaim.selector, alice, 40));
        distributor.claim(alice, 40, proofBy(bob, 110));
        refuse(abi.encodeWithSelector(IRewardDistributor.ClaimAboveRootTotal.selector, 210, 150));
        distributor.claim(bob, 110, proofBy(alice, 40));
        settle(pair(100, 110), 210);
        distributor.claim(bob, 110, proofBy(alice, 100));
        eq(token.balanceOf(bob), 110, "bob");
    }

    /// A claim that is sent by someone else, or twice in a batch, pays its account once, and only its account.
    function test_running_ahead_of_a_claim_gains_nothing() public {
        settle(pair(100, 50), 150);
        vm.prank(thief);
        distributor.claim(alice, 100, proofBy(bob, 50));
        eq(token.balanceOf(thief), 0, "thief");
        refuse(abi.encodeWithSelector(IRewardDistributor.NothingToClaim.selector, alice, 100));
        distributor.claim(alice, 100, proofBy(bob, 50));
        IRewardDistributor.ClaimItem[] memory items = new IRewardDistributor.ClaimItem[](2);
        items[0] = IRewardDistributor.ClaimItem(alice, 100, proofBy(bob, 50));
        items[1] = IRewardDistributor.ClaimItem(bob, 50, proofBy(alice, 100));
        distributor.claimMany(items);
        eq(token.balanceOf(bob), 50, "the batch pays who was not paid");
    }

    /// Alice signs a transaction to the thief's contract: that is no consent.
    function test_the_origin_of_a_transaction_may_not_send_elsewhere() public {
        settle(pair(100, 50), 150);
        bytes32[] memory proof = proofBy(bob, 50);
        refuse(abi.encodeWithSelector(IRewardDistributor.NotClaimer.selector, thief));
        vm.prank(thief, alice);
        distributor.claimTo(alice, thief, 100, proof);
    }

    function test_a_leaf_of_another_chain_or_distributor_is_none() public {
        settle(pair(100, 50), 150);
        bytes32[] memory proof = proofBy(bob, 50);
        uint256 chainId = block.chainid;
        vm.chainId(chainId + 1);
        refuse(abi.encodeWithSelector(IRewardDistributor.InvalidProof.selector, alice, 100));
        distributor.claim(alice, 100, proof);
        vm.chainId(chainId);
        RewardDistributor other = new RewardDistributor(token, address(ledger));
        bytes32 root = pair(100, 50);
        vm.prank(address(ledger));
        other.activateRoot(1, root, 0);
        refuse(abi.encodeWithSelector(IRewardDistributor.InvalidProof.selector, alice, 100));
        other.claim(alice, 100, proof);
    }

    /// A winner whom the token refuses holds up nobody: he is credited.
    function test_a_winner_that_cannot_be_paid_does_not_hold_up_the_ruling() public {
        (HostileToken hostile, AttributionLedger other) = hostileLedger();
        vm.prank(alice);
        other.dispute(1, 1, "");
        hostile.refuseTo(alice);
        vm.prank(arbiter);
        other.resolveDispute(1, true);
        (uint8 status,,) = other.statusOf(1);
        eq(status, 3, "rejected");
        eq(other.bondCredit(alice), BOND + BOND / 2, "credited");
        vm.prank(alice);
        (bool isPaid,) = address(other).call(abi.encodeCall(other.withdrawBond, ()));
        vm.assertTrue(!isPaid, "only his own withdrawal fails");
    }

    function test_the_ledger_lets_its_token_in_nowhere() public {
        (HostileToken hostile, AttributionLedger other) = hostileLedger();
        vm.prank(alice);
        other.dispute(1, 1, "");
        vm.prank(arbiter);
        other.resolveDispute(1, true);
        propose(other, 1);
        pass(WINDOW);
        hostile.arm(address(other), abi.encodeCall(other.finalize, (1, header)));
        vm.prank(alice);
        other.withdrawBond();
        vm.assertTrue(hostile.hasTried() && !hostile.hasEntered(), "finalize");
        other.finalize(1, header); // What the token tried is fine by itself.
    }

    function test_the_distributor_lets_its_token_in_nowhere() public {
        HostileToken hostile = new HostileToken();
        RewardDistributor other = new RewardDistributor(hostile, address(this));
        hostile.approve(address(other), 1_000);
        other.fund(1_000);
        bytes32 bobs = other.leafOf(bob, 50);
        bytes32 alices = other.leafOf(alice, 100);
        other.activateRoot(1, Hashes.commutativeKeccak256(alices, bobs), 150);
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = alices;
        hostile.arm(address(other), abi.encodeCall(other.claim, (bob, 50, proof)));
        bytes32[] memory proofOfAlice = new bytes32[](1);
        proofOfAlice[0] = bobs;
        other.claim(alice, 100, proofOfAlice);
        vm.assertTrue(hostile.hasTried() && !hostile.hasEntered(), "claim");
        other.claim(bob, 50, proof);
    }

    /// A dispute of one's own costs half a bond also where the arbiter rules, whichever way.
    function test_disputing_oneself_costs_half_a_bond_whatever_the_arbiter_says() public {
        for (uint256 i = 0; i < 2; i++) {
            uint256 before = token.balanceOf(poster) + ledger.bondCredit(poster);
            propose(pair(100, 50), 150);
            vm.prank(poster);
            ledger.dispute(1, 1, "");
            vm.prank(arbiter);
            ledger.resolveDispute(1, i == 0);
            if (i == 1) {
                vm.prank(poster);
                ledger.withdrawEpoch(1);
            }
            eq(before - token.balanceOf(poster) - ledger.bondCredit(poster), BOND - BOND / 2, "lost");
        }
    }

    function hostileLedger() private returns (HostileToken hostile, AttributionLedger other) {
        hostile = new HostileToken();
        address ledgerAddress = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        RewardDistributor pool = new RewardDistributor(hostile, ledgerAddress);
        other = new AttributionLedger(hostile, pool, mirror, address(permissions), BOND, WINDOW, ARBITRATION);
        allowAt(address(other));
        address[2] memory payers = [poster, alice];
        for (uint256 i = 0; i < 2; i++) {
            hostile.transfer(payers[i], 10 * BOND);
            vm.prank(payers[i]);
            hostile.approve(address(other), type(uint256).max);
        }
        propose(other, 1);
    }

    /// Only the timelock changes permissions.
    function allowAt(address target) private {
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = ledger.propose.selector;
        uint64 posters = permissions.POSTER();
        uint64 arbiters = permissions.ARBITER();
        vm.prank(address(timelock));
        permissions.setTargetFunctionRole(target, selectors, posters);
        selectors[0] = ledger.resolveDispute.selector;
        vm.prank(address(timelock));
        permissions.setTargetFunctionRole(target, selectors, arbiters);
    }

    function propose(AttributionLedger other, uint64 epoch) private {
        header =
            IAttributionLedger.EpochHeader("r", "a", 0, 0, 0, uint64(block.number) - 1, 0, 0, keccak256(""));
        vm.prank(poster);
        other.propose(epoch, header, "");
    }
}
