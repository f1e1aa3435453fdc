// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IGovernor} from "@openzeppelin/contracts/governance/IGovernor.sol";
import {DaoSettings, DatanetDao, DatanetDaoFactory} from "../../src/DatanetDao.sol";
import {IDatanetAccess} from "../../src/interfaces/IDatanetAccess.sol";
import {IDatanetRegistry} from "../../src/interfaces/IDatanetRegistry.sol";
import {Base, vm} from "../Base.sol";

/// @notice A Datanet that belongs to who stakes in it: votes by stake, a quorum, a treasury.
contract DatanetDaoTest is Base {
    uint48 private constant DELAY = 3;
    uint32 private constant PERIOD = 10;
    uint8 private constant AGAINST = 0;
    uint8 private constant FOR = 1;
    uint8 private constant ABSTAIN = 2;

    address private alice = address(0xA11CE);
    address private bob = address(0xB0B);
    address private carol = address(0xCA401);
    bytes32 private scope;
    DatanetDao private dao;

    function setUp() public override {
        super.setUp();
        datanets.createDatanet("meta", "uri", params());
        scope = datanets.scopeOf(1);
        stake(alice, 600);
        stake(bob, 300);
        stake(carol, 100);
        dao = DatanetDao(payable(daos.create(settings())));
        datanets.transferOwnership(1, address(dao));
        pass(1);
    }

    function params() private pure returns (IDatanetRegistry.DatanetParams memory) {
        return IDatanetRegistry.DatanetParams(0, 100, 1 days, 5_000, 1_000, 500, 1_000);
    }

    function settings() private pure returns (DaoSettings memory) {
        return DaoSettings(1, DELAY, PERIOD, 5_001);
    }

    function stake(address who, uint128 amount) private {
        fund(who, address(vault), amount);
        vm.prank(who);
        vault.stake(scope, amount);
    }

    struct Action {
        address[] targets;
        uint256[] values;
        bytes[] calls;
    }

    function action(address target, bytes memory call_) private pure returns (Action memory made) {
        made = Action(new address[](1), new uint256[](1), new bytes[](1));
        made.targets[0] = target;
        made.calls[0] = call_;
    }

    function propose(Action memory made, string memory why) private returns (uint256 id) {
        vm.prank(alice);
        id = dao.propose(made.targets, made.values, made.calls, why);
    }

    function blocks(uint256 count) private {
        vm.roll(block.number + count);
        vm.warp(block.timestamp + 2 * count);
    }

    function cast(address who, uint256 id, uint8 support) private {
        vm.prank(who);
        dao.castVote(id, support);
    }

    function execute(Action memory made, string memory why) private {
        dao.execute(made.targets, made.values, made.calls, keccak256(bytes(why)));
    }

    function refuseExecution(Action memory made, string memory why, uint256 id, IGovernor.ProposalState state) private {
        bytes32 due = bytes32(uint256(1) << 4); // Succeeded.
        refuse(abi.encodeWithSelector(IGovernor.GovernorUnexpectedProposalState.selector, id, state, due));
        execute(made, why);
    }

    function test_stakers_change_the_parameters_of_new_batches_by_vote() public {
        IDatanetRegistry.DatanetParams memory next = params();
        next.quorumBps = 7_000;
        Action memory made = action(address(datanets), abi.encodeCall(datanets.updateParams, (1, next)));
        vm.prank(bob);
        uint64 running = datanets.submitContribution(1, "root", 1, 0, 0, "");
        uint256 id = propose(made, "stricter");
        blocks(DELAY + 1);
        cast(alice, id, FOR);
        cast(bob, id, AGAINST);
        refuseExecution(made, "stricter", id, IGovernor.ProposalState.Active);
        blocks(PERIOD);
        execute(made, "stricter");
        eq(datanets.paramsOf(1).quorumBps, 7_000, "changed");
        eq(datanets.batchOf(running).quorumBps, 5_000, "running batch keeps its own");
    }

    function test_the_treasury_is_funded_by_anyone_and_spent_by_vote() public {
        token.transfer(address(dao), 900);
        Action memory made = action(address(token), abi.encodeCall(token.transfer, (carol, 400)));
        uint256 id = propose(made, "pay the curator");
        blocks(DELAY + 1);
        cast(alice, id, FOR);
        blocks(PERIOD);
        uint256 before = token.balanceOf(carol);
        execute(made, "pay the curator");
        eq(token.balanceOf(carol) - before, 400, "paid");
        eq(token.balanceOf(address(dao)), 500, "rest");
        refuseExecution(made, "pay the curator", id, IGovernor.ProposalState.Executed);
    }

    function test_the_dao_grants_access_and_sets_the_rules() public {
        vm.prank(carol);
        datanets.requestAccess(1, "purpose", "to train");
        uint64 until = uint64(block.timestamp) + 30 days;
        Action memory made = Action(new address[](2), new uint256[](2), new bytes[](2));
        made.targets[0] = address(datanets);
        made.targets[1] = address(datanets);
        made.calls[0] = abi.encodeCall(datanets.grantAccess, (1, until, ""));
        made.calls[1] = abi.encodeCall(datanets.setRules, (1, "format", "rule"));
        uint256 id = propose(made, "both");
        blocks(DELAY + 1);
        cast(alice, id, FOR);
        blocks(PERIOD);
        execute(made, "both");
        vm.assertTrue(datanets.hasAccess(1, carol), "granted");
        (bytes32 format, bytes32 rule) = datanets.rulesOf(1);
        vm.assertTrue(format == "format" && rule == "rule", "rules");
    }

    function test_without_a_quorum_or_a_majority_nothing_passes() public {
        Action memory made = action(address(datanets), abi.encodeCall(datanets.setStatus, (1, 1)));
        uint256 few = propose(made, "few");
        uint256 tie = propose(made, "tie");
        uint256 abstained = propose(made, "abstained");
        eq(dao.quorum(block.number - 1), 501, "5,001 bps of 1,000, rounded up");
        blocks(DELAY + 1);
        cast(bob, few, FOR);
        cast(carol, few, FOR); // 400 of 1,000.
        cast(bob, tie, FOR);
        cast(alice, tie, ABSTAIN);
        cast(carol, abstained, FOR);
        cast(bob, abstained, AGAINST);
        cast(alice, abstained, ABSTAIN);
        blocks(PERIOD);
        refuseExecution(made, "few", few, IGovernor.ProposalState.Defeated);
        refuseExecution(made, "abstained", abstained, IGovernor.ProposalState.Defeated);
        execute(made, "tie"); // Abstentions count for the quorum alone.
        eq(datanets.statusOf(1), 1, "closed");
    }

    /// Stake for the vote, vote, leave: what was staked after the snapshot has no vote.
    function test_stake_that_came_after_the_snapshot_does_not_vote() public {
        Action memory made = action(address(token), abi.encodeCall(token.transfer, (bob, 1)));
        token.transfer(address(dao), 1);
        uint256 id = propose(made, "raid");
        blocks(DELAY + 1);
        address raider = address(0x4A1D);
        stake(raider, 1_000_000);
        blocks(1);
        cast(raider, id, FOR);
        (, uint256 forVotes,) = dao.proposalVotes(id);
        eq(forVotes, 0, "weightless");
        blocks(PERIOD);
        refuseExecution(made, "raid", id, IGovernor.ProposalState.Defeated);
    }

    /// No wei votes twice, in whichever account's name it is staked by then.
    function test_who_has_asked_for_his_stake_back_votes_no_more() public {
        Action memory made = action(address(datanets), abi.encodeCall(datanets.setStatus, (1, 1)));
        uint256 id = propose(made, "close");
        blocks(DELAY + 1);
        vm.prank(alice);
        vault.requestUnstake(scope);
        cast(alice, id, FOR);
        (, uint256 forVotes,) = dao.proposalVotes(id);
        eq(forVotes, 0, "leaving");
        pass(COOLDOWN);
        vm.startPrank(alice);
        vault.unstake(scope);
        token.transfer(bob, 600);
        vm.stopPrank();
        vm.startPrank(bob);
        token.approve(address(vault), 600);
        vault.stake(scope, 600);
        dao.castVote(id, FOR);
        vm.stopPrank();
        (, forVotes,) = dao.proposalVotes(id);
        eq(forVotes, 300, "his own of the snapshot");
    }

    function test_proposing_takes_the_stake_of_a_validator() public {
        Action memory made = action(address(datanets), abi.encodeCall(datanets.setStatus, (1, 1)));
        address small = address(0x511);
        stake(small, 99);
        blocks(1);
        refuse(abi.encodeWithSelector(IGovernor.GovernorInsufficientProposerVotes.selector, small, 99, 100));
        vm.prank(small);
        dao.propose(made.targets, made.values, made.calls, "small");
        vm.prank(carol);
        dao.propose(made.targets, made.values, made.calls, "carol has 100");
    }

    function test_a_dao_passes_everything_on_to_another() public {
        DaoSettings memory next = settings();
        next.quorumBps = 2_000;
        address successor = daos.create(next);
        token.transfer(address(dao), 900);
        Action memory made = Action(new address[](2), new uint256[](2), new bytes[](2));
        made.targets[0] = address(token);
        made.calls[0] = abi.encodeCall(token.transfer, (successor, 900));
        made.targets[1] = address(datanets);
        made.calls[1] = abi.encodeCall(datanets.transferOwnership, (1, successor));
        uint256 id = propose(made, "new quorum");
        blocks(DELAY + 1);
        cast(alice, id, FOR);
        blocks(PERIOD);
        execute(made, "new quorum");
        eq(datanets.ownerOf(1), successor, "Datanet");
        eq(token.balanceOf(successor), 900, "treasury");
    }

    function test_each_datanet_and_setting_has_one_address_known_beforehand() public {
        DaoSettings memory given = settings();
        eq(daos.daoOf(given), address(dao), "predicted");
        (bool isMade,) = address(daos).call(abi.encodeCall(daos.create, (given)));
        vm.assertTrue(!isMade, "once");
        given.votingPeriodBlocks = 11;
        address expected = daos.daoOf(given);
        vm.expectEmit();
        emit DatanetDaoFactory.DatanetDaoCreated(1, expected, given);
        eq(daos.create(given), expected, "made");
        DatanetDao made = DatanetDao(payable(expected));
        eq(made.datanetId(), 1, "Datanet");
        eq(made.settings().quorumBps, given.quorumBps, "quorum");
        eq(made.clock(), block.number, "time is told in blocks");
        eq(made.proposalThreshold(), params().minValidatorStake, "threshold");
        eq(made.votingPeriod(), 11, "period");
        eq(made.votingDelay(), DELAY, "delay");
        eq(keccak256(bytes(made.name())), keccak256("Tributary Datanet"), "name");
        eq(keccak256(bytes(made.CLOCK_MODE())), keccak256("mode=blocknumber&from=default"), "clock");
    }

    function test_refuses_settings_under_which_nothing_could_be_decided() public {
        DaoSettings memory given = settings();
        given.datanetId = 9;
        refuse(abi.encodeWithSelector(DatanetDaoFactory.UnknownDatanet.selector, 9));
        daos.create(given);
        for (uint256 i = 0; i < 4; i++) {
            given = settings();
            if (i == 0) given.votingDelayBlocks = 0;
            if (i == 1) given.votingPeriodBlocks = 0;
            if (i == 2) given.quorumBps = 0;
            if (i == 3) given.quorumBps = 10_001;
            refuse(abi.encodeWithSelector(DatanetDaoFactory.InvalidSettings.selector));
            daos.create(given);
        }
    }

    function test_nobody_acts_for_the_dao_without_a_vote() public {
        refuse(abi.encodeWithSelector(IGovernor.GovernorOnlyExecutor.selector, alice));
        vm.prank(alice);
        dao.relay(address(token), 0, abi.encodeCall(token.transfer, (alice, 1)));
        refuse(abi.encodeWithSelector(IDatanetAccess.NotDatanetOwner.selector, address(this)));
        datanets.setStatus(1, 1);
    }
}
