// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ChannelEscrow} from "../../src/ChannelEscrow.sol";
import {CurveFactory} from "../../src/CurveFactory.sol";
import {IChannelEscrow} from "../../src/interfaces/IChannelEscrow.sol";
import {IModelCurve} from "../../src/interfaces/IModelCurve.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {ISettlementHub} from "../../src/interfaces/ISettlementHub.sol";
import {ModelCurve} from "../../src/ModelCurve.sol";
import {RewardDistributor} from "../../src/RewardDistributor.sol";
import {SettlementHub} from "../../src/SettlementHub.sol";
import {Base, vm} from "../Base.sol";
import {HostileToken} from "./HostileToken.sol";

/// @notice Attacks on what is paid and traded: vouchers, batches, curves. contracts/test/README.md says which finding
/// each answers.
contract MoneyAttacksTest is Base {
    uint256 private constant PAYER_KEY = 0xBEEF;
    address private payer = vm.addr(PAYER_KEY);
    address private node = address(0x0DE);
    address private alice = address(0xA11CE);
    address private thief = address(0x7417F);
    bytes32 private modelId;
    uint256 private batchCount;

    function setUp() public override {
        super.setUp();
        vm.prank(node);
        models.registerServingNode(node, 0, "");
        IModelRegistry.ModelParams memory params;
        params.ownerBps = 10_000;
        modelId = models.registerModel("m", 0, params, new IModelRegistry.Parent[](0));
    }

    function config(address payer_, address authorizer) private view returns (IChannelEscrow.ChannelConfig memory) {
        return IChannelEscrow.ChannelConfig(payer_, authorizer, address(hub), node, address(token), 1 hours, "s");
    }

    function open(IChannelEscrow.ChannelConfig memory given, uint128 amount) private returns (bytes32) {
        fund(given.payer, address(escrow), amount);
        vm.prank(given.payer);
        return escrow.openChannel(given, amount);
    }

    function claimOf(IChannelEscrow.ChannelConfig memory given, uint128 max, uint128 total)
        private
        view
        returns (IChannelEscrow.CompactClaim[] memory claims)
    {
        claims = new IChannelEscrow.CompactClaim[](1);
        claims[0] = compactClaim(PAYER_KEY, given, max, total);
    }

    function submit(IChannelEscrow.CompactClaim[] memory claims, bytes[] memory wallets, uint128 amount) private {
        ISettlementHub.ModelTotal[] memory totals = new ISettlementHub.ModelTotal[](1);
        totals[0] = ISettlementHub.ModelTotal(modelId, amount, 1);
        bytes32 root = bytes32(++batchCount);
        vm.prank(node);
        hub.submitBatch(node, claims, wallets, totals, root, 0, "");
    }

    function refuseSubmit(bytes memory error_, IChannelEscrow.CompactClaim[] memory claims, uint128 amount) private {
        refuse(error_);
        submit(claims, new bytes[](0), amount);
    }

    /// What is no signature recovers the zero address, which also says "no authoriser".
    function test_garbage_is_no_signature_of_a_payer_without_authorizer() public {
        IChannelEscrow.ChannelConfig memory given = config(payer, address(0));
        bytes32 channelId = open(given, 100);
        bytes memory error_ = abi.encodeWithSelector(IChannelEscrow.InvalidVoucherSignature.selector, channelId);
        IChannelEscrow.CompactClaim[] memory claims = claimOf(given, 60, 60);
        bytes32 vs = claims[0].vs;
        claims[0].vs = 0;
        refuseSubmit(error_, claims, 60);
        claims[0].r = bytes32(type(uint256).max);
        claims[0].vs = bytes32(type(uint256).max);
        refuseSubmit(error_, claims, 60);
        (claims[0].r, claims[0].vs) = (claimOf(given, 60, 60)[0].r, vs ^ bytes32(uint256(1) << 255));
        refuseSubmit(error_, claims, 60);
    }

    function test_no_field_of_a_compact_claim_may_differ_from_what_was_opened_and_signed() public {
        IChannelEscrow.ChannelConfig memory given = config(payer, payer);
        bytes32 channelId = open(given, 100);
        IChannelEscrow.CompactClaim[] memory claims = claimOf(given, 60, 60);
        for (uint256 i = 0; i < 4; i++) {
            IChannelEscrow.ChannelConfig memory other = config(payer, payer);
            if (i == 0) other.payer = thief;
            if (i == 1) other.payerAuthorizer = thief;
            if (i == 2) other.withdrawDelay += 1;
            if (i == 3) other.salt = "t";
            bytes memory error_ =
                abi.encodeWithSelector(IChannelEscrow.UnknownChannel.selector, escrow.getChannelId(other));
            IChannelEscrow.CompactClaim[] memory wrong = claimOf(given, 60, 60);
            (wrong[0].payer, wrong[0].payerAuthorizer) = (other.payer, other.payerAuthorizer);
            (wrong[0].withdrawDelay, wrong[0].salt) = (other.withdrawDelay, other.salt);
            refuseSubmit(error_, wrong, 60);
        }
        claims[0].maxClaimableAmount = 61;
        refuseSubmit(abi.encodeWithSelector(IChannelEscrow.InvalidVoucherSignature.selector, channelId), claims, 60);
        claims = claimOf(given, 60, 61);
        refuseSubmit(abi.encodeWithSelector(IChannelEscrow.ClaimAboveVoucher.selector, 61, 60), claims, 61);
        claims = claimOf(given, 101, 101);
        refuseSubmit(abi.encodeWithSelector(IChannelEscrow.ClaimAboveBalance.selector, 101, 100), claims, 101);
        submit(claimOf(given, 60, 60), new bytes[](0), 60);
        refuseSubmit(abi.encodeWithSelector(IChannelEscrow.ClaimNotMonotone.selector, 60, 60), claimOf(given, 60, 60), 1);
    }

    function test_a_contract_wallets_voucher_is_settled_and_every_signature_must_be_used() public {
        address wallet = address(new Wallet());
        IChannelEscrow.ChannelConfig memory given = config(wallet, address(0));
        bytes32 channelId = open(given, 100);
        IChannelEscrow.CompactClaim[] memory claims = claimOf(given, 60, 60);
        bytes memory error_ = abi.encodeWithSelector(IChannelEscrow.InvalidVoucherSignature.selector, channelId);
        refuseSubmit(error_, claims, 60); // By a key.
        claims[0].r = 0;
        bytes[] memory wallets = new bytes[](1);
        wallets[0] = "sesame";
        refuse(error_);
        submit(claims, wallets, 60);
        wallets = new bytes[](2);
        wallets[0] = "open sesame";
        refuse(abi.encodeWithSelector(IChannelEscrow.UnusedWalletSignatures.selector, 2, 1));
        submit(claims, wallets, 60);
        bytes[] memory one = new bytes[](1);
        one[0] = "open sesame";
        submit(claims, one, 60);
        eq(escrow.channelOf(channelId).totalClaimed, 60, "claimed");
        // A wallet does not speak for a channel with an authoriser, nor a plain account for itself.
        given = config(wallet, payer);
        channelId = open(given, 100);
        claims = claimOf(given, 50, 50);
        claims[0].r = 0;
        refuse(abi.encodeWithSelector(IChannelEscrow.InvalidVoucherSignature.selector, channelId));
        submit(claims, one, 50);
        given = config(alice, address(0));
        channelId = open(given, 100);
        claims = claimOf(given, 50, 50);
        claims[0].r = 0;
        refuse(abi.encodeWithSelector(IChannelEscrow.InvalidVoucherSignature.selector, channelId));
        submit(claims, one, 50);
    }

    /// The hub's channels cannot be claimed past it, nor with its words by another contract or account.
    function test_only_the_receiver_claims_and_settles_its_channels() public {
        IChannelEscrow.ChannelConfig memory given = config(payer, payer);
        open(given, 100);
        IChannelEscrow.CompactClaim[] memory claims = claimOf(given, 60, 60);
        given.receiver = node;
        refuse(abi.encodeWithSelector(IChannelEscrow.UnknownChannel.selector, escrow.getChannelId(given)));
        vm.prank(node);
        escrow.claimAndSettle(node, claims, new bytes[](0));
        IChannelEscrow.CompactClaim[] memory none;
        refuse(abi.encodeWithSelector(IChannelEscrow.ZeroAmount.selector));
        escrow.claimAndSettle(node, none, new bytes[](0));
    }

    /// An exit that is started when a batch is in sight does not outrun it; one that is over has.
    function test_a_payers_exit_does_not_outrun_the_node_within_its_delay() public {
        IChannelEscrow.ChannelConfig memory given = config(payer, payer);
        bytes32 channelId = open(given, 100);
        vm.prank(payer);
        escrow.initiateWithdraw(given, 100);
        pass(1 hours - 1);
        submit(claimOf(given, 60, 60), new bytes[](0), 60);
        pass(1);
        escrow.finalizeWithdraw(given);
        eq(token.balanceOf(payer), 40, "what was not claimed");
        eq(escrow.channelOf(channelId).balance, 60, "what was");
        refuseSubmit(
            abi.encodeWithSelector(IChannelEscrow.ClaimAboveBalance.selector, 61, 60), claimOf(given, 61, 61), 1
        );
    }

    function test_gifts_move_no_books() public {
        IChannelEscrow.ChannelConfig memory given = config(payer, payer);
        bytes32 channelId = open(given, 100);
        token.transfer(address(escrow), 1_000);
        token.transfer(address(hub), 1_000);
        token.transfer(address(vault), 1_000);
        eq(escrow.channelOf(channelId).balance, 100, "channel");
        refuse(abi.encodeWithSelector(IChannelEscrow.NothingToSettle.selector));
        escrow.settle(address(hub), address(token));
        refuse(abi.encodeWithSelector(ISettlementHub.NothingToPay.selector));
        hub.payNode(node);
        eq(vault.totalStaked(), 0, "stakes");
        submit(claimOf(given, 100, 100), new bytes[](0), 100);
        eq(hub.nodeCredit(node), 20, "credit");
        eq(distributor.totalFunded(), 75, "pool");
    }

    function test_one_wei_batches_round_in_nobodys_favour_but_the_pools() public {
        IChannelEscrow.ChannelConfig memory given = config(payer, payer);
        open(given, 100);
        for (uint128 total = 1; total <= 10; total++) {
            pass(1);
            submit(claimOf(given, total, total), new bytes[](0), 1);
        }
        eq(hub.nodeCredit(node) + token.balanceOf(treasury), 0, "rounded down");
        eq(distributor.totalFunded(), 10, "the rest");
    }

    function test_escrow_and_hub_let_their_token_in_nowhere() public {
        (HostileToken hostile, ChannelEscrow escrow_, SettlementHub hub_) = hostileHub();
        IChannelEscrow.ChannelConfig memory given = config(payer, address(0));
        (given.receiver, given.token) = (address(hub_), address(hostile));
        hostile.transfer(payer, 200);
        vm.prank(payer);
        hostile.approve(address(escrow_), 200);
        vm.prank(payer);
        escrow_.openChannel(given, 100);
        IChannelEscrow.CompactClaim[] memory claims = hostileClaims(escrow_, given);
        // A second channel whose exit is due: finishing it is anyone's right, but not from inside.
        given.salt = "leaving";
        vm.prank(payer);
        escrow_.openChannel(given, 100);
        vm.prank(payer);
        escrow_.initiateWithdraw(given, 100);
        pass(1 hours);
        hostile.arm(address(escrow_), abi.encodeCall(escrow_.finalizeWithdraw, (given)));
        ISettlementHub.ModelTotal[] memory totals = new ISettlementHub.ModelTotal[](1);
        totals[0] = ISettlementHub.ModelTotal(modelId, 100, 1);
        vm.prank(node);
        hub_.submitBatch(node, claims, new bytes[](0), totals, "root", 0, "");
        vm.assertTrue(hostile.hasTried() && !hostile.hasEntered(), "escrow");
        escrow_.finalizeWithdraw(given);
        hostile.arm(address(hub_), abi.encodeCall(hub_.payNode, (node)));
        hub_.payNode(node);
        vm.assertTrue(hostile.hasTried() && !hostile.hasEntered(), "hub");
        eq(hostile.balanceOf(node), 20, "once");
    }

    /// All of the channel, at another escrow than that of the other tests.
    function hostileClaims(ChannelEscrow escrow_, IChannelEscrow.ChannelConfig memory given)
        private
        view
        returns (IChannelEscrow.CompactClaim[] memory claims)
    {
        claims = new IChannelEscrow.CompactClaim[](1);
        bytes32 digest = escrow_.getVoucherDigest(escrow_.getChannelId(given), 100);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(PAYER_KEY, digest);
        bytes32 vs = bytes32(uint256(s) | (uint256(v - 27) << 255));
        claims[0] = IChannelEscrow.CompactClaim(payer, address(0), 1 hours, "s", 100, 100, r, vs);
    }

    function hostileHub() private returns (HostileToken hostile, ChannelEscrow escrow_, SettlementHub hub_) {
        hostile = new HostileToken();
        escrow_ = new ChannelEscrow(hostile);
        RewardDistributor pool = new RewardDistributor(hostile, address(this));
        hub_ = new SettlementHub(
            hostile, escrow_, vault, 1, 1, models, pool, treasury, NODE_BPS, TREASURY_BPS, 0, address(permissions)
        );
    }

    function test_a_curve_lets_its_token_in_nowhere_and_approves_nobody() public {
        HostileToken hostile = new HostileToken();
        CurveFactory makers = new CurveFactory(new ModelCurve(hostile), address(this));
        IModelCurve.CurveParams memory params = IModelCurve.CurveParams(1e15, 1e12, 1_000, 100);
        ModelCurve curve = ModelCurve(makers.create("m", alice, params, "M", "M"));
        hostile.approve(address(curve), type(uint256).max);
        curve.buy(1 ether, 1 ether, address(this), uint64(block.timestamp));
        hostile.arm(address(curve), abi.encodeCall(curve.collectFees, ()));
        curve.buy(1 ether, 1 ether, address(this), uint64(block.timestamp));
        vm.assertTrue(hostile.hasTried() && !hostile.hasEntered(), "buy");
        hostile.arm(address(curve), abi.encodeCall(curve.collectFees, ()));
        curve.sell(1 ether, 0, address(this), uint64(block.timestamp));
        vm.assertTrue(hostile.hasTried() && !hostile.hasEntered(), "sell");
        curve.collectFees();
        eq(hostile.allowance(address(curve), alice), 0, "beneficiary");
        eq(hostile.allowance(address(curve), address(makers)), 0, "factory");
    }

    /// A purchase that is run ahead of pays at most its limit, or nothing at all.
    function test_a_sandwich_cannot_pass_the_limits_of_a_trade() public {
        vm.prank(address(proposals));
        ModelCurve curve = ModelCurve(
            factory.create("m", address(0x0E), IModelCurve.CurveParams(1e15, 1e12, 1e6, 100), "M", "M")
        );
        fund(alice, address(curve), 1e24);
        fund(thief, address(curve), 1e24);
        (uint256 cost,) = curve.quoteBuy(10 ether);
        uint256 before = token.balanceOf(thief);
        vm.prank(thief);
        curve.buy(100 ether, type(uint256).max, thief, uint64(block.timestamp));
        (uint256 dearer,) = curve.quoteBuy(10 ether);
        refuse(abi.encodeWithSelector(IModelCurve.CostAboveLimit.selector, dearer, cost));
        vm.prank(alice);
        curve.buy(10 ether, cost, alice, uint64(block.timestamp));
        vm.prank(thief);
        curve.sell(100 ether, 0, thief, uint64(block.timestamp));
        vm.assertTrue(token.balanceOf(thief) < before, "the thief paid two fees for nothing");
    }
}

contract Wallet is IERC1271 {
    function isValidSignature(bytes32, bytes memory signed) external pure returns (bytes4) {
        return keccak256(signed) == keccak256("open sesame") ? IERC1271.isValidSignature.selector : bytes4(0);
    }
}
