// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IChannelEscrow} from "../../src/interfaces/IChannelEscrow.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {IReceiptFaults} from "../../src/interfaces/IReceiptFaults.sol";
import {ISettlementHub} from "../../src/interfaces/ISettlementHub.sol";
import {vm} from "../Base.sol";
import {Actions} from "./Actions.sol";

/// @notice Two nodes whose receipts are challenged, answered and proven false by several actors, while they settle on.
contract FaultInvariantTest is Actions {
    uint256 private constant NODES = 2;
    uint256 private constant PAYER_KEY = 0xBEEF;
    uint256 private constant NODE_KEY = 0x0DE1;
    uint128 private constant FEE = 1_000;
    uint128 private constant STAKE = 1e18;

    bytes32 private modelId;
    bytes32[NODES] private channelIds;
    /// Each batch holds one receipt: the root is its leaf.
    IReceiptFaults.InferenceReceipt[] private settled;
    bytes32[] private challenged;
    mapping(bytes32 receiptHash => IReceiptFaults.InferenceReceipt) private receiptOf;
    mapping(bytes32 receiptHash => bool) private isOpen;
    uint256[NODES] private openOf;
    uint256[NODES] private slashesOf;
    uint256 private bondsIn;
    uint256 private bondsOut;
    uint256 private creditsByShares;
    uint256 private paid;

    function setUp() public override {
        super.setUp();
        IModelRegistry.ModelParams memory params;
        params.ownerBps = 10_000;
        modelId = models.registerModel("m", 0, params, new IModelRegistry.Parent[](0));
        fund(vm.addr(PAYER_KEY), address(escrow), 1e24);
        for (uint256 i = 0; i < NODES; i++) {
            address node = vm.addr(NODE_KEY + i);
            vm.prank(node);
            models.registerServingNode(node, 0, "");
            token.approve(address(vault), STAKE);
            vault.stakeFor(hub.nodeScopeOf(node), node, STAKE);
            vm.prank(vm.addr(PAYER_KEY));
            channelIds[i] = escrow.openChannel(config(i), 1e23);
        }
        for (uint256 i = 0; i < ACTORS; i++) {
            fund(actor(i), address(hub), 1e12);
        }
    }

    function actions() internal pure override returns (bytes4[] memory selectors) {
        selectors = new bytes4[](8);
        selectors[0] = this.settle.selector;
        selectors[1] = this.challengeSettled.selector;
        selectors[2] = this.challengeMissing.selector;
        selectors[3] = this.answer.selector;
        selectors[4] = this.resolve.selector;
        selectors[5] = this.proveDouble.selector;
        selectors[6] = this.payNode.selector;
        selectors[7] = this.wait_.selector;
    }

    function settle(uint256 node) external {
        node %= NODES;
        (, uint128 claimed) = escrow.channels(channelIds[node]);
        IReceiptFaults.InferenceReceipt memory receipt = receiptAt(node, claimed + FEE, hub.batchCount(), 0);
        ISettlementHub.ModelTotal[] memory totals = new ISettlementHub.ModelTotal[](1);
        totals[0] = ISettlementHub.ModelTotal(modelId, FEE, 1);
        IChannelEscrow.CompactClaim[] memory claims = new IChannelEscrow.CompactClaim[](1);
        claims[0] = compactClaim(PAYER_KEY, config(node), claimed + FEE, claimed + FEE);
        bytes32 root = leafOf(receipt);
        vm.prank(receipt.node);
        hub.submitBatch(receipt.node, claims, new bytes[](0), totals, root, "content", "");
        settled.push(receipt);
        creditsByShares += (uint256(FEE) * NODE_BPS) / 10_000;
    }

    /// A challenge that its node can answer.
    function challengeSettled(uint256 who, uint256 index) external {
        if (settled.length == 0) return;
        challenge(who, settled[index % settled.length]);
    }

    /// One of a request that was charged and never settled.
    function challengeMissing(uint256 who, uint256 node, uint256 request) external {
        node %= NODES;
        (, uint128 claimed) = escrow.channels(channelIds[node]);
        if (claimed == 0) return;
        challenge(who, receiptAt(node, claimed, request % 4, 1));
    }

    function challenge(uint256 who, IReceiptFaults.InferenceReceipt memory receipt) private {
        bytes32 receiptHash = hub.receiptDigest(receipt);
        bool isTaken = !isOpen[receiptHash] && !hub.isFaultProven(receipt.node, receipt.requestId);
        bytes memory call_ = abi.encodeCall(hub.challengeMissing, (receipt, signedBy(receipt)));
        vm.assertTrue(attempt(actor(who), address(hub), call_) == isTaken, "once at a time, not once it is proven");
        if (!isTaken) return;
        isOpen[receiptHash] = true;
        challenged.push(receiptHash);
        receiptOf[receiptHash] = receipt;
        openOf[nodeIndex(receipt)]++;
        bondsIn += FAULT_BOND;
    }

    function answer(uint256 who, uint256 index) external {
        if (challenged.length == 0) return;
        bytes32 receiptHash = challenged[index % challenged.length];
        IReceiptFaults.InferenceReceipt memory receipt = receiptOf[receiptHash];
        bytes32 leaf = leafOf(receipt);
        bool isAnswered = isOpen[receiptHash] && hub.batchIdOf(receipt.node, leaf) != 0;
        bytes memory call_ = abi.encodeCall(hub.answerMissing, (receiptHash, leaf, new bytes32[](0)));
        vm.assertTrue(attempt(actor(who), address(hub), call_) == isAnswered, "exactly what was settled");
        if (isAnswered) close(receiptHash);
    }

    function resolve(uint256 who, uint256 index) external {
        if (challenged.length == 0) return;
        bytes32 receiptHash = challenged[index % challenged.length];
        IReceiptFaults.InferenceReceipt memory receipt = receiptOf[receiptHash];
        (, address challenger, uint64 answerEnd) = hub.challengeOf(receiptHash);
        bool isProven = hub.isFaultProven(receipt.node, receipt.requestId);
        uint256 stakeBefore = stakeOf(receipt.node);
        uint256 balance = token.balanceOf(challenger);
        bytes memory call_ = abi.encodeCall(hub.resolveMissing, (receiptHash));
        bool isDone = attempt(actor(who), address(hub), call_);
        vm.assertTrue(isDone == (isOpen[receiptHash] && block.timestamp >= answerEnd), "after the node's time");
        if (!isDone) return;
        uint256 slashed = stakeBefore - stakeOf(receipt.node);
        eq(slashed, isProven ? 0 : stakeBefore / 2, "a request costs half a stake, once");
        if (!isProven) slashesOf[nodeIndex(receipt)]++;
        eq(token.balanceOf(challenger) - balance, FAULT_BOND + slashed / 5, "bond and a fifth");
        bondsOut += FAULT_BOND;
        close(receiptHash);
    }

    function proveDouble(uint256 who, uint256 node, uint256 request) external {
        IReceiptFaults.InferenceReceipt memory first = receiptAt(node % NODES, FEE, request % 4, 1);
        IReceiptFaults.InferenceReceipt memory second = receiptAt(node % NODES, FEE, request % 4, 1);
        second.outputCommit = "another answer";
        bool isProven = hub.isFaultProven(first.node, first.requestId);
        bytes memory call_ =
            abi.encodeCall(hub.proveDouble, (first, signedBy(first), second, signedBy(second)));
        vm.assertTrue(attempt(actor(who), address(hub), call_) == !isProven, "a request counts once");
        if (!isProven) slashesOf[nodeIndex(first)]++;
    }

    function payNode(uint256 node) external {
        address payee = vm.addr(NODE_KEY + (node % NODES));
        uint128 credit = hub.nodeCredit(payee);
        if (credit == 0) return;
        hub.payNode(payee);
        paid += credit;
    }

    function invariant_the_hub_holds_its_nodes_credits_and_the_open_bonds() public view {
        uint256 credits = 0;
        uint256 open = 0;
        for (uint256 i = 0; i < NODES; i++) {
            credits += hub.nodeCredit(vm.addr(NODE_KEY + i));
            open += openOf[i];
        }
        eq(token.balanceOf(address(hub)), credits + open * FAULT_BOND, "held");
        eq(credits + paid, creditsByShares + (bondsIn - bondsOut - open * FAULT_BOND), "shares and bonds that were lost");
    }

    function invariant_a_stake_has_a_lock_for_each_open_challenge_and_is_halved_by_each_fault() public view {
        for (uint256 i = 0; i < NODES; i++) {
            address node = vm.addr(NODE_KEY + i);
            (uint128 amount,, uint32 locks) = vault.stakeOf(hub.nodeScopeOf(node), node);
            eq(locks, openOf[i], "locks");
            uint128 left = STAKE;
            for (uint256 j = 0; j < slashesOf[i]; j++) {
                left -= left / 2;
            }
            eq(amount, left, "halved");
        }
    }

    function close(bytes32 receiptHash) private {
        isOpen[receiptHash] = false;
        openOf[nodeIndex(receiptOf[receiptHash])]--;
    }

    function config(uint256 node) private view returns (IChannelEscrow.ChannelConfig memory) {
        address payer = vm.addr(PAYER_KEY);
        address nodeKey = vm.addr(NODE_KEY + node);
        return IChannelEscrow.ChannelConfig(payer, address(0), address(hub), nodeKey, address(token), 1 days, 0);
    }

    /// @param kind Keeps the requests of settled receipts and of others apart.
    function receiptAt(uint256 node, uint128 cumulative, uint256 request, uint256 kind)
        private
        view
        returns (IReceiptFaults.InferenceReceipt memory receipt)
    {
        receipt.requestId = keccak256(abi.encode(kind, request));
        receipt.payer = vm.addr(PAYER_KEY);
        receipt.node = vm.addr(NODE_KEY + node);
        receipt.modelId = modelId;
        receipt.fee = FEE;
        receipt.channelId = channelIds[node];
        receipt.cumulativeCharged = cumulative;
    }

    function nodeIndex(IReceiptFaults.InferenceReceipt memory receipt) private pure returns (uint256) {
        return receipt.node == vm.addr(NODE_KEY) ? 0 : 1;
    }

    function signedBy(IReceiptFaults.InferenceReceipt memory receipt) private view returns (bytes memory) {
        return signature(NODE_KEY + nodeIndex(receipt), hub.receiptDigest(receipt));
    }

    function leafOf(IReceiptFaults.InferenceReceipt memory receipt) private view returns (bytes32) {
        return keccak256(abi.encode(hub.receiptDigest(receipt)));
    }

    function stakeOf(address node) private view returns (uint256 amount) {
        (amount,,) = vault.stakeOf(hub.nodeScopeOf(node), node);
    }
}
