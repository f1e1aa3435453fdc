// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IGovernor} from "@openzeppelin/contracts/governance/IGovernor.sol";
import {DatanetRegistry} from "../../src/DatanetRegistry.sol";
import {IAttributionLedger} from "../../src/interfaces/IAttributionLedger.sol";
import {IChannelEscrow} from "../../src/interfaces/IChannelEscrow.sol";
import {IDatanetRegistry} from "../../src/interfaces/IDatanetRegistry.sol";
import {ISettlementHub} from "../../src/interfaces/ISettlementHub.sol";
import {ModelRegistry} from "../../src/ModelRegistry.sol";
import {GuardedIntake, Permissioned} from "../../src/Permissioned.sol";
import {Upgradeable} from "../../src/Upgradeable.sol";
import {Base, vm} from "../Base.sol";

contract GovernanceTest is Base {
    address private voter = address(0x507E);

    /// One decision of the holders, from proposal to execution.
    function decide(address target, bytes memory call_) private {
        (uint256 id, address[] memory targets, uint256[] memory values, bytes[] memory calls) = propose(target, call_);
        vm.assertTrue(governor.proposalNeedsQueuing(id), "by way of the timelock");
        pass(1 days + 1);
        vm.prank(voter);
        governor.castVote(id, 1);
        pass(8 days);
        bytes32 description = keccak256("why");
        governor.queue(targets, values, calls, description);
        pass(TIMELOCK_DELAY);
        governor.execute(targets, values, calls, description);
    }

    function propose(address target, bytes memory call_)
        private
        returns (uint256 id, address[] memory targets, uint256[] memory values, bytes[] memory calls)
    {
        (targets, values, calls) = (new address[](1), new uint256[](1), new bytes[](1));
        targets[0] = target;
        calls[0] = call_;
        token.transfer(voter, token.SUPPLY() / 20);
        vm.prank(voter);
        token.delegate(voter);
        pass(1);
        vm.prank(voter);
        id = governor.propose(targets, values, calls, "why");
    }

    function test_the_deployer_holds_no_role_and_the_timelock_is_the_only_admin() public view {
        for (uint64 role = 0; role <= 3; role++) {
            (bool isMember,) = permissions.hasRole(role, address(this));
            vm.assertTrue(!isMember, "deployer");
        }
        (bool isAdmin,) = permissions.hasRole(permissions.ADMIN_ROLE(), address(timelock));
        vm.assertTrue(isAdmin, "timelock");
        bytes32 admin = timelock.DEFAULT_ADMIN_ROLE();
        vm.assertTrue(!timelock.hasRole(admin, address(this)), "no admin of the timelock but itself");
        vm.assertTrue(timelock.hasRole(admin, address(timelock)), "itself");
        vm.assertTrue(timelock.hasRole(timelock.PROPOSER_ROLE(), address(governor)), "the governor proposes");
        vm.assertTrue(!timelock.hasRole(timelock.PROPOSER_ROLE(), address(this)), "nobody else");
        vm.assertTrue(timelock.hasRole(timelock.EXECUTOR_ROLE(), address(0)), "anyone executes");
    }

    function test_nobody_but_the_timelock_upgrades_a_registry_until_it_is_switched_off_for_good() public {
        address code = address(new ModelRegistry(datanets, address(timelock)));
        refuse(abi.encodeWithSelector(Upgradeable.NotUpgrader.selector, address(this)));
        models.upgradeToAndCall(code, "");
        refuse(abi.encodeWithSelector(Upgradeable.NotUpgrader.selector, guardian));
        vm.prank(guardian);
        models.revokeUpgradeability();
        vm.prank(address(timelock));
        models.upgradeToAndCall(code, "");
        vm.prank(address(timelock));
        models.revokeUpgradeability();
        vm.assertTrue(!models.isUpgradeable(), "off");
        vm.assertTrue(datanets.isUpgradeable(), "each by itself");
        refuse(abi.encodeWithSelector(Upgradeable.NotUpgradeable.selector));
        vm.prank(address(timelock));
        models.upgradeToAndCall(code, "");
        refuse(abi.encodeWithSignature("UUPSUnauthorizedCallContext()"));
        vm.prank(address(timelock));
        ModelRegistry(code).revokeUpgradeability();
    }

    function test_an_upgrade_by_vote_keeps_what_was_registered() public {
        IDatanetRegistry.DatanetParams memory params =
            IDatanetRegistry.DatanetParams(0, 1, 1 days, 1_000, 1_000, 0, 0);
        datanets.createDatanet("meta", "uri", params);
        address code = address(new DatanetRegistry(vault, ledger, address(permissions), address(timelock)));
        decide(address(datanets), abi.encodeCall(datanets.upgradeToAndCall, (code, "")));
        eq(datanets.ownerOf(1), address(this), "kept");
        eq(datanets.datanetCount(), 1, "count");
    }

    function test_a_vote_replaces_the_poster() public {
        address next = address(0x905E);
        uint64 role = permissions.POSTER();
        decide(address(permissions), abi.encodeCall(permissions.grantRole, (role, next, 0)));
        (bool isMember,) = permissions.hasRole(role, next);
        vm.assertTrue(isMember, "by vote");
        refuse(abi.encodeWithSignature("AccessManagerUnauthorizedAccount(address,uint64)", address(this), 0));
        permissions.grantRole(role, address(this), 0);
    }

    function test_the_governors_own_terms_change_by_vote_alone() public {
        refuse(abi.encodeWithSelector(IGovernor.GovernorOnlyExecutor.selector, voter));
        vm.prank(voter);
        governor.setProposalThreshold(1);
        decide(address(governor), abi.encodeCall(governor.setProposalThreshold, (1)));
        eq(governor.proposalThreshold(), 1, "by vote");
    }

    function test_a_proposer_takes_a_proposal_back_before_the_vote_begins() public {
        (uint256 id, address[] memory targets, uint256[] memory values, bytes[] memory calls) =
            propose(address(governor), abi.encodeCall(governor.setProposalThreshold, (1)));
        vm.prank(voter);
        governor.cancel(targets, values, calls, keccak256("why"));
        eq(uint256(governor.state(id)), uint256(IGovernor.ProposalState.Canceled), "taken back");
    }

    function test_a_quorum_reached_late_leaves_the_others_a_day_to_answer() public {
        (uint256 id,,,) = propose(address(governor), abi.encodeCall(governor.setProposalThreshold, (1)));
        eq(governor.proposalDeadline(id), block.timestamp + 8 days, "a day of delay, a week of votes");
        pass(8 days - 1);
        vm.prank(voter);
        governor.castVote(id, 1);
        eq(governor.proposalDeadline(id), block.timestamp + 1 days, "a day from the quorum");
    }

    function test_the_guardian_closes_the_doors_for_new_work_and_they_open_by_themselves() public {
        refuse(abi.encodeWithSelector(Permissioned.NotPermitted.selector, address(this)));
        ledger.pauseIntake(1);
        uint64 max = 7 days;
        refuse(abi.encodeWithSelector(GuardedIntake.PauseTooLong.selector, max + 1, max));
        vm.prank(guardian);
        hub.pauseIntake(max + 1);
        uint64 until = uint64(block.timestamp) + max;
        vm.expectEmit();
        emit GuardedIntake.IntakePaused(guardian, until);
        vm.prank(guardian);
        hub.pauseIntake(max);
        vm.prank(guardian);
        ledger.pauseIntake(max);
        refuse(abi.encodeWithSelector(GuardedIntake.IntakeIsPaused.selector, until));
        submitNothing();
        IAttributionLedger.EpochHeader memory header;
        refuse(abi.encodeWithSelector(GuardedIntake.IntakeIsPaused.selector, until));
        vm.prank(poster);
        ledger.propose(1, header, "");
        vm.warp(until);
        refuse(abi.encodeWithSelector(ISettlementHub.NotNode.selector, address(this)));
        submitNothing();
        vm.prank(guardian);
        ledger.pauseIntake(1 days);
        refuse(abi.encodeWithSelector(Permissioned.NotPermitted.selector, poster));
        vm.prank(poster);
        ledger.resumeIntake();
        vm.prank(guardian);
        ledger.resumeIntake();
        refuse(abi.encodeWithSelector(IAttributionLedger.ZeroRoot.selector));
        vm.prank(poster);
        ledger.propose(1, header, "");
    }

    function submitNothing() private {
        IChannelEscrow.CompactClaim[] memory claims;
        hub.submitBatch(address(this), claims, new bytes[](0), new ISettlementHub.ModelTotal[](0), "r", "c", "");
    }

    /// Claims, exits, bonds and rulings have no door.
    function test_a_pause_holds_up_nobody_who_wants_out() public {
        token.approve(address(distributor), 100);
        distributor.fund(100);
        fund(poster, address(ledger), BOND);
        bytes32 leaf = distributor.leafOf(voter, 60);
        IAttributionLedger.EpochHeader memory header = IAttributionLedger.EpochHeader(
            leaf, "a", 0, 100, 0, uint64(block.number) - 1, 0, 0, keccak256("")
        );
        vm.prank(poster);
        ledger.propose(1, header, "");
        vm.startPrank(guardian);
        ledger.pauseIntake(7 days);
        hub.pauseIntake(7 days);
        vm.stopPrank();
        pass(WINDOW);
        ledger.finalize(1, header);
        distributor.claim(voter, 60, new bytes32[](0));
        eq(token.balanceOf(voter), 60, "claimed");
        vm.prank(poster);
        ledger.withdrawBond();
        eq(token.balanceOf(poster), BOND, "bond");
    }

    function test_governor_terms_are_those_of_the_deployment() public view {
        eq(governor.votingDelay(), 1 days, "delay");
        eq(governor.votingPeriod(), 7 days, "period");
        eq(governor.proposalThreshold(), 10_000 ether, "threshold");
        eq(governor.quorum(block.timestamp - 1), 0, "4 % of what was there then: nothing");
        eq(governor.quorumNumerator(), 4, "quorum");
        eq(keccak256(bytes(governor.CLOCK_MODE())), keccak256("mode=timestamp"), "clock");
        eq(timelock.getMinDelay(), TIMELOCK_DELAY, "timelock");
    }
}
