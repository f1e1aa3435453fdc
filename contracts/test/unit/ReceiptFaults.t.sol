// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {IChannelEscrow} from "../../src/interfaces/IChannelEscrow.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {IReceiptFaults} from "../../src/interfaces/IReceiptFaults.sol";
import {ISettlementHub} from "../../src/interfaces/ISettlementHub.sol";
import {IStakeVault} from "../../src/interfaces/IStakeVault.sol";
import {Base, vm} from "../Base.sol";

/// @notice A node with a stake of 1,000 that settled one batch of two receipts, of 100 each.
contract ReceiptFaultsTest is Base {
    uint256 private constant PAYER_KEY = 0xBEEF;
    uint256 private constant NODE_KEY = 0x0DE;
    uint256 private constant OTHER_KEY = 0x0DE2;
    address private payer = vm.addr(PAYER_KEY);
    address private node = vm.addr(NODE_KEY);
    address private alice = address(0xA11CE);
    bytes32 private modelId;
    bytes32 private root;

    function setUp() public override {
        super.setUp();
        IModelRegistry.ModelParams memory params;
        params.ownerBps = 10_000;
        params.pricePerCall = 100;
        modelId = models.registerModel("m", 0, params, new IModelRegistry.Parent[](0));
        vm.prank(node);
        models.registerServingNode(node, 0, "http://node");
        token.approve(address(vault), 1_000);
        vault.stakeFor(hub.nodeScopeOf(node), node, 1_000);
        fund(payer, address(escrow), 1_000);
        vm.prank(payer);
        escrow.openChannel(config(), 1_000);
        fund(alice, address(hub), 10 * FAULT_BOND);
        root = Hashes.commutativeKeccak256(leafOf(receipt(1)), leafOf(receipt(2)));
        settle(200, 2, root);
    }

    function config() private view returns (IChannelEscrow.ChannelConfig memory) {
        return IChannelEscrow.ChannelConfig(payer, address(0), address(hub), node, address(token), 1 hours, "s");
    }

    function settle(uint128 total, uint32 calls, bytes32 receiptsRoot) private {
        (, uint128 before) = escrow.channels(escrow.getChannelId(config()));
        IChannelEscrow.CompactClaim[] memory claims = new IChannelEscrow.CompactClaim[](1);
        claims[0] = compactClaim(PAYER_KEY, config(), total, total);
        ISettlementHub.ModelTotal[] memory totals = new ISettlementHub.ModelTotal[](1);
        totals[0] = ISettlementHub.ModelTotal(modelId, total - before, calls);
        vm.prank(node);
        hub.submitBatch(node, claims, new bytes[](0), totals, receiptsRoot, "content", "cert");
    }

    /// The node's `index`-th receipt of the channel.
    function receipt(uint128 index) private view returns (IReceiptFaults.InferenceReceipt memory given) {
        given.requestId = bytes32(uint256(index));
        given.payer = payer;
        given.node = node;
        given.modelId = modelId;
        given.fee = 100;
        given.channelId = escrow.getChannelId(config());
        given.cumulativeCharged = 100 * index;
        given.servedAt = 1;
    }

    function leafOf(IReceiptFaults.InferenceReceipt memory given) private view returns (bytes32) {
        return keccak256(abi.encode(hub.receiptDigest(given)));
    }

    function signed(IReceiptFaults.InferenceReceipt memory given) private view returns (bytes memory) {
        return signature(NODE_KEY, hub.receiptDigest(given));
    }

    function proofBy(IReceiptFaults.InferenceReceipt memory sibling) private view returns (bytes32[] memory proof) {
        proof = new bytes32[](1);
        proof[0] = leafOf(sibling);
    }

    /// A receipt of a call that was charged with the first batch but is not in it.
    function missing() private view returns (IReceiptFaults.InferenceReceipt memory given) {
        given = receipt(2);
        given.requestId = "missing";
    }

    function challenge(IReceiptFaults.InferenceReceipt memory given) private returns (bytes32 receiptHash) {
        receiptHash = hub.receiptDigest(given);
        bytes memory signature_ = signed(given);
        vm.prank(alice);
        hub.challengeMissing(given, signature_);
    }

    function refuseChallenge(bytes memory error_, IReceiptFaults.InferenceReceipt memory given) private {
        bytes memory signature_ = signed(given);
        refuse(error_);
        vm.prank(alice);
        hub.challengeMissing(given, signature_);
    }

    function stakeOfNode() private view returns (uint128 amount, uint32 locks) {
        (amount,, locks) = vault.stakeOf(hub.nodeScopeOf(node), node);
    }

    /// @param held What the reporter had besides.
    function checkSlashed(address reporter, uint256 held) private view {
        (uint128 amount, uint32 locks) = stakeOfNode();
        eq(amount, 500, "half is gone");
        eq(locks, 0, "released");
        eq(token.balanceOf(reporter) - held, 100, "a fifth of it to the reporter");
        eq(token.SUPPLY() - token.totalSupply(), 400, "the rest burned");
    }

    function test_a_missing_receipt_that_is_not_shown_in_time_costs_the_node_half_its_stake() public {
        bytes32 receiptHash = hub.receiptDigest(missing());
        uint64 answerEnd = uint64(block.timestamp) + ANSWER_WINDOW;
        vm.expectEmit();
        emit IReceiptFaults.ReceiptChallenged(node, receiptHash, alice, "missing", 1, answerEnd, receiptHash);
        challenge(missing());
        (address challenged, address challenger, uint64 end) = hub.challengeOf(receiptHash);
        vm.assertTrue(challenged == node && challenger == alice && end == answerEnd, "open");
        refuse(abi.encodeWithSelector(IReceiptFaults.AnswerWindowOpen.selector, answerEnd));
        hub.resolveMissing(receiptHash);
        vm.warp(answerEnd);
        uint256 before = token.balanceOf(alice);
        vm.expectEmit();
        emit IReceiptFaults.ReceiptChallengeResolved(node, receiptHash, true, 500, 0);
        hub.resolveMissing(receiptHash);
        eq(token.balanceOf(alice) - before, FAULT_BOND + 100, "bond back and reward");
        checkSlashed(alice, 10 * FAULT_BOND);
        refuseChallenge(abi.encodeWithSelector(IReceiptFaults.FaultAlreadyProven.selector, bytes32("missing")), missing());
        refuse(abi.encodeWithSelector(IReceiptFaults.NotChallenged.selector, receiptHash));
        hub.resolveMissing(receiptHash);
    }

    function test_a_receipt_that_is_shown_earns_the_node_the_bond() public {
        bytes32 receiptHash = challenge(receipt(2));
        refuseChallenge(abi.encodeWithSelector(IReceiptFaults.AlreadyChallenged.selector, receiptHash), receipt(2));
        bytes32[] memory proof = proofBy(receipt(1));
        refuse(abi.encodeWithSelector(IReceiptFaults.NotInBatch.selector, node, bytes32("other")));
        hub.answerMissing(receiptHash, "other", proof);
        refuse(abi.encodeWithSelector(IReceiptFaults.NotInBatch.selector, node, root));
        hub.answerMissing(receiptHash, root, new bytes32[](0));
        uint128 credit = hub.nodeCredit(node);
        vm.expectEmit();
        emit IReceiptFaults.ReceiptChallengeResolved(node, receiptHash, false, 0, root);
        hub.answerMissing(receiptHash, root, proof);
        eq(hub.nodeCredit(node) - credit, FAULT_BOND, "bond");
        (uint128 amount, uint32 locks) = stakeOfNode();
        eq(amount, 1_000, "stake");
        eq(locks, 0, "released");
        refuse(abi.encodeWithSelector(IReceiptFaults.NotChallenged.selector, receiptHash));
        hub.answerMissing(receiptHash, root, proof);
    }

    function test_the_stake_cannot_leave_while_a_challenge_is_open() public {
        bytes32 receiptHash = challenge(missing());
        bytes32 scope = hub.nodeScopeOf(node);
        vm.prank(node);
        vault.requestUnstake(scope);
        pass(COOLDOWN);
        refuse(abi.encodeWithSelector(IStakeVault.StakeIsLocked.selector, 1));
        vm.prank(node);
        vault.unstake(scope);
        hub.resolveMissing(receiptHash);
        vm.prank(node);
        vault.unstake(scope);
        eq(token.balanceOf(node), 500, "what was left");
    }

    function test_refuses_challenges_of_what_was_not_charged_yet_or_not_signed() public {
        refuseChallenge(abi.encodeWithSelector(IReceiptFaults.NotCharged.selector, 300, 200), receipt(3));
        IReceiptFaults.InferenceReceipt memory free = missing();
        free.fee = 0;
        refuseChallenge(abi.encodeWithSelector(IReceiptFaults.NotCharged.selector, 200, 200), free);
        free.fee = 100;
        free.cumulativeCharged = 99;
        refuseChallenge(abi.encodeWithSelector(IReceiptFaults.NotCharged.selector, 99, 200), free);
        free.channelId = "of nobody";
        free.cumulativeCharged = 0;
        refuseChallenge(abi.encodeWithSelector(IReceiptFaults.NotCharged.selector, 0, 0), free);
        IReceiptFaults.InferenceReceipt memory others = missing();
        others.node = vm.addr(OTHER_KEY);
        refuseChallenge(abi.encodeWithSelector(IReceiptFaults.InvalidReceiptSignature.selector, others.node), others);
        others.node = address(0);
        bytes memory garbage = new bytes(65);
        refuse(abi.encodeWithSelector(IReceiptFaults.InvalidReceiptSignature.selector, address(0)));
        hub.challengeMissing(others, garbage);
    }

    function test_two_receipts_for_one_request_are_proven_at_once_and_count_once() public {
        IReceiptFaults.InferenceReceipt memory second = receipt(1);
        second.outputCommit = "another answer";
        bytes memory one = signed(receipt(1));
        bytes memory two = signed(second);
        IReceiptFaults.InferenceReceipt memory first = receipt(1);
        refuse(abi.encodeWithSelector(IReceiptFaults.SameReceipt.selector, hub.receiptDigest(first)));
        hub.proveDouble(first, one, first, one);
        refuse(abi.encodeWithSelector(IReceiptFaults.InvalidReceiptSignature.selector, node));
        hub.proveDouble(first, one, second, one);
        IReceiptFaults.InferenceReceipt memory other = receipt(2);
        bytes memory otherSigned = signed(other);
        refuse(abi.encodeWithSelector(IReceiptFaults.NotTheSameRequest.selector));
        hub.proveDouble(first, one, other, otherSigned);
        vm.prank(address(0xB0B));
        hub.proveDouble(first, one, second, two);
        checkSlashed(address(0xB0B), 0);
        refuse(abi.encodeWithSelector(IReceiptFaults.FaultAlreadyProven.selector, first.requestId));
        hub.proveDouble(second, two, first, one);
    }

    /// The malleable twin of a signature is the same receipt, and proves nothing.
    function test_refuses_the_twin_of_a_signature_as_a_second_receipt() public {
        IReceiptFaults.InferenceReceipt memory first = receipt(1);
        bytes memory one = signed(first);
        bytes memory two = twin(one);
        refuse(abi.encodeWithSelector(IReceiptFaults.InvalidReceiptSignature.selector, node));
        hub.proveDouble(first, one, first, two);
    }

    function test_a_leaf_that_differs_from_the_signed_receipt_is_proven_at_once() public {
        IReceiptFaults.InferenceReceipt memory given = receipt(1);
        given.modelId = "the model that really answered";
        bytes memory signature_ = signed(given);
        bytes32[] memory proof = proofBy(receipt(2));
        IReceiptFaults.InferenceReceipt memory settled = receipt(1);
        refuse(abi.encodeWithSelector(IReceiptFaults.NotInBatch.selector, node, bytes32("other")));
        hub.proveAltered(given, signature_, settled, "other", proof);
        IReceiptFaults.InferenceReceipt memory other = receipt(2);
        refuse(abi.encodeWithSelector(IReceiptFaults.NotTheSameRequest.selector));
        hub.proveAltered(given, signature_, other, root, proof);
        bytes memory settledSigned = signed(settled);
        refuse(abi.encodeWithSelector(IReceiptFaults.SameReceipt.selector, hub.receiptDigest(settled)));
        hub.proveAltered(settled, settledSigned, settled, root, proof);
        vm.prank(address(0xB0B));
        hub.proveAltered(given, signature_, settled, root, proof);
        checkSlashed(address(0xB0B), 0);
    }

    function test_a_request_proven_otherwise_meanwhile_is_not_slashed_for_twice() public {
        bytes32 receiptHash = challenge(missing());
        IReceiptFaults.InferenceReceipt memory first = missing();
        IReceiptFaults.InferenceReceipt memory second = missing();
        second.outputCommit = "another answer";
        bytes memory one = signed(first);
        bytes memory two = signed(second);
        vm.prank(address(0xB0B));
        hub.proveDouble(first, one, second, two);
        pass(ANSWER_WINDOW);
        uint256 before = token.balanceOf(alice);
        hub.resolveMissing(receiptHash);
        eq(token.balanceOf(alice) - before, FAULT_BOND, "bond alone");
        checkSlashed(address(0xB0B), 0);
    }

    /// Reporting oneself returns a fifth of what it costs.
    function test_a_node_that_reports_itself_loses_four_fifths_of_the_slash() public {
        IReceiptFaults.InferenceReceipt memory first = receipt(1);
        IReceiptFaults.InferenceReceipt memory second = receipt(1);
        second.outputCommit = "another answer";
        bytes memory one = signed(first);
        bytes memory two = signed(second);
        vm.prank(node);
        hub.proveDouble(first, one, second, two);
        (uint128 left,) = stakeOfNode();
        eq(left + token.balanceOf(node), 600, "left");
    }

    function test_refuses_batches_below_the_price_of_their_calls() public {
        IChannelEscrow.CompactClaim[] memory claims = new IChannelEscrow.CompactClaim[](1);
        claims[0] = compactClaim(PAYER_KEY, config(), 299, 299);
        ISettlementHub.ModelTotal[] memory totals = new ISettlementHub.ModelTotal[](1);
        totals[0] = ISettlementHub.ModelTotal(modelId, 99, 1);
        refuse(abi.encodeWithSelector(ISettlementHub.FeeBelowPrice.selector, modelId, 99, 100));
        vm.prank(node);
        hub.submitBatch(node, claims, new bytes[](0), totals, "next", "content", "cert");
        totals[0].calls = type(uint32).max;
        uint256 min = 100 * uint256(type(uint32).max);
        refuse(abi.encodeWithSelector(ISettlementHub.FeeBelowPrice.selector, modelId, 99, min));
        vm.prank(node);
        hub.submitBatch(node, claims, new bytes[](0), totals, "next", "content", "cert");
        settle(300, 1, "next");
    }

    function test_takes_batches_only_of_nodes_with_enough_stake_that_is_not_leaving() public {
        hub = newHub(NODE_BPS, TREASURY_BPS, 1_001);
        fund(payer, address(escrow), 1_000);
        vm.prank(payer);
        escrow.openChannel(config(), 1_000);
        IChannelEscrow.CompactClaim[] memory claims = new IChannelEscrow.CompactClaim[](1);
        claims[0] = compactClaim(PAYER_KEY, config(), 100, 100);
        ISettlementHub.ModelTotal[] memory totals = new ISettlementHub.ModelTotal[](1);
        totals[0] = ISettlementHub.ModelTotal(modelId, 100, 1);
        refuse(abi.encodeWithSelector(ISettlementHub.NodeStakeTooSmall.selector, 1_000, 1_001));
        vm.prank(node);
        hub.submitBatch(node, claims, new bytes[](0), totals, root, "content", "cert");
        token.approve(address(vault), 1);
        bytes32 scope = hub.nodeScopeOf(node);
        vault.stakeFor(scope, node, 1);
        vm.prank(node);
        vault.requestUnstake(scope);
        refuse(abi.encodeWithSelector(ISettlementHub.NodeStakeTooSmall.selector, 0, 1_001));
        vm.prank(node);
        hub.submitBatch(node, claims, new bytes[](0), totals, root, "content", "cert");
    }

    function test_a_higher_service_tier_takes_ten_times_the_stake() public {
        hub = newHub(NODE_BPS, TREASURY_BPS, 101); // The node has 1,000.
        fund(payer, address(escrow), 1_000);
        vm.prank(payer);
        escrow.openChannel(config(), 1_000);
        IChannelEscrow.CompactClaim[] memory claims = new IChannelEscrow.CompactClaim[](1);
        claims[0] = compactClaim(PAYER_KEY, config(), 100, 100);
        ISettlementHub.ModelTotal[] memory totals = new ISettlementHub.ModelTotal[](1);
        totals[0] = ISettlementHub.ModelTotal(modelId, 100, 1);
        vm.prank(models.ownerOf(modelId));
        models.setServiceTier(modelId, 1);
        eq(hub.nodeStakeMinOf(1), 1_010, "tier 1");
        eq(hub.nodeStakeMinOf(3), 101_000, "tier 3");
        refuse(abi.encodeWithSelector(ISettlementHub.NodeStakeTooSmall.selector, 1_000, 1_010));
        vm.prank(node);
        hub.submitBatch(node, claims, new bytes[](0), totals, root, "content", "cert");
        vm.prank(models.ownerOf(modelId));
        models.setServiceTier(modelId, 0);
        vm.prank(node);
        hub.submitBatch(node, claims, new bytes[](0), totals, root, "content", "cert");
    }
}
