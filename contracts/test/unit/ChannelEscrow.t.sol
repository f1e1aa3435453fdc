// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IChannelEscrow, IDepositCollector} from "../../src/interfaces/IChannelEscrow.sol";
import {Base, vm} from "../Base.sol";

contract ChannelEscrowTest is Base {
    uint256 private constant AUTHORIZER_KEY = 0xA0;
    uint256 private constant PAYER_KEY = 0xBEEF;
    uint256 private constant NODE_KEY = 0x0DE;
    uint40 private constant DELAY = 1 hours;
    address private payer = vm.addr(PAYER_KEY);
    address private node = vm.addr(NODE_KEY);
    address private receiver = address(0x4EC);

    function config() private view returns (IChannelEscrow.ChannelConfig memory) {
        return IChannelEscrow.ChannelConfig({
            payer: payer,
            payerAuthorizer: vm.addr(AUTHORIZER_KEY),
            receiver: receiver,
            receiverAuthorizer: node,
            token: address(token),
            withdrawDelay: DELAY,
            salt: "salt"
        });
    }

    function open(IChannelEscrow.ChannelConfig memory given, uint128 amount) private returns (bytes32) {
        fund(given.payer, address(escrow), amount);
        vm.prank(given.payer);
        return escrow.openChannel(given, amount);
    }

    function voucher(uint256 key, IChannelEscrow.ChannelConfig memory given, uint128 max, uint128 total)
        private
        view
        returns (IChannelEscrow.VoucherClaim[] memory claims)
    {
        claims = new IChannelEscrow.VoucherClaim[](1);
        claims[0] = voucherClaim(key, given, max, total);
    }

    function claim(uint128 max, uint128 total) private {
        IChannelEscrow.VoucherClaim[] memory claims = voucher(AUTHORIZER_KEY, config(), max, total);
        vm.prank(receiver);
        escrow.claim(claims);
    }

    function refuseClaim(bytes memory error_, IChannelEscrow.ChannelConfig memory given, uint128 max, uint128 total)
        private
    {
        IChannelEscrow.VoucherClaim[] memory claims = voucher(AUTHORIZER_KEY, given, max, total);
        refuse(error_);
        vm.prank(receiver);
        escrow.claim(claims);
    }

    function balanceOf(bytes32 channelId) private view returns (uint128) {
        return escrow.channelOf(channelId).balance;
    }

    function test_opens_under_the_typed_data_hash_of_the_configuration() public {
        IChannelEscrow.ChannelConfig memory given = config();
        bytes32 expectedId = escrow.getChannelId(given);
        fund(payer, address(escrow), 100);
        vm.expectEmit();
        emit IChannelEscrow.ChannelCreated(expectedId, given);
        vm.expectEmit();
        emit IChannelEscrow.Deposited(expectedId, payer, 100, 100);
        vm.prank(payer);
        eq(escrow.openChannel(given, 100), expectedId, "id");
        vm.chainId(7);
        vm.assertTrue(escrow.getChannelId(given) != expectedId, "another chain, another channel");
    }

    function test_refuses_a_second_channel_of_the_same_configuration() public {
        bytes32 channelId = open(config(), 100);
        refuse(abi.encodeWithSelector(IChannelEscrow.ChannelExists.selector, channelId));
        vm.prank(payer);
        escrow.openChannel(config(), 100);
    }

    function test_refuses_to_open_for_another_payer_or_with_wrong_terms() public {
        IChannelEscrow.ChannelConfig memory given = config();
        refuse(abi.encodeWithSelector(IChannelEscrow.NotPayer.selector, address(this)));
        escrow.openChannel(given, 1);
        for (uint256 i = 0; i < 4; i++) {
            given = config();
            if (i == 0) given.receiver = address(0);
            if (i == 1) given.token = address(vault);
            if (i == 2) given.withdrawDelay = 15 minutes - 1;
            if (i == 3) given.withdrawDelay = 30 days + 1;
            refuse(abi.encodeWithSelector(IChannelEscrow.InvalidConfig.selector));
            vm.prank(payer);
            escrow.openChannel(given, 1);
        }
        given = config();
        given.payer = address(0);
        refuse(abi.encodeWithSelector(IChannelEscrow.InvalidConfig.selector));
        escrow.deposit(given, 1, address(this), "");
    }

    function test_anyone_tops_up_a_known_channel() public {
        bytes32 channelId = open(config(), 100);
        token.approve(address(escrow), 50);
        escrow.deposit(channelId, 50);
        eq(balanceOf(channelId), 150, "balance");
        refuse(abi.encodeWithSelector(IChannelEscrow.UnknownChannel.selector, bytes32("no")));
        escrow.deposit("no", 50);
        refuse(abi.encodeWithSelector(IChannelEscrow.ZeroAmount.selector));
        escrow.deposit(channelId, 0);
    }

    /// A collector that brings less, nothing, or calls back in gets nothing credited.
    function test_a_deposit_counts_what_its_collector_brought() public {
        Collector collector = new Collector(escrow);
        token.transfer(address(collector), 1_000);
        escrow.deposit(config(), 60, address(collector), abi.encode(60));
        escrow.deposit(config(), 40, address(collector), abi.encode(40));
        bytes32 channelId = escrow.getChannelId(config());
        eq(balanceOf(channelId), 100, "opened and topped up");
        refuse(abi.encodeWithSelector(IChannelEscrow.CollectedAmountMismatch.selector, 39, 40));
        escrow.deposit(config(), 40, address(collector), abi.encode(39));
        refuse(abi.encodeWithSelector(IChannelEscrow.CollectedAmountMismatch.selector, 41, 40));
        escrow.deposit(config(), 40, address(collector), abi.encode(41));
        refuse(abi.encodeWithSignature("ReentrancyGuardReentrantCall()"));
        escrow.deposit(config(), 40, address(collector), abi.encode(0));
    }

    function test_a_claim_waits_for_the_receiver_to_be_settled_with() public {
        bytes32 channelId = open(config(), 100);
        claim(60, 40);
        IChannelEscrow.VoucherClaim[] memory claims = voucher(AUTHORIZER_KEY, config(), 100, 70);
        vm.expectEmit();
        emit IChannelEscrow.Claimed(channelId, receiver, 30, 70);
        vm.prank(receiver);
        eq(escrow.claim(claims), 30, "increment");
        eq(token.balanceOf(receiver), 0, "waits");
        vm.expectEmit();
        emit IChannelEscrow.Settled(receiver, address(token), address(this), 70);
        escrow.settle(receiver, address(token));
        eq(token.balanceOf(receiver), 70, "paid");
        refuse(abi.encodeWithSelector(IChannelEscrow.NothingToSettle.selector));
        escrow.settle(receiver, address(token));
        refuse(abi.encodeWithSelector(IChannelEscrow.InvalidConfig.selector));
        escrow.settle(receiver, address(vault));
        (uint128 claimed, uint128 settled) = escrow.receivers(receiver, address(token));
        eq(claimed, 70, "claimed");
        eq(settled, 70, "settled");
        (claimed,) = escrow.receivers(receiver, address(vault));
        eq(claimed, 0, "another token");
    }

    function test_refuses_claims_that_step_back_or_exceed_the_voucher_or_the_balance() public {
        open(config(), 100);
        claim(40, 40);
        refuseClaim(abi.encodeWithSelector(IChannelEscrow.ClaimNotMonotone.selector, 40, 40), config(), 60, 40);
        refuseClaim(abi.encodeWithSelector(IChannelEscrow.ClaimAboveVoucher.selector, 61, 60), config(), 60, 61);
        refuseClaim(abi.encodeWithSelector(IChannelEscrow.ClaimAboveBalance.selector, 101, 100), config(), 200, 101);
        IChannelEscrow.ChannelConfig memory other = config();
        other.salt = "other";
        bytes32 otherId = escrow.getChannelId(other);
        refuseClaim(abi.encodeWithSelector(IChannelEscrow.UnknownChannel.selector, otherId), other, 1, 1);
    }

    function test_the_authorizer_claims_for_a_plain_receiver_by_call_or_by_signature() public {
        open(config(), 100);
        IChannelEscrow.VoucherClaim[] memory claims = voucher(AUTHORIZER_KEY, config(), 60, 40);
        refuse(abi.encodeWithSelector(IChannelEscrow.NotReceiver.selector, address(this)));
        escrow.claim(claims);
        vm.prank(node);
        escrow.claim(claims);
        claims = voucher(AUTHORIZER_KEY, config(), 60, 50);
        bytes memory signed = signature(NODE_KEY, escrow.getClaimBatchDigest(claims));
        bytes memory payers = signature(PAYER_KEY, escrow.getClaimBatchDigest(claims));
        refuse(abi.encodeWithSelector(IChannelEscrow.InvalidAuthorizerSignature.selector, node));
        escrow.claimWithSignature(claims, payers);
        escrow.claimWithSignature(claims, signed);
        escrow.settle(receiver, address(token));
        eq(token.balanceOf(receiver), 50, "paid");
        refuse(abi.encodeWithSelector(IChannelEscrow.ZeroAmount.selector));
        escrow.claimWithSignature(new IChannelEscrow.VoucherClaim[](0), signed);
        refuse(abi.encodeWithSelector(IChannelEscrow.ZeroAmount.selector));
        escrow.claim(new IChannelEscrow.VoucherClaim[](0));
    }

    /// The hub must know each wei it is paid: what its node claimed past it, it could give to nobody.
    function test_nobody_claims_for_a_receiver_that_has_code() public {
        IChannelEscrow.ChannelConfig memory given = config();
        given.receiver = address(hub);
        open(given, 100);
        IChannelEscrow.VoucherClaim[] memory claims = voucher(AUTHORIZER_KEY, given, 60, 40);
        bytes memory signed = signature(NODE_KEY, escrow.getClaimBatchDigest(claims));
        refuse(abi.encodeWithSelector(IChannelEscrow.NotReceiver.selector, node));
        vm.prank(node);
        escrow.claim(claims);
        refuse(abi.encodeWithSelector(IChannelEscrow.NotReceiver.selector, node));
        escrow.claimWithSignature(claims, signed);
    }

    function test_one_bad_voucher_undoes_the_whole_claim() public {
        bytes32 channelId = open(config(), 100);
        IChannelEscrow.VoucherClaim[] memory claims = new IChannelEscrow.VoucherClaim[](2);
        claims[0] = voucherClaim(AUTHORIZER_KEY, config(), 60, 40);
        claims[1] = voucherClaim(PAYER_KEY, config(), 80, 80);
        refuse(abi.encodeWithSelector(IChannelEscrow.InvalidVoucherSignature.selector, channelId));
        vm.prank(receiver);
        escrow.claim(claims);
        eq(escrow.channelOf(channelId).totalClaimed, 0, "nothing claimed");
    }

    function test_without_authorizer_the_payers_key_signs() public {
        IChannelEscrow.ChannelConfig memory given = config();
        given.payerAuthorizer = address(0);
        bytes32 channelId = open(given, 100);
        IChannelEscrow.VoucherClaim[] memory claims = voucher(PAYER_KEY, given, 60, 40);
        vm.prank(receiver);
        eq(escrow.claim(claims), 40, "payer's voucher");
        claims = voucher(AUTHORIZER_KEY, given, 60, 50);
        refuse(abi.encodeWithSelector(IChannelEscrow.InvalidVoucherSignature.selector, channelId));
        vm.prank(receiver);
        escrow.claim(claims);
    }

    function test_a_contract_wallet_signs_by_its_own_rule() public {
        IChannelEscrow.ChannelConfig memory given = config();
        given.payer = address(new Wallet());
        given.payerAuthorizer = address(0);
        bytes32 channelId = open(given, 100);
        IChannelEscrow.VoucherClaim[] memory claims = voucher(PAYER_KEY, given, 60, 40);
        refuse(abi.encodeWithSelector(IChannelEscrow.InvalidVoucherSignature.selector, channelId));
        vm.prank(receiver);
        escrow.claim(claims);
        claims[0].signature = "open sesame";
        vm.prank(receiver);
        eq(escrow.claim(claims), 40, "wallet's voucher");
    }

    function test_a_signature_binds_channel_contract_and_chain() public {
        bytes32 channelId = open(config(), 100);
        bytes32 elsewhere = escrow.getVoucherDigest(channelId, 60);
        vm.chainId(7);
        vm.assertTrue(escrow.getVoucherDigest(channelId, 60) != elsewhere, "chain");
        vm.assertTrue(escrow.getVoucherDigest("other", 60) != escrow.getVoucherDigest(channelId, 60), "channel");
    }

    /// Every signature has a twin with the other s: it must not count as a second one, nor at all.
    function test_refuses_the_malleable_twin_of_a_signature() public {
        bytes32 channelId = open(config(), 100);
        IChannelEscrow.VoucherClaim[] memory claims = voucher(AUTHORIZER_KEY, config(), 60, 40);
        claims[0].signature = twin(claims[0].signature);
        refuse(abi.encodeWithSelector(IChannelEscrow.InvalidVoucherSignature.selector, channelId));
        vm.prank(receiver);
        escrow.claim(claims);
    }

    function test_the_payer_exits_after_the_delay_with_what_was_not_claimed() public {
        bytes32 channelId = open(config(), 100);
        claim(30, 30);
        uint40 finalizeAfter = uint40(block.timestamp) + DELAY;
        refuse(abi.encodeWithSelector(IChannelEscrow.WithdrawAboveBalance.selector, 71, 70));
        vm.prank(payer);
        escrow.initiateWithdraw(config(), 71);
        vm.expectEmit();
        emit IChannelEscrow.WithdrawInitiated(channelId, 70, finalizeAfter);
        vm.prank(payer);
        escrow.initiateWithdraw(config(), 70);
        (uint128 pending, uint40 initiatedAt) = escrow.pendingWithdrawals(channelId);
        eq(pending, 70, "pending");
        eq(initiatedAt, block.timestamp, "since");
        vm.warp(finalizeAfter - 1);
        claim(50, 50); // The receiver still collects a voucher it holds.
        refuse(abi.encodeWithSelector(IChannelEscrow.WithdrawNotReady.selector, finalizeAfter));
        escrow.finalizeWithdraw(config());
        vm.warp(finalizeAfter);
        vm.expectEmit();
        emit IChannelEscrow.WithdrawFinalized(channelId, address(this), 50);
        escrow.finalizeWithdraw(config());
        eq(token.balanceOf(payer), 50, "payer");
        eq(balanceOf(channelId), 50, "balance");
        refuse(abi.encodeWithSelector(IChannelEscrow.NothingToWithdraw.selector));
        escrow.finalizeWithdraw(config());
        refuse(abi.encodeWithSelector(IChannelEscrow.NothingToWithdraw.selector));
        vm.prank(payer);
        escrow.initiateWithdraw(config(), 0);
    }

    function test_only_the_payer_starts_an_exit() public {
        open(config(), 100);
        refuse(abi.encodeWithSelector(IChannelEscrow.NotPayer.selector, receiver));
        vm.prank(receiver);
        escrow.initiateWithdraw(config(), 1);
        IChannelEscrow.ChannelConfig memory other = config();
        other.salt = "other";
        bytes32 otherId = escrow.getChannelId(other);
        refuse(abi.encodeWithSelector(IChannelEscrow.UnknownChannel.selector, otherId));
        vm.prank(payer);
        escrow.initiateWithdraw(other, 1);
    }

    function test_an_exit_leaves_later_deposits_in_the_channel() public {
        bytes32 channelId = open(config(), 100);
        vm.prank(payer);
        escrow.initiateWithdraw(config(), 100);
        token.approve(address(escrow), 50);
        escrow.deposit(channelId, 50);
        pass(DELAY);
        escrow.finalizeWithdraw(config());
        eq(token.balanceOf(payer), 100, "payer");
        eq(balanceOf(channelId), 50, "balance");
    }

    function test_the_receivers_side_refunds_at_once_and_never_what_was_claimed() public {
        bytes32 channelId = open(config(), 100);
        claim(30, 30);
        refuse(abi.encodeWithSelector(IChannelEscrow.NotReceiverAuthorizer.selector, payer));
        vm.prank(payer);
        escrow.refund(config(), 10);
        vm.expectEmit();
        emit IChannelEscrow.Refunded(channelId, node, 10, 90, 0);
        vm.prank(node);
        escrow.refund(config(), 10);
        vm.prank(receiver);
        escrow.refund(config(), 1_000);
        eq(token.balanceOf(payer), 70, "all but what was claimed");
        eq(balanceOf(channelId), 30, "balance");
        refuse(abi.encodeWithSelector(IChannelEscrow.NothingToWithdraw.selector));
        vm.prank(node);
        escrow.refund(config(), 1);
    }

    function test_a_refund_by_signature_counts_once() public {
        bytes32 channelId = open(config(), 100);
        bytes memory signed = signature(NODE_KEY, escrow.getRefundDigest(channelId, 0, 10));
        refuse(abi.encodeWithSelector(IChannelEscrow.InvalidAuthorizerSignature.selector, node));
        escrow.refundWithSignature(config(), 11, 0, signed);
        vm.expectEmit();
        emit IChannelEscrow.Refunded(channelId, address(this), 10, 90, 1);
        escrow.refundWithSignature(config(), 10, 0, signed);
        eq(escrow.refundNonce(channelId), 1, "nonce");
        refuse(abi.encodeWithSelector(IChannelEscrow.RefundNonceMismatch.selector, 0, 1));
        escrow.refundWithSignature(config(), 10, 0, signed);
    }

    function test_claims_and_refunds_in_one_call() public {
        bytes32 channelId = open(config(), 100);
        bytes[] memory calls = new bytes[](2);
        IChannelEscrow.VoucherClaim[] memory claims = voucher(AUTHORIZER_KEY, config(), 60, 40);
        bytes memory signed = signature(NODE_KEY, escrow.getClaimBatchDigest(claims));
        calls[0] = abi.encodeCall(escrow.claimWithSignature, (claims, signed));
        signed = signature(NODE_KEY, escrow.getRefundDigest(channelId, 0, 1_000));
        calls[1] = abi.encodeCall(escrow.refundWithSignature, (config(), 1_000, 0, signed));
        escrow.multicall(calls);
        eq(token.balanceOf(payer), 60, "refunded");
        (uint128 balance, uint128 claimed) = escrow.channels(channelId);
        eq(balance, 40, "balance");
        eq(claimed, 40, "claimed");
    }

    function test_the_collector_moves_money_for_the_escrow_only_and_into_the_signed_channel_only() public {
        token.transfer(payer, 100);
        bytes32 channelId = escrow.getChannelId(config());
        bytes memory data = authorization(channelId, 100, 7);
        refuse(abi.encodeWithSelector(IDepositCollector.NotEscrow.selector, address(this)));
        collector3009.collect(payer, address(token), 100, channelId, data);
        IChannelEscrow.ChannelConfig memory thiefs = config();
        thiefs.receiver = address(0x7417F);
        refuse(abi.encodeWithSignature("ERC3009InvalidSignature()"));
        escrow.deposit(thiefs, 100, address(collector3009), data);
        escrow.deposit(config(), 100, address(collector3009), data);
        eq(balanceOf(channelId), 100, "balance");
        bytes32 nonce = keccak256(abi.encode(channelId, 7));
        refuse(abi.encodeWithSignature("ERC3009UsedAuthorization(address,bytes32)", payer, nonce));
        escrow.deposit(config(), 100, address(collector3009), data);
    }

    function authorization(bytes32 channelId, uint256 amount, uint256 salt) private view returns (bytes memory) {
        bytes32 typeHash = keccak256(
            "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
        );
        bytes32 nonce = keccak256(abi.encode(channelId, salt));
        uint256 until = block.timestamp + 60;
        bytes32 structHash =
            keccak256(abi.encode(typeHash, payer, address(collector3009), amount, uint256(0), until, nonce));
        bytes32 digest = keccak256(abi.encodePacked("\x19\x01", token.DOMAIN_SEPARATOR(), structHash));
        return abi.encode(uint256(0), until, salt, signature(PAYER_KEY, digest));
    }

    function testFuzz_refuses_every_signature_that_is_not_the_authorizers(bytes memory garbage, uint256 key) public {
        bytes32 channelId = open(config(), 100);
        key = bound(key, 1, type(uint128).max);
        vm.assume(key != AUTHORIZER_KEY);
        IChannelEscrow.VoucherClaim[] memory claims = voucher(key, config(), 60, 40);
        if (key % 2 == 0) claims[0].signature = garbage;
        refuse(abi.encodeWithSelector(IChannelEscrow.InvalidVoucherSignature.selector, channelId));
        vm.prank(receiver);
        escrow.claim(claims);
    }
}

/// @notice Brings as much as its data says; with 0 it tries to come in by another door.
contract Collector is IDepositCollector {
    IChannelEscrow private immutable escrow;

    constructor(IChannelEscrow escrow_) {
        escrow = escrow_;
    }

    function collect(address, address token, uint256, bytes32, bytes calldata data) external {
        uint256 amount = abi.decode(data, (uint256));
        if (amount == 0) escrow.settle(address(this), token);
        IERC20(token).transfer(msg.sender, amount);
    }
}

contract Wallet is IERC1271 {
    function isValidSignature(bytes32, bytes memory signed) external pure returns (bytes4) {
        return keccak256(signed) == keccak256("open sesame") ? IERC1271.isValidSignature.selector : bytes4(0);
    }
}
