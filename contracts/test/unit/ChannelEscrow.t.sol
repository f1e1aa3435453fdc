// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {IChannelEscrow} from "../../src/interfaces/IChannelEscrow.sol";
import {Base, vm} from "../Base.sol";

contract ChannelEscrowTest is Base {
    uint256 private constant AUTHORIZER_KEY = 0xA0;
    uint256 private constant PAYER_KEY = 0xBEEF;
    uint40 private constant DELAY = 1 hours;
    address private payer = vm.addr(PAYER_KEY);
    address private receiver = address(0x4EC);

    function config() private view returns (IChannelEscrow.ChannelConfig memory) {
        return IChannelEscrow.ChannelConfig({
            payer: payer,
            payerAuthorizer: vm.addr(AUTHORIZER_KEY),
            receiver: receiver,
            receiverAuthorizer: address(0x0DE),
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

    function voucher(uint256 key, bytes32 channelId, uint128 max, uint128 total)
        private
        view
        returns (IChannelEscrow.VoucherClaim[] memory claims)
    {
        claims = new IChannelEscrow.VoucherClaim[](1);
        bytes memory signed = signature(key, escrow.voucherDigest(channelId, max));
        claims[0] = IChannelEscrow.VoucherClaim(channelId, max, total, signed);
    }

    function claim(bytes32 channelId, uint128 max, uint128 total) private {
        IChannelEscrow.VoucherClaim[] memory claims = voucher(AUTHORIZER_KEY, channelId, max, total);
        vm.prank(receiver);
        escrow.claim(claims);
    }

    function refuseClaim(bytes memory error_, bytes32 channelId, uint128 max, uint128 total) private {
        IChannelEscrow.VoucherClaim[] memory claims = voucher(AUTHORIZER_KEY, channelId, max, total);
        refuse(error_);
        vm.prank(receiver);
        escrow.claim(claims);
    }

    function test_opens_under_the_hash_of_the_configuration() public {
        IChannelEscrow.ChannelConfig memory given = config();
        bytes32 expectedId = keccak256(abi.encode(given));
        fund(payer, address(escrow), 100);
        vm.expectEmit();
        emit IChannelEscrow.ChannelCreated(expectedId, given);
        vm.expectEmit();
        emit IChannelEscrow.Deposited(expectedId, payer, 100, 100);
        vm.prank(payer);
        eq(escrow.openChannel(given, 100), expectedId, "id");
        eq(keccak256(abi.encode(escrow.configOf(expectedId))), expectedId, "configuration");
        eq(escrow.receiverAuthorizerOf(expectedId), given.receiverAuthorizer, "authorizer");
        eq(escrow.escrowed(), 100, "escrowed");
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
    }

    function test_anyone_tops_up_a_known_channel() public {
        bytes32 channelId = open(config(), 100);
        token.approve(address(escrow), 50);
        escrow.deposit(channelId, 50);
        eq(escrow.channelOf(channelId).balance, 150, "balance");
        refuse(abi.encodeWithSelector(IChannelEscrow.UnknownChannel.selector, bytes32("no")));
        escrow.deposit("no", 50);
        refuse(abi.encodeWithSelector(IChannelEscrow.ZeroAmount.selector));
        escrow.deposit(channelId, 0);
    }

    function test_a_claim_pays_the_increment_to_the_receiver() public {
        bytes32 channelId = open(config(), 100);
        claim(channelId, 60, 40);
        IChannelEscrow.VoucherClaim[] memory claims = voucher(AUTHORIZER_KEY, channelId, 100, 70);
        vm.expectEmit();
        emit IChannelEscrow.Claimed(channelId, receiver, 30, 70);
        vm.prank(receiver);
        eq(escrow.claim(claims), 30, "increment");
        eq(token.balanceOf(receiver), 70, "paid");
        eq(escrow.escrowed(), 30, "escrowed");
    }

    function test_refuses_claims_that_step_back_or_exceed_the_voucher_or_the_balance() public {
        bytes32 channelId = open(config(), 100);
        claim(channelId, 40, 40);
        refuseClaim(abi.encodeWithSelector(IChannelEscrow.ClaimNotMonotone.selector, 40, 40), channelId, 60, 40);
        refuseClaim(abi.encodeWithSelector(IChannelEscrow.ClaimAboveVoucher.selector, 61, 60), channelId, 60, 61);
        refuseClaim(abi.encodeWithSelector(IChannelEscrow.ClaimAboveBalance.selector, 101, 100), channelId, 200, 101);
        refuseClaim(abi.encodeWithSelector(IChannelEscrow.UnknownChannel.selector, bytes32("no")), "no", 1, 1);
    }

    function test_refuses_claims_by_others_and_claims_of_nothing() public {
        bytes32 channelId = open(config(), 100);
        IChannelEscrow.VoucherClaim[] memory claims = voucher(AUTHORIZER_KEY, channelId, 60, 40);
        refuse(abi.encodeWithSelector(IChannelEscrow.NotReceiver.selector, address(this)));
        escrow.claim(claims);
        refuse(abi.encodeWithSelector(IChannelEscrow.ZeroAmount.selector));
        escrow.claim(new IChannelEscrow.VoucherClaim[](0));
    }

    function test_one_bad_voucher_undoes_the_whole_claim() public {
        bytes32 channelId = open(config(), 100);
        IChannelEscrow.VoucherClaim[] memory claims = new IChannelEscrow.VoucherClaim[](2);
        claims[0] = voucher(AUTHORIZER_KEY, channelId, 60, 40)[0];
        claims[1] = voucher(PAYER_KEY, channelId, 80, 80)[0];
        refuse(abi.encodeWithSelector(IChannelEscrow.InvalidVoucherSignature.selector, channelId));
        vm.prank(receiver);
        escrow.claim(claims);
        eq(escrow.channelOf(channelId).totalClaimed, 0, "nothing claimed");
    }

    function test_without_authorizer_the_payers_key_signs() public {
        IChannelEscrow.ChannelConfig memory given = config();
        given.payerAuthorizer = address(0);
        bytes32 channelId = open(given, 100);
        IChannelEscrow.VoucherClaim[] memory claims = voucher(PAYER_KEY, channelId, 60, 40);
        vm.prank(receiver);
        eq(escrow.claim(claims), 40, "payer's voucher");
        claims = voucher(AUTHORIZER_KEY, channelId, 60, 50);
        refuse(abi.encodeWithSelector(IChannelEscrow.InvalidVoucherSignature.selector, channelId));
        vm.prank(receiver);
        escrow.claim(claims);
    }

    function test_a_contract_wallet_signs_by_its_own_rule() public {
        IChannelEscrow.ChannelConfig memory given = config();
        given.payer = address(new Wallet());
        given.payerAuthorizer = address(0);
        bytes32 channelId = open(given, 100);
        IChannelEscrow.VoucherClaim[] memory claims = voucher(PAYER_KEY, channelId, 60, 40);
        refuse(abi.encodeWithSelector(IChannelEscrow.InvalidVoucherSignature.selector, channelId));
        vm.prank(receiver);
        escrow.claim(claims);
        claims[0].signature = "open sesame";
        vm.prank(receiver);
        eq(escrow.claim(claims), 40, "wallet's voucher");
    }

    function test_a_signature_binds_channel_contract_and_chain() public {
        bytes32 channelId = open(config(), 100);
        bytes32 elsewhere = escrow.voucherDigest(channelId, 60);
        vm.chainId(7);
        vm.assertTrue(escrow.voucherDigest(channelId, 60) != elsewhere, "chain");
        vm.assertTrue(escrow.voucherDigest("other", 60) != escrow.voucherDigest(channelId, 60), "channel");
    }

    function test_the_payer_exits_after_the_delay_with_what_was_not_claimed() public {
        bytes32 channelId = open(config(), 100);
        claim(channelId, 30, 30);
        uint40 finalizeAfter = uint40(block.timestamp) + DELAY;
        vm.expectEmit();
        emit IChannelEscrow.WithdrawInitiated(channelId, 70, finalizeAfter);
        vm.prank(payer);
        escrow.initiateWithdraw(channelId);
        vm.warp(finalizeAfter - 1);
        claim(channelId, 50, 50); // The receiver still collects a voucher it holds.
        refuse(abi.encodeWithSelector(IChannelEscrow.WithdrawNotReady.selector, finalizeAfter));
        escrow.finalizeWithdraw(channelId);
        vm.warp(finalizeAfter);
        vm.expectEmit();
        emit IChannelEscrow.WithdrawFinalized(channelId, address(this), 50);
        escrow.finalizeWithdraw(channelId);
        eq(token.balanceOf(payer), 50, "payer");
        eq(escrow.channelOf(channelId).balance, 50, "balance");
        eq(escrow.escrowed(), 0, "escrowed");
        refuse(abi.encodeWithSelector(IChannelEscrow.NothingToWithdraw.selector));
        escrow.finalizeWithdraw(channelId);
        refuse(abi.encodeWithSelector(IChannelEscrow.NothingToWithdraw.selector));
        vm.prank(payer);
        escrow.initiateWithdraw(channelId);
    }

    function test_only_the_payer_starts_an_exit() public {
        bytes32 channelId = open(config(), 100);
        refuse(abi.encodeWithSelector(IChannelEscrow.NotPayer.selector, receiver));
        vm.prank(receiver);
        escrow.initiateWithdraw(channelId);
        refuse(abi.encodeWithSelector(IChannelEscrow.UnknownChannel.selector, bytes32("no")));
        escrow.initiateWithdraw("no");
    }

    function test_an_exit_leaves_later_deposits_in_the_channel() public {
        bytes32 channelId = open(config(), 100);
        vm.prank(payer);
        escrow.initiateWithdraw(channelId);
        token.approve(address(escrow), 50);
        escrow.deposit(channelId, 50);
        pass(DELAY);
        escrow.finalizeWithdraw(channelId);
        eq(token.balanceOf(payer), 100, "payer");
        eq(escrow.channelOf(channelId).balance, 50, "balance");
    }

    function testFuzz_refuses_every_signature_that_is_not_the_authorizers(bytes memory garbage, uint256 key) public {
        bytes32 channelId = open(config(), 100);
        key = bound(key, 1, type(uint128).max);
        vm.assume(key != AUTHORIZER_KEY);
        IChannelEscrow.VoucherClaim[] memory claims = voucher(key, channelId, 60, 40);
        if (key % 2 == 0) claims[0].signature = garbage;
        refuse(abi.encodeWithSelector(IChannelEscrow.InvalidVoucherSignature.selector, channelId));
        vm.prank(receiver);
        escrow.claim(claims);
    }
}

contract Wallet is IERC1271 {
    function isValidSignature(bytes32, bytes memory signed) external pure returns (bytes4) {
        return keccak256(signed) == keccak256("open sesame") ? IERC1271.isValidSignature.selector : bytes4(0);
    }
}
