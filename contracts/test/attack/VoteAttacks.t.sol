// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IDatanetRegistry} from "../../src/interfaces/IDatanetRegistry.sol";
import {ModelRegistry} from "../../src/ModelRegistry.sol";
import {Base, vm} from "../Base.sol";

/// @notice Attacks on votes and upgrades. contracts/test/README.md says which finding each answers.
contract VoteAttacksTest is Base {
    address private alice = address(0xA11CE);
    address private sybil = address(0x5B11);
    address private bob = address(0xB0B);
    address private voter = address(0x507E);

    function stake(address account, uint128 amount) private {
        fund(account, address(vault), amount);
        bytes32 scope = datanets.scopeOf(1);
        vm.prank(account);
        vault.stake(scope, amount);
    }

    /// The same tokens under a second name weigh nothing: only what was staked before the submission counts.
    function test_tokens_that_voted_cannot_leave_and_vote_again() public {
        datanets.createDatanet("meta", "uri", IDatanetRegistry.DatanetParams(0, 1, 5 days, 0, 0, 0, 0));
        stake(alice, 100);
        stake(bob, 1_000);
        pass(1);
        vm.prank(bob);
        uint64 batchId = datanets.submitContribution(1, "root", 1, 0, 0, "");
        pass(1);
        vm.prank(alice);
        datanets.vote(batchId, true, 1);
        bytes32 scope = datanets.scopeOf(1);
        vm.prank(alice);
        vault.requestUnstake(scope);
        pass(COOLDOWN);
        vm.prank(alice);
        vault.unstake(scope);
        vm.prank(alice);
        token.transfer(sybil, 100);
        stake(sybil, 100);
        vm.prank(sybil);
        (bool hasVoted,) = address(datanets).call(abi.encodeCall(datanets.vote, (batchId, true, 1)));
        vm.assertTrue(!hasVoted, "no weight");
        eq(datanets.batchOf(batchId).forW, 100, "once");
    }

    /// Stake that was asked back before the vote, but still lies in the vault, has no say either.
    function test_stake_on_its_way_out_does_not_vote() public {
        datanets.createDatanet("meta", "uri", IDatanetRegistry.DatanetParams(0, 1, 5 days, 0, 0, 0, 0));
        stake(alice, 100);
        stake(bob, 1_000);
        pass(1);
        vm.prank(bob);
        uint64 batchId = datanets.submitContribution(1, "root", 1, 0, 0, "");
        bytes32 scope = datanets.scopeOf(1);
        vm.prank(alice);
        vault.requestUnstake(scope);
        pass(1);
        vm.prank(alice);
        (bool hasVoted,) = address(datanets).call(abi.encodeCall(datanets.vote, (batchId, true, 1)));
        vm.assertTrue(!hasVoted, "no weight");
    }

    /// Someone else who proposes a protected description first does not take its id.
    function test_a_proposal_cannot_be_taken_and_cancelled_by_who_saw_it_first() public {
        token.transfer(voter, token.SUPPLY() / 10);
        vm.prank(voter);
        token.delegate(voter);
        token.transfer(sybil, token.SUPPLY() / 10);
        vm.prank(sybil);
        token.delegate(sybil);
        pass(1);
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) = upgradeCall();
        string memory mine = "mine#proposer=0x000000000000000000000000000000000000507e";
        vm.prank(sybil);
        (bool isTaken,) = address(governor).call(abi.encodeCall(governor.propose, (targets, values, calls, mine)));
        vm.assertTrue(!isTaken, "the description names its proposer");
        vm.prank(voter);
        uint256 id = governor.propose(targets, values, calls, mine);
        vm.prank(sybil);
        (bool isCancelled,) =
            address(governor).call(abi.encodeCall(governor.cancel, (targets, values, calls, keccak256(bytes(mine)))));
        vm.assertTrue(!isCancelled, "only its proposer cancels");
        eq(uint256(governor.state(id)), 0, "pending");
    }

    /// Tokens bought after a proposal began do not vote on it, and its quorum is that of its beginning.
    function test_neither_votes_nor_quorum_change_after_a_proposal_began() public {
        token.transfer(voter, token.SUPPLY() / 10);
        vm.prank(voter);
        token.delegate(voter);
        pass(1);
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) = upgradeCall();
        vm.prank(voter);
        uint256 id = governor.propose(targets, values, calls, "why");
        uint256 snapshot = governor.proposalSnapshot(id);
        pass(1 days + 1);
        uint256 quorum = governor.quorum(snapshot);
        uint256 tenth = token.SUPPLY() / 10;
        vm.prank(voter);
        token.transfer(sybil, tenth);
        vm.prank(sybil);
        token.delegate(sybil);
        token.burn(5 * tenth);
        pass(1);
        eq(governor.quorum(snapshot), quorum, "quorum");
        vm.prank(sybil);
        eq(governor.castVote(id, 1), 0, "weight of who came later");
        vm.prank(voter);
        eq(governor.castVote(id, 1), tenth, "weight of who was there");
    }

    /// A proxy without its initial call would be anyone's to initialise; ours have nothing to initialise.
    function test_nobody_initialises_a_registry() public {
        string[3] memory tries = ["initialize()", "initialize(address)", "initialize(address,address)"];
        for (uint256 i = 0; i < tries.length; i++) {
            bytes memory call_ = abi.encodeWithSignature(tries[i], address(this), address(this));
            (bool isDone,) = address(models).call(call_);
            (bool isDoneToo,) = address(datanets).call(call_);
            vm.assertTrue(!isDone && !isDoneToo, tries[i]);
        }
        address code = address(new ModelRegistry(datanets, address(timelock)));
        (bool isUpgraded,) = address(models).call(abi.encodeCall(models.upgradeToAndCall, (code, "")));
        vm.assertTrue(!isUpgraded, "not by anyone");
    }

    function upgradeCall()
        private
        view
        returns (address[] memory targets, uint256[] memory values, bytes[] memory calls)
    {
        targets = new address[](1);
        values = new uint256[](1);
        calls = new bytes[](1);
        targets[0] = address(permissions);
        calls[0] = abi.encodeCall(permissions.grantRole, (permissions.POSTER(), voter, 0));
    }
}
