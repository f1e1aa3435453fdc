// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IChannelEscrow} from "../../src/interfaces/IChannelEscrow.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {ISettlementHub} from "../../src/interfaces/ISettlementHub.sol";
import {vm} from "../Base.sol";
import {Actions} from "./Actions.sol";

/// @notice Channels of several payers with several nodes, settled in batches, left by their payers.
contract EscrowInvariantTest is Actions {
    uint256 private constant CHANNELS_MAX = 5;
    address[2] private nodes = [address(0x0DE1), address(0x0DE2)];
    bytes32[2] private modelIds;

    bytes32[] private channelIds;
    mapping(bytes32 channelId => IChannelEscrow.ChannelConfig) private configs;
    mapping(bytes32 channelId => uint256) private payerKey;
    /// Highest cap that the payer signed.
    mapping(bytes32 channelId => uint128) private signedMax;
    mapping(bytes32 channelId => uint128) private claimedBefore;
    bytes32 private lastRoot;
    uint256 private usageTotal;
    uint256 private nodesPaid;

    function setUp() public override {
        super.setUp();
        IModelRegistry.ModelParams memory params;
        params.ownerBps = 10_000;
        for (uint256 i = 0; i < 2; i++) {
            vm.prank(nodes[i]);
            models.registerServingNode(nodes[i], 0, "");
            modelIds[i] = models.registerModel(i == 0 ? "a" : "b", 0, params, new IModelRegistry.Parent[](0));
        }
    }

    function actions() internal pure override returns (bytes4[] memory selectors) {
        selectors = new bytes4[](10);
        selectors[0] = this.open.selector;
        selectors[1] = this.deposit.selector;
        selectors[2] = this.settle.selector;
        selectors[3] = this.settleAgain.selector;
        selectors[4] = this.settleUnsigned.selector;
        selectors[5] = this.initiateWithdraw.selector;
        selectors[6] = this.finalizeWithdraw.selector;
        selectors[7] = this.payNode.selector;
        selectors[8] = this.wait_.selector;
        selectors[9] = this.refund.selector;
    }

    function open(uint256 who, uint256 node, uint128 amount) external {
        if (channelIds.length >= CHANNELS_MAX) return;
        amount = uint128(bound(amount, 1, 1e24));
        fund(actor(who), address(escrow), amount);
        IChannelEscrow.ChannelConfig memory config = IChannelEscrow.ChannelConfig({
            payer: actor(who),
            payerAuthorizer: address(0),
            receiver: address(hub),
            receiverAuthorizer: nodes[node % 2],
            token: address(token),
            withdrawDelay: 1 days,
            salt: bytes32(channelIds.length)
        });
        vm.prank(actor(who));
        bytes32 channelId = escrow.openChannel(config, amount);
        channelIds.push(channelId);
        configs[channelId] = config;
        payerKey[channelId] = 1 + (who % ACTORS);
    }

    function deposit(uint256 channel, uint128 amount) external {
        if (channelIds.length == 0) return;
        amount = uint128(bound(amount, 1, 1e24));
        token.approve(address(escrow), amount);
        escrow.deposit(channelAt(channel), amount);
    }

    /// Invariant 16: whoever holds a voucher collects it, also while the payer is leaving.
    function settle(uint256 channel, uint128 amount, uint128 spare) external {
        if (channelIds.length == 0) return;
        bytes32 channelId = channelAt(channel);
        IChannelEscrow.Channel memory state = escrow.channelOf(channelId);
        if (state.balance == state.totalClaimed) return;
        amount = uint128(bound(amount, 1, state.balance - state.totalClaimed));
        uint128 max = state.totalClaimed + amount + (spare % 100);
        if (max > signedMax[channelId]) signedMax[channelId] = max;
        lastRoot = nextRoot();
        address node = configs[channelId].receiverAuthorizer;
        bytes memory call_ = batchCall(lastRoot, channelId, max, state.totalClaimed + amount, amount);
        vm.assertTrue(attempt(node, address(hub), call_), "a held voucher is collected");
        usageTotal += amount;
    }

    /// Invariant 14: a receipts root settles once per node.
    function settleAgain(uint256 channel) external {
        if (channelIds.length == 0 || lastRoot == 0) return;
        bytes32 channelId = channelAt(channel);
        IChannelEscrow.Channel memory state = escrow.channelOf(channelId);
        if (state.balance == state.totalClaimed) return;
        address node = configs[channelId].receiverAuthorizer;
        if (hub.batchIdOf(node, lastRoot) == 0) return;
        bytes memory call_ = batchCall(lastRoot, channelId, state.totalClaimed + 1, state.totalClaimed + 1, 1);
        vm.assertTrue(!attempt(node, address(hub), call_), "settled once");
    }

    /// Invariant 12: nothing above what the payer signed.
    function settleUnsigned(uint256 channel, uint128 amount) external {
        if (channelIds.length == 0) return;
        bytes32 channelId = channelAt(channel);
        IChannelEscrow.Channel memory state = escrow.channelOf(channelId);
        if (state.balance == state.totalClaimed) return;
        amount = uint128(bound(amount, 1, state.balance - state.totalClaimed));
        uint128 total = state.totalClaimed + amount;
        payerKey[channelId] += 100; // A stranger's key signs.
        bytes memory call_ = batchCall(nextRoot(), channelId, total, total, amount);
        payerKey[channelId] -= 100;
        address node = configs[channelId].receiverAuthorizer;
        vm.assertTrue(!attempt(node, address(hub), call_), "unsigned");
    }

    function initiateWithdraw(uint256 channel) external {
        if (channelIds.length == 0) return;
        bytes32 channelId = channelAt(channel);
        IChannelEscrow.Channel memory state = escrow.channelOf(channelId);
        address payer = vm.addr(payerKey[channelId]);
        uint128 left = state.balance - state.totalClaimed;
        bytes memory call_ = abi.encodeCall(escrow.initiateWithdraw, (configs[channelId], left));
        bool isDone = attempt(payer, address(escrow), call_);
        vm.assertTrue(isDone == (left > 0), "leaves with what is left");
    }

    /// Invariant 15: the payer is out once the delay is over, whatever the node does.
    function finalizeWithdraw(uint256 channel) external {
        if (channelIds.length == 0) return;
        bytes32 channelId = channelAt(channel);
        IChannelEscrow.Channel memory state = escrow.channelOf(channelId);
        address payer = vm.addr(payerKey[channelId]);
        uint256 balance = token.balanceOf(payer);
        bytes memory call_ = abi.encodeCall(escrow.finalizeWithdraw, (configs[channelId]));
        bool isDone = attempt(actor(0), address(escrow), call_);
        bool isDue = state.withdrawFinalizeAfter != 0 && block.timestamp >= state.withdrawFinalizeAfter;
        vm.assertTrue(isDone == isDue, "exactly when due");
        uint128 left = state.balance - state.totalClaimed;
        uint128 due = state.withdrawAmount < left ? state.withdrawAmount : left;
        eq(token.balanceOf(payer) - balance, isDone ? due : 0, "paid back");
    }

    function refund(uint256 channel, uint128 amount) external {
        if (channelIds.length == 0) return;
        bytes32 channelId = channelAt(channel);
        IChannelEscrow.Channel memory state = escrow.channelOf(channelId);
        if (state.balance == state.totalClaimed) return;
        vm.prank(configs[channelId].receiverAuthorizer);
        escrow.refund(configs[channelId], uint128(bound(amount, 1, type(uint128).max)));
    }

    function payNode(uint256 node) external {
        address payee = nodes[node % 2];
        uint128 credit = hub.nodeCredit(payee);
        if (credit == 0) return;
        hub.payNode(payee);
        nodesPaid += credit;
    }

    function invariant_the_escrow_holds_the_sum_of_the_channels_and_what_waits_for_receivers() public view {
        uint256 sum;
        for (uint256 i = 0; i < channelIds.length; i++) {
            IChannelEscrow.Channel memory state = escrow.channelOf(channelIds[i]);
            sum += state.balance - state.totalClaimed;
        }
        (uint128 claimed, uint128 settled) = escrow.receivers(address(hub), address(token));
        eq(token.balanceOf(address(escrow)), sum + claimed - settled, "balance");
        eq(claimed, usageTotal, "claimed for the hub");
        eq(settled, usageTotal, "settled with the hub");
    }

    function invariant_claims_only_grow_and_stay_within_balance_and_signature() public {
        for (uint256 i = 0; i < channelIds.length; i++) {
            IChannelEscrow.Channel memory state = escrow.channelOf(channelIds[i]);
            vm.assertLe(claimedBefore[channelIds[i]], state.totalClaimed, "grows");
            vm.assertLe(state.totalClaimed, state.balance, "balance");
            vm.assertLe(state.totalClaimed, signedMax[channelIds[i]], "signature");
            claimedBefore[channelIds[i]] = state.totalClaimed;
        }
    }

    function invariant_what_was_claimed_is_the_declared_usage_and_is_split_whole() public view {
        uint256 claimed;
        for (uint256 i = 0; i < channelIds.length; i++) {
            claimed += escrow.channelOf(channelIds[i]).totalClaimed;
        }
        eq(claimed, usageTotal, "usage");
        uint256 credits = hub.nodeCredit(nodes[0]) + hub.nodeCredit(nodes[1]);
        uint256 shares = credits + nodesPaid + token.balanceOf(treasury) + distributor.totalFunded();
        eq(shares, usageTotal, "shares");
        eq(token.balanceOf(address(hub)), credits, "the hub holds the credits");
    }

    function channelAt(uint256 index) private view returns (bytes32) {
        return channelIds[index % channelIds.length];
    }

    function nextRoot() private view returns (bytes32) {
        return keccak256(abi.encode("root", hub.batchCount()));
    }

    /// One claim, spread over both models.
    function batchCall(bytes32 root, bytes32 channelId, uint128 max, uint128 totalClaimed, uint128 amount)
        private
        view
        returns (bytes memory)
    {
        IChannelEscrow.CompactClaim[] memory claims = new IChannelEscrow.CompactClaim[](1);
        claims[0] = compactClaim(payerKey[channelId], configs[channelId], max, totalClaimed);
        ISettlementHub.ModelTotal[] memory totals = new ISettlementHub.ModelTotal[](2);
        totals[0] = ISettlementHub.ModelTotal(modelIds[0], amount / 3, 1);
        totals[1] = ISettlementHub.ModelTotal(modelIds[1], amount - amount / 3, 1);
        address node = configs[channelId].receiverAuthorizer;
        return abi.encodeCall(hub.submitBatch, (node, claims, new bytes[](0), totals, root, 0, ""));
    }
}
