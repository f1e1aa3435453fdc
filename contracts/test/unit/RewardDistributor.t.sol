// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {IRewardDistributor} from "../../src/interfaces/IRewardDistributor.sol";
import {Base, vm} from "../Base.sol";

contract RewardDistributorTest is Base {
    address private alice = address(0xA11CE);
    address private bob = address(0xB0B);

    function setUp() public override {
        super.setUp();
        token.approve(address(distributor), 1_000);
        distributor.fund(1_000);
    }

    function activate(uint64 epoch, bytes32 root, uint128 total) private {
        vm.prank(address(ledger));
        distributor.activateRoot(epoch, root, total);
    }

    /// Written out here, since the contract's own function is under test.
    function leafOf(address account, uint128 cumulative) private view returns (bytes32) {
        return keccak256(
            bytes.concat(keccak256(abi.encode(block.chainid, address(distributor), account, uint256(cumulative))))
        );
    }

    /// A tree of two: alice and bob. Each one's proof is the other's leaf.
    function activatePair(uint64 epoch, uint128 forAlice, uint128 forBob) private {
        bytes32 root =
            Hashes.commutativeKeccak256(leafOf(alice, forAlice), leafOf(bob, forBob));
        activate(epoch, root, forAlice + forBob);
    }

    function proofOf(address other, uint128 cumulative) private view returns (bytes32[] memory proof) {
        proof = new bytes32[](1);
        proof[0] = leafOf(other, cumulative);
    }

    function test_funding_is_counted_and_held() public {
        token.approve(address(distributor), 5);
        vm.expectEmit();
        emit IRewardDistributor.Funded(address(this), 5, 1_005);
        distributor.fund(5);
        eq(token.balanceOf(address(distributor)), 1_005, "custody");
        refuse(abi.encodeWithSelector(IRewardDistributor.ZeroAmount.selector));
        distributor.fund(0);
    }

    function test_only_the_ledger_activates_roots() public {
        refuse(abi.encodeWithSelector(IRewardDistributor.NotLedger.selector, address(this)));
        distributor.activateRoot(1, "root", 1);
    }

    function test_refuses_a_zero_root_a_falling_total_and_a_total_above_the_funds() public {
        refuse(abi.encodeWithSelector(IRewardDistributor.ZeroRoot.selector));
        activate(1, 0, 10);
        activate(1, "root", 10);
        refuse(abi.encodeWithSelector(IRewardDistributor.RootTotalBelowPrevious.selector, 9, 10));
        activate(2, "root", 9);
        refuse(abi.encodeWithSelector(IRewardDistributor.RootTotalAboveFunds.selector, 1_001, 1_000));
        activate(2, "root", 1_001);
    }

    function test_pays_each_account_the_difference_to_what_it_had() public {
        activatePair(1, 100, 50);
        distributor.claim(alice, 100, proofOf(bob, 50));
        activatePair(2, 130, 50);
        vm.expectEmit();
        emit IRewardDistributor.Claimed(alice, 2, alice, 30, 130, 130);
        distributor.claim(alice, 130, proofOf(bob, 50));
        eq(token.balanceOf(alice), 130, "alice");
        eq(distributor.claimed(alice), 130, "claimed");
        eq(distributor.totalClaimed(), 130, "total");
    }

    function test_refuses_a_second_claim_of_the_same_amount() public {
        activatePair(1, 100, 50);
        distributor.claim(alice, 100, proofOf(bob, 50));
        refuse(abi.encodeWithSelector(IRewardDistributor.NothingToClaim.selector, alice, 100));
        distributor.claim(alice, 100, proofOf(bob, 50));
    }

    function test_an_old_leaf_is_worth_nothing_under_the_new_root() public {
        activatePair(1, 100, 50);
        activatePair(2, 130, 50);
        refuse(abi.encodeWithSelector(IRewardDistributor.InvalidProof.selector, alice, 100));
        distributor.claim(alice, 100, proofOf(bob, 50));
    }

    function test_refuses_before_any_root() public {
        refuse(abi.encodeWithSelector(IRewardDistributor.InvalidProof.selector, alice, 1));
        distributor.claim(alice, 1, new bytes32[](0));
    }

    function test_refuses_anothers_amount_an_empty_proof_and_a_longer_proof() public {
        activatePair(1, 100, 50);
        refuse(abi.encodeWithSelector(IRewardDistributor.InvalidProof.selector, bob, 100));
        distributor.claim(bob, 100, proofOf(bob, 50));
        refuse(abi.encodeWithSelector(IRewardDistributor.InvalidProof.selector, alice, 100));
        distributor.claim(alice, 100, new bytes32[](0));
        bytes32[] memory longer = new bytes32[](2);
        longer[0] = proofOf(bob, 50)[0];
        refuse(abi.encodeWithSelector(IRewardDistributor.InvalidProof.selector, alice, 100));
        distributor.claim(alice, 100, longer);
    }

    /// A poster's lie about rootTotal cannot make it pay more than rootTotal.
    function test_refuses_leaves_that_sum_to_more_than_the_root_total() public {
        bytes32 root = Hashes.commutativeKeccak256(leafOf(alice, 100), leafOf(bob, 50));
        activate(1, root, 120);
        distributor.claim(alice, 100, proofOf(bob, 50));
        refuse(abi.encodeWithSelector(IRewardDistributor.ClaimAboveRootTotal.selector, 150, 120));
        distributor.claim(bob, 50, proofOf(alice, 100));
    }

    function test_only_the_account_or_its_claimer_sends_elsewhere() public {
        activatePair(1, 100, 50);
        bytes32[] memory proof = proofOf(bob, 50);
        refuse(abi.encodeWithSelector(IRewardDistributor.NotClaimer.selector, bob));
        vm.prank(bob);
        distributor.claimTo(alice, bob, 100, proof);
        vm.prank(alice);
        distributor.setClaimer(bob);
        vm.expectEmit();
        emit IRewardDistributor.Claimed(alice, 1, treasury, 100, 100, 100);
        vm.prank(bob);
        distributor.claimTo(alice, treasury, 100, proof);
        eq(token.balanceOf(treasury), 100, "recipient");
        refuse(abi.encodeWithSelector(IRewardDistributor.NothingToClaim.selector, alice, 100));
        vm.prank(alice);
        distributor.claimTo(alice, alice, 100, proof);
    }

    function test_claim_many_pays_each_its_own_and_skips_the_paid() public {
        activatePair(1, 100, 50);
        distributor.claim(alice, 100, proofOf(bob, 50));
        IRewardDistributor.ClaimItem[] memory items = new IRewardDistributor.ClaimItem[](3);
        items[0] = IRewardDistributor.ClaimItem(alice, 100, new bytes32[](0)); // Its proof is not looked at any more.
        items[1] = IRewardDistributor.ClaimItem(bob, 50, proofOf(alice, 100));
        items[2] = items[1];
        distributor.claimMany(items);
        eq(token.balanceOf(alice), 100, "alice once");
        eq(token.balanceOf(bob), 50, "bob once");
        items[2] = IRewardDistributor.ClaimItem(bob, 51, proofOf(alice, 100));
        refuse(abi.encodeWithSelector(IRewardDistributor.InvalidProof.selector, bob, 51));
        distributor.claimMany(items);
    }

    function testFuzz_no_other_amount_or_account_passes_with_a_proof(address account, uint128 cumulative) public {
        activatePair(1, 100, 50);
        vm.assume(cumulative > 0 && !(account == alice && cumulative == 100));
        refuse(abi.encodeWithSelector(IRewardDistributor.InvalidProof.selector, account, cumulative));
        distributor.claim(account, cumulative, proofOf(bob, 50));
    }
}
