// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IChannelEscrow} from "../../src/interfaces/IChannelEscrow.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {ISettlementHub} from "../../src/interfaces/ISettlementHub.sol";
import {SettlementHub} from "../../src/SettlementHub.sol";
import {Base, vm} from "../Base.sol";

contract SettlementHubTest is Base {
    uint256 private constant PAYER_KEY = 0xBEEF;
    address private payer = vm.addr(PAYER_KEY);
    address private node = address(0x0DE);
    bytes32 private modelA;
    bytes32 private modelB;
    mapping(bytes32 channelId => IChannelEscrow.ChannelConfig) private configs;

    function setUp() public override {
        super.setUp();
        vm.prank(node);
        models.registerServingNode(node, 0, "http://node");
        modelA = registerModel("a");
        modelB = registerModel("b");
    }

    function registerModel(string memory name) private returns (bytes32) {
        IModelRegistry.ModelParams memory params;
        params.ownerBps = 10_000;
        return models.registerModel(name, 0, params, new IModelRegistry.Parent[](0));
    }

    function open(address authorizer, uint128 amount, bytes32 salt) private returns (bytes32) {
        fund(payer, address(escrow), amount);
        IChannelEscrow.ChannelConfig memory config = IChannelEscrow.ChannelConfig(
            payer, address(0), address(hub), authorizer, address(token), 1 hours, salt
        );
        vm.prank(payer);
        bytes32 channelId = escrow.openChannel(config, amount);
        configs[channelId] = config;
        return channelId;
    }

    function vouch(bytes32 channelId, uint128 total) private view returns (IChannelEscrow.CompactClaim memory) {
        return compactClaim(PAYER_KEY, configs[channelId], total, total);
    }

    function one(bytes32 channelId, uint128 total) private view returns (IChannelEscrow.CompactClaim[] memory claims) {
        claims = new IChannelEscrow.CompactClaim[](1);
        claims[0] = vouch(channelId, total);
    }

    function usage(uint128 a, uint128 b) private view returns (ISettlementHub.ModelTotal[] memory totals) {
        totals = new ISettlementHub.ModelTotal[](2);
        totals[0] = ISettlementHub.ModelTotal(modelA, a, 3);
        totals[1] = ISettlementHub.ModelTotal(modelB, b, 4);
    }

    function submit(
        IChannelEscrow.CompactClaim[] memory claims,
        ISettlementHub.ModelTotal[] memory totals,
        bytes32 root
    ) private returns (uint64) {
        vm.prank(node);
        return hub.submitBatch(node, claims, new bytes[](0), totals, root, "content", "cert");
    }

    function refuseSubmit(
        bytes memory error_,
        IChannelEscrow.CompactClaim[] memory claims,
        ISettlementHub.ModelTotal[] memory totals,
        bytes32 root
    ) private {
        refuse(error_);
        submit(claims, totals, root);
    }

    function test_splits_a_batch_and_leaves_no_wei_over() public {
        bytes32 channelId = open(node, 1_000, "s");
        vm.expectEmit();
        emit ISettlementHub.ModelUsage(1, modelA, 600, 3);
        vm.expectEmit();
        emit ISettlementHub.ModelUsage(1, modelB, 399, 4);
        vm.expectEmit();
        emit ISettlementHub.NodeCredited(node, 199, 199);
        vm.expectEmit();
        emit ISettlementHub.BatchSettled("root", node, 1, 7, 999, 199, 751, 49, "content", "cert");
        submit(one(channelId, 999), usage(600, 399), "root");
        eq(token.balanceOf(treasury), 49, "treasury");
        eq(distributor.totalFunded(), 751, "pool");
        eq(token.balanceOf(address(hub)), 199, "held for the node");
        eq(hub.batchIdOf(node, "root"), 1, "batch");
    }

    function test_pays_the_node_its_credit_once() public {
        submit(one(open(node, 1_000, "s"), 1_000), usage(600, 400), "root");
        vm.expectEmit();
        emit ISettlementHub.NodePaid(node, node, 200, 0);
        hub.payNode(node);
        eq(token.balanceOf(node), 200, "node");
        refuse(abi.encodeWithSelector(ISettlementHub.NothingToPay.selector));
        hub.payNode(node);
    }

    function test_settles_several_channels_and_adds_the_credit_up() public {
        IChannelEscrow.CompactClaim[] memory claims = new IChannelEscrow.CompactClaim[](2);
        bytes32 channelId = open(node, 1_000, "s");
        claims[0] = vouch(channelId, 100);
        claims[1] = vouch(open(node, 1_000, "t"), 200);
        submit(claims, usage(150, 150), "root");
        submit(one(channelId, 400), usage(300, 0), "root 2");
        eq(hub.nodeCredit(node), 120, "credit");
        eq(hub.batchCount(), 2, "batches");
    }

    function test_lets_no_other_node_take_a_root_first() public {
        address other = address(0x0DE2);
        vm.prank(other);
        models.registerServingNode(other, 0, "http://other");
        IChannelEscrow.CompactClaim[] memory cheap = one(open(other, 1, "o"), 1);
        vm.prank(other);
        hub.submitBatch(other, cheap, new bytes[](0), usage(1, 0), "root", "content", "cert");
        submit(one(open(node, 1_000, "s"), 999), usage(999, 0), "root");
        eq(hub.batchIdOf(other, "root"), 1, "theirs");
        eq(hub.batchIdOf(node, "root"), 2, "ours");
    }

    function test_refuses_a_root_that_was_settled_before() public {
        bytes32 channelId = open(node, 1_000, "s");
        submit(one(channelId, 100), usage(100, 0), "root");
        refuseSubmit(
            abi.encodeWithSelector(ISettlementHub.BatchExists.selector, bytes32("root")),
            one(channelId, 200),
            usage(100, 0),
            "root"
        );
    }

    function test_refuses_totals_that_are_not_the_claims() public {
        bytes32 channelId = open(node, 1_000, "s");
        refuseSubmit(
            abi.encodeWithSelector(ISettlementHub.TotalsMismatch.selector, 100, 99),
            one(channelId, 100),
            usage(50, 49),
            "root"
        );
        refuseSubmit(
            abi.encodeWithSelector(ISettlementHub.TotalsMismatch.selector, 100, 2 * uint256(type(uint128).max)),
            one(channelId, 100),
            usage(type(uint128).max, type(uint128).max),
            "root"
        );
        eq(escrow.channelOf(channelId).totalClaimed, 0, "nothing claimed");
    }

    function test_refuses_malformed_batches() public {
        bytes32 channelId = open(node, 1_000, "s");
        refuseSubmit(abi.encodeWithSelector(ISettlementHub.ZeroRoot.selector), one(channelId, 1), usage(1, 0), 0);
        bytes memory isEmpty = abi.encodeWithSelector(ISettlementHub.EmptyBatch.selector);
        refuseSubmit(isEmpty, new IChannelEscrow.CompactClaim[](0), usage(1, 0), "root");
        refuseSubmit(isEmpty, one(channelId, 1), new ISettlementHub.ModelTotal[](0), "root");
        ISettlementHub.ModelTotal[] memory totals = usage(1, 0);
        totals[1].modelId = modelA;
        refuseSubmit(
            abi.encodeWithSelector(ISettlementHub.DuplicateModel.selector, modelA), one(channelId, 1), totals, "root"
        );
        totals[1].modelId = "nobody";
        refuseSubmit(
            abi.encodeWithSelector(ISettlementHub.UnknownModel.selector, bytes32("nobody")),
            one(channelId, 1),
            totals,
            "root"
        );
        IChannelEscrow.CompactClaim[] memory claims = one(channelId, 1);
        refuse(abi.encodeWithSelector(ISettlementHub.DaCommitmentTooLarge.selector, 16_385, 16_384));
        vm.prank(node);
        hub.submitBatch(node, claims, new bytes[](0), usage(1, 0), "root", "content", new bytes(16_385));
    }

    function test_refuses_callers_that_are_no_nodes() public {
        IChannelEscrow.CompactClaim[] memory claims = one(open(node, 1_000, "s"), 100);
        ISettlementHub.ModelTotal[] memory totals = usage(100, 0);
        refuse(abi.encodeWithSelector(ISettlementHub.NotNode.selector, address(this)));
        hub.submitBatch(address(this), claims, new bytes[](0), totals, "root", "content", "cert");
        refuse(abi.encodeWithSelector(ISettlementHub.NotNode.selector, address(this)));
        hub.submitBatch(node, claims, new bytes[](0), totals, "root", "content", "cert");
    }

    /// Id of the channel that the voucher would have to be for.
    function asOwn(bytes32 channelId) private view returns (bytes32) {
        IChannelEscrow.ChannelConfig memory config = configs[channelId];
        config.receiverAuthorizer = node;
        return escrow.getChannelId(config);
    }

    /// Vouchers are public once they were in a blob or in the mempool.
    function test_refuses_a_voucher_that_was_given_to_another_node() public {
        bytes32 others = open(address(0xBAD), 1_000, "s");
        refuseSubmit(
            abi.encodeWithSelector(IChannelEscrow.UnknownChannel.selector, asOwn(others)),
            one(others, 100),
            usage(100, 0),
            "root"
        );
        bytes32 nobodys = open(address(0), 1_000, "s");
        refuseSubmit(
            abi.encodeWithSelector(IChannelEscrow.UnknownChannel.selector, asOwn(nobodys)),
            one(nobodys, 100),
            usage(100, 0),
            "root"
        );
    }

    function test_refuses_a_voucher_the_payer_did_not_sign() public {
        bytes32 channelId = open(node, 1_000, "s");
        IChannelEscrow.CompactClaim[] memory claims = one(channelId, 100);
        claims[0].maxClaimableAmount = 101;
        refuseSubmit(
            abi.encodeWithSelector(IChannelEscrow.InvalidVoucherSignature.selector, channelId),
            claims,
            usage(100, 0),
            "root"
        );
    }

    function test_refuses_shares_above_the_whole() public {
        refuse(abi.encodeWithSelector(SettlementHub.SharesAboveWhole.selector, 10_001));
        newHub(10_000, 1, 0);
    }

    function testFuzz_the_three_shares_sum_to_the_total_whatever_the_split(
        uint128 total,
        uint16 nodeBps,
        uint16 treasuryBps
    ) public {
        total = uint128(bound(total, 1, 1e26));
        nodeBps = uint16(bound(nodeBps, 0, 10_000));
        treasuryBps = uint16(bound(treasuryBps, 0, 10_000 - nodeBps));
        hub = newHub(nodeBps, treasuryBps, 0);
        submit(one(open(node, total, "s"), total), usage(total, 0), "root");
        uint256 pool = distributor.totalFunded();
        eq(hub.nodeCredit(node) + token.balanceOf(treasury) + pool, total, "conserved");
        eq(token.balanceOf(address(hub)), hub.nodeCredit(node), "the hub keeps the credit only");
        eq(token.balanceOf(address(distributor)), pool, "funded");
        eq(hub.nodeCredit(node), (uint256(total) * nodeBps) / 10_000, "node");
    }
}
