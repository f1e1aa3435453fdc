// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IDatanetRegistry} from "../../src/interfaces/IDatanetRegistry.sol";
import {IModelCurve} from "../../src/interfaces/IModelCurve.sol";
import {IModelProposals} from "../../src/interfaces/IModelProposals.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {ModelCurve} from "../../src/ModelCurve.sol";
import {Base, vm} from "../Base.sol";

contract ModelProposalsTest is Base {
    address private alice = address(0xA11CE);
    address private bob = address(0xB0B);
    address private carol = address(0xCA401);
    bytes32 private modelId;

    function setUp() public override {
        super.setUp();
        datanets.createDatanet("meta", "uri", IDatanetRegistry.DatanetParams(0, 1, 1 days, 0, 0, 0, 0));
        fund(alice, address(proposals), 10 * BOND);
        fund(bob, address(proposals), 10 * BOND);
        vote_(carol, token.SUPPLY() / 25); // A quorum: 4 %.
        vote_(bob, token.SUPPLY() / 50);
        pass(1);
        IModelRegistry.ModelParams memory params;
        params.ownerBps = 10_000;
        vm.prank(alice);
        modelId = models.registerModel("m", 0, params, new IModelRegistry.Parent[](0));
    }

    function vote_(address account, uint256 amount) private {
        token.transfer(account, amount);
        vm.prank(account);
        token.delegate(account);
    }

    function spec() private pure returns (IModelProposals.Spec memory) {
        IModelCurve.CurveParams memory curve = IModelCurve.CurveParams(1e18, 1e15, 1_000, 100);
        return IModelProposals.Spec("spec", "ipfs://spec", 1, "Model", "MDL", curve);
    }

    function propose() private returns (uint64) {
        vm.prank(alice);
        return proposals.propose(spec());
    }

    function cast(address voter, bool support) private {
        vm.prank(voter);
        proposals.vote(1, support);
    }

    function stateOf(uint64 proposalId) private view returns (uint8 state) {
        (,, state,,,,) = proposals.proposalOf(proposalId);
    }

    function accept() private {
        propose();
        cast(carol, true);
        pass(VOTING_PERIOD);
        proposals.resolve(1);
    }

    function report() private {
        vm.prank(bob);
        proposals.report(modelId, "evidence");
    }

    function stake(address account, uint128 amount) private {
        fund(account, address(vault), amount);
        bytes32 scope = proposals.scopeOf(modelId);
        vm.prank(account);
        vault.stake(scope, amount);
    }

    function test_a_proposal_names_a_datanet_that_exists_or_none() public {
        IModelProposals.Spec memory given = spec();
        given.datanetId = 2;
        refuse(abi.encodeWithSelector(IModelProposals.UnknownDatanet.selector, 2));
        vm.prank(alice);
        proposals.propose(given);
        given.datanetId = 0;
        vm.prank(alice);
        eq(proposals.propose(given), 1, "of none");
    }

    function test_an_accepted_proposal_gets_its_bond_back_and_its_curve() public {
        vm.expectEmit();
        emit IModelProposals.ModelProposed(1, alice, spec(), BOND, uint64(block.timestamp) + VOTING_PERIOD);
        propose();
        vm.expectEmit();
        uint128 weight = uint128(token.SUPPLY() / 25);
        emit IModelProposals.ModelProposalVote(1, carol, true, weight, weight, 0);
        cast(carol, true);
        cast(bob, false);
        refuse(abi.encodeWithSelector(IModelProposals.VotingOpen.selector, uint64(block.timestamp) + VOTING_PERIOD));
        proposals.resolve(1);
        pass(VOTING_PERIOD);
        proposals.resolve(1);
        eq(stateOf(1), 2, "accepted");
        vm.prank(alice);
        proposals.withdrawBond();
        eq(token.balanceOf(alice), 10 * BOND, "bond");
        vm.prank(alice);
        ModelCurve curve = ModelCurve(proposals.deployCurve(1, modelId, spec()));
        eq(stateOf(1), 5, "deployed");
        eq(curve.beneficiary(), alice, "beneficiary");
        eq(curve.reserveAt(10 ether), 10.05 ether, "as proposed");
        refuse(abi.encodeWithSelector(IModelProposals.WrongState.selector, 5, 2));
        vm.prank(alice);
        proposals.deployCurve(1, modelId, spec());
    }

    function test_a_rejected_proposal_loses_half_its_bond() public {
        propose();
        cast(carol, false);
        pass(VOTING_PERIOD);
        proposals.resolve(1);
        eq(stateOf(1), 3, "rejected");
        eq(proposals.bondCredit(alice), 500, "half");
        eq(token.totalSupply(), token.SUPPLY() - 501, "burned");
    }

    function test_without_a_quorum_a_proposal_lapses_and_keeps_its_bond() public {
        propose();
        cast(bob, false);
        pass(VOTING_PERIOD);
        proposals.resolve(1);
        eq(stateOf(1), 4, "lapsed");
        eq(proposals.bondCredit(alice), BOND, "bond");
    }

    /// What is bought or borrowed once the vote is known counts nothing.
    function test_votes_are_those_of_before_the_proposal_and_count_once() public {
        propose();
        vote_(address(this), token.balanceOf(address(this)));
        refuse(abi.encodeWithSelector(IModelProposals.NoVotes.selector, address(this)));
        proposals.vote(1, true);
        cast(carol, true);
        refuse(abi.encodeWithSelector(IModelProposals.AlreadyVoted.selector, carol));
        cast(carol, true);
        pass(VOTING_PERIOD);
        refuse(abi.encodeWithSelector(IModelProposals.VotingClosed.selector, uint64(block.timestamp)));
        cast(bob, true);
        refuse(abi.encodeWithSelector(IModelProposals.UnknownProposal.selector, 2));
        proposals.vote(2, true);
    }

    function test_only_the_proposer_deploys_what_he_proposed_for_a_model_of_his() public {
        accept();
        refuse(abi.encodeWithSelector(IModelProposals.NotProposer.selector, bob));
        vm.prank(bob);
        proposals.deployCurve(1, modelId, spec());
        refuse(abi.encodeWithSelector(IModelProposals.NotModelOwner.selector, alice));
        vm.prank(alice);
        proposals.deployCurve(1, "other", spec());
        IModelProposals.Spec memory other = spec();
        other.curve.feeBps = 1_000;
        bytes32 given = keccak256(abi.encode(other));
        bytes32 expected = keccak256(abi.encode(spec()));
        refuse(abi.encodeWithSelector(IModelProposals.SpecMismatch.selector, given, expected));
        vm.prank(alice);
        proposals.deployCurve(1, modelId, other);
    }

    function test_an_upheld_report_slashes_who_staked_before_it_once_each() public {
        stake(alice, 1_000);
        pass(1);
        report();
        stake(carol, 1_000);
        vm.prank(arbiter);
        proposals.resolveReport(1, true);
        vm.expectEmit();
        emit IModelProposals.ModelPenalised(1, modelId, alice, 500);
        eq(proposals.penalise(1, alice), 500, "half");
        eq(token.balanceOf(bob) - token.SUPPLY() / 50, 10 * BOND - BOND + 100, "a fifth to the reporter");
        eq(proposals.bondCredit(bob), BOND, "bond back");
        refuse(abi.encodeWithSelector(IModelProposals.AlreadyPenalised.selector, alice));
        proposals.penalise(1, alice);
        refuse(abi.encodeWithSelector(IModelProposals.NothingToPenalise.selector, carol));
        proposals.penalise(1, carol);
    }

    function test_a_rejected_report_pays_half_its_bond_to_the_models_owner() public {
        report();
        refuse(abi.encodeWithSelector(IModelProposals.NotArbiter.selector, alice));
        vm.prank(alice);
        proposals.resolveReport(1, false);
        vm.prank(arbiter);
        proposals.resolveReport(1, false);
        eq(proposals.bondCredit(alice), 500, "owner");
        eq(proposals.bondCredit(bob), 0, "reporter");
        eq(token.totalSupply(), token.SUPPLY() - 501, "burned");
        refuse(abi.encodeWithSelector(IModelProposals.WrongState.selector, 3, 2));
        proposals.penalise(1, alice);
    }

    function test_nobody_wins_by_a_report_that_is_not_ruled_on() public {
        report();
        uint64 rulingEnd = uint64(block.timestamp) + ARBITRATION;
        refuse(abi.encodeWithSelector(IModelProposals.RulingOpen.selector, rulingEnd));
        proposals.expireReport(1);
        vm.warp(rulingEnd);
        refuse(abi.encodeWithSelector(IModelProposals.RulingClosed.selector, rulingEnd));
        vm.prank(arbiter);
        proposals.resolveReport(1, true);
        proposals.expireReport(1);
        eq(proposals.bondCredit(bob), 500, "reporter");
        eq(proposals.bondCredit(alice), 0, "owner");
        eq(token.totalSupply(), token.SUPPLY() - 501, "burned");
    }

    function test_refuses_reports_of_no_model_or_with_too_much_evidence() public {
        refuse(abi.encodeWithSelector(IModelProposals.UnknownModel.selector, bytes32("none")));
        proposals.report("none", "");
        refuse(abi.encodeWithSelector(IModelProposals.EvidenceTooLarge.selector, 16_385, 16_384));
        proposals.report(modelId, new bytes(16_385));
        refuse(abi.encodeWithSelector(IModelProposals.UnknownReport.selector, 1));
        proposals.penalise(1, alice);
        refuse(abi.encodeWithSelector(IModelProposals.NothingToWithdraw.selector));
        proposals.withdrawBond();
    }
}
