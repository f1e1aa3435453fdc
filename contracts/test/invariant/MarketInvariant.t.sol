// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IModelCurve} from "../../src/interfaces/IModelCurve.sol";
import {IModelProposals} from "../../src/interfaces/IModelProposals.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {vm} from "../Base.sol";
import {Actions} from "./Actions.sol";

/// @notice Models with their lineage, proposals and reports on them, with several actors and passing time.
contract MarketInvariantTest is Actions {
    uint256 private constant MODELS_MAX = 24;
    bytes32[] private modelIds;
    mapping(bytes32 modelId => uint256) private shadowDepth;
    uint256 private bondsIn;
    uint256 private bondsOut;
    uint256 private burned;

    function setUp() public override {
        super.setUp();
        for (uint256 i = 0; i < ACTORS; i++) {
            token.transfer(actor(i), token.SUPPLY() / 20);
            vm.startPrank(actor(i));
            token.delegate(actor(i));
            token.approve(address(proposals), type(uint256).max);
            vm.stopPrank();
        }
        pass(1);
    }

    function actions() internal pure override returns (bytes4[] memory selectors) {
        selectors = new bytes4[](9);
        selectors[0] = this.register.selector;
        selectors[1] = this.propose.selector;
        selectors[2] = this.vote.selector;
        selectors[3] = this.resolve.selector;
        selectors[4] = this.report.selector;
        selectors[5] = this.resolveReport.selector;
        selectors[6] = this.expireReport.selector;
        selectors[7] = this.withdrawBond.selector;
        selectors[8] = this.wait_.selector;
    }

    /// Invariant 19: accepted exactly where well-formed.
    function register(uint256 who, uint256 seed, uint16 weightBps) external {
        if (modelIds.length >= MODELS_MAX) return;
        (IModelRegistry.Parent[] memory parents, uint256 depth) = parentsBy(seed, weightBps);
        IModelRegistry.ModelParams memory params;
        params.ownerBps = parents.length == 0 ? 10_000 : 5_000;
        params.artifactHash = bytes32(modelIds.length + 1);
        uint8 kind = parents.length == 0 ? 0 : parents.length == 1 ? 2 : 4;
        bytes memory call_ = abi.encodeCall(models.registerModel, ("m", kind, params, parents));
        bool isDone = attempt(actor(who), address(models), call_);
        vm.assertTrue(isDone == (isWellFormed(parents, weightBps) && depth <= 16), "as it should");
        if (!isDone) return;
        bytes32 modelId = keccak256(abi.encode(actor(who), params.artifactHash, "m"));
        shadowDepth[modelId] = depth;
        modelIds.push(modelId);
    }

    /// None, one or two of the models there are; often the newest, so that lineages grow deep.
    function parentsBy(uint256 seed, uint16 weightBps)
        private
        view
        returns (IModelRegistry.Parent[] memory parents, uint256 depth)
    {
        uint256 count = modelIds.length;
        parents = new IModelRegistry.Parent[](count == 0 ? 0 : seed % 3);
        for (uint256 i = 0; i < parents.length; i++) {
            uint256 index = (seed >> 8) % 2 == 0 ? count - 1 - (i % count) : ((seed >> 16) + i) % count;
            parents[i].modelId = modelIds[index];
            parents[i].weightBps = i == 0 ? weightBps : 10_000 - (weightBps % 10_000);
            if (parents.length == 1) parents[i].weightBps = 10_000;
            uint256 below = shadowDepth[parents[i].modelId] + 1;
            if (below > depth) depth = below;
        }
    }

    function isWellFormed(IModelRegistry.Parent[] memory parents, uint16 weightBps) private pure returns (bool) {
        if (parents.length < 2) return true;
        return parents[0].modelId != parents[1].modelId && weightBps > 0 && weightBps < 10_000;
    }

    function propose(uint256 who) external {
        IModelCurve.CurveParams memory curve = IModelCurve.CurveParams(1e18, 1e15, 1_000, 100);
        vm.prank(actor(who));
        proposals.propose(IModelProposals.Spec("spec", "uri", 0, "Model", "MDL", curve));
        bondsIn += BOND;
    }

    function vote(uint256 who, uint64 id, bool support) external {
        if (proposals.proposalCount() == 0) return;
        attempt(actor(who), address(proposals), abi.encodeCall(proposals.vote, (proposalAt(id), support)));
    }

    function resolve(uint64 id) external {
        if (proposals.proposalCount() == 0) return;
        (, uint64 voteEnd, uint8 state,,,,) = proposals.proposalOf(proposalAt(id));
        bytes memory call_ = abi.encodeCall(proposals.resolve, (proposalAt(id)));
        bool isDone = attempt(actor(0), address(proposals), call_);
        vm.assertTrue(isDone == (state == 1 && block.timestamp >= voteEnd), "once, after the vote");
        if (!isDone) return;
        (,, state,,,,) = proposals.proposalOf(proposalAt(id));
        if (state == 3) burned += BOND - BOND / 2;
    }

    function report(uint256 who, uint256 model) external {
        if (modelIds.length == 0) return;
        vm.prank(actor(who));
        proposals.report(modelIds[model % modelIds.length], "evidence");
        bondsIn += BOND;
    }

    function resolveReport(uint64 id, bool upheld) external {
        if (proposals.reportCount() == 0) return;
        (,, uint64 rulingEnd, uint8 state,,) = proposals.reportOf(reportAt(id));
        bytes memory call_ = abi.encodeCall(proposals.resolveReport, (reportAt(id), upheld));
        bool isDone = attempt(arbiter, address(proposals), call_);
        vm.assertTrue(isDone == (state == 1 && block.timestamp < rulingEnd), "before the timeout");
        if (isDone && !upheld) burned += BOND - BOND / 2;
    }

    function expireReport(uint64 id) external {
        if (proposals.reportCount() == 0) return;
        (,, uint64 rulingEnd, uint8 state,,) = proposals.reportOf(reportAt(id));
        bytes memory call_ = abi.encodeCall(proposals.expireReport, (reportAt(id)));
        bool isDone = attempt(actor(0), address(proposals), call_);
        vm.assertTrue(isDone == (state == 1 && block.timestamp >= rulingEnd), "after the timeout");
        if (isDone) burned += BOND - BOND / 2;
    }

    function withdrawBond(uint256 who) external {
        uint128 credit = proposals.bondCredit(actor(who));
        bytes memory call_ = abi.encodeCall(proposals.withdrawBond, ());
        vm.assertTrue(attempt(actor(who), address(proposals), call_) == (credit > 0), "its credit");
        bondsOut += credit;
    }

    function invariant_every_bond_of_proposals_and_reports_is_held_withdrawn_or_burned() public view {
        uint256 held = token.balanceOf(address(proposals));
        eq(bondsIn, held + bondsOut + burned, "bonds");
        eq(token.totalSupply() + burned, token.SUPPLY(), "supply");
        uint256 owed;
        for (uint256 i = 0; i < ACTORS; i++) {
            owed += proposals.bondCredit(actor(i));
        }
        for (uint64 id = 1; id <= proposals.proposalCount(); id++) {
            (,, uint8 state,,,,) = proposals.proposalOf(id);
            if (state == 1) owed += BOND;
        }
        for (uint64 id = 1; id <= proposals.reportCount(); id++) {
            (,,, uint8 state,,) = proposals.reportOf(id);
            if (state == 1) owed += BOND;
        }
        eq(held, owed, "credits and open bonds");
    }

    function invariant_votes_on_proposals_never_exceed_the_supply() public view {
        for (uint64 id = 1; id <= proposals.proposalCount(); id++) {
            (,,, uint128 forW, uint128 againstW,,) = proposals.proposalOf(id);
            vm.assertLe(uint256(forW) + againstW, token.SUPPLY(), "votes");
        }
    }

    /// Acyclic: a model lies deeper than each of its parents, which were there before it.
    function invariant_lineage_is_at_most_sixteen_deep_and_grows_downwards() public view {
        for (uint256 i = 0; i < modelIds.length; i++) {
            uint8 depth = models.depthOf(modelIds[i]);
            eq(depth, shadowDepth[modelIds[i]], "depth");
            vm.assertLe(depth, 16, "bounded");
        }
    }

    function proposalAt(uint64 index) private view returns (uint64) {
        return 1 + (index % proposals.proposalCount());
    }

    function reportAt(uint64 index) private view returns (uint64) {
        return 1 + (index % proposals.reportCount());
    }
}
