// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {Base, vm} from "../Base.sol";

contract OpenTokenTest is Base {
    bytes32 private constant PERMIT_TYPEHASH =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
    string private constant FIELDS =
        "(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)";
    bytes32 private constant TRANSFER = keccak256(abi.encodePacked("TransferWithAuthorization", FIELDS));
    bytes32 private constant RECEIVE = keccak256(abi.encodePacked("ReceiveWithAuthorization", FIELDS));
    bytes32 private constant CANCEL = keccak256("CancelAuthorization(address authorizer,bytes32 nonce)");
    uint256 private constant KEY = 0xA11CE;
    address private alice = vm.addr(KEY);
    address private bob = address(0xB0B);

    function setUp() public override {
        super.setUp();
        token.transfer(alice, 100);
    }

    function digestOf(bytes32 structHash) private view returns (bytes32) {
        return keccak256(abi.encodePacked("\x19\x01", token.DOMAIN_SEPARATOR(), structHash));
    }

    /// Alice's authorisation to move 10 to Bob within the next minute.
    function authorized(bytes32 typeHash, bytes32 nonce) private view returns (bytes memory) {
        uint256 until = block.timestamp + 60;
        return signature(KEY, digestOf(keccak256(abi.encode(typeHash, alice, bob, 10, 0, until, nonce))));
    }

    function move(bytes32 nonce, bytes memory signed) private {
        token.transferWithAuthorization(alice, bob, 10, 0, block.timestamp + 60, nonce, signed);
    }

    function refuseMove(string memory error_, bytes32 nonce, bytes memory signed) private {
        refuse(abi.encodeWithSignature(error_));
        move(nonce, signed);
    }

    function usedError(bytes32 nonce) private view returns (bytes memory) {
        return abi.encodeWithSignature("ERC3009UsedAuthorization(address,bytes32)", alice, nonce);
    }

    function test_mints_the_whole_supply_to_the_holder_once() public view {
        eq(token.totalSupply(), 1_000_000_000 ether, "supply");
        eq(token.balanceOf(address(this)) + 100, token.totalSupply(), "holder");
    }

    function test_burning_lowers_the_supply() public {
        token.burn(5);
        eq(token.totalSupply(), token.SUPPLY() - 5, "supply");
    }

    function test_counts_votes_by_timestamp() public {
        token.transfer(bob, 7);
        vm.prank(bob);
        token.delegate(bob);
        uint48 delegatedAt = token.clock();
        eq(delegatedAt, block.timestamp, "clock");
        pass(10);
        vm.prank(bob);
        token.transfer(address(this), 3);
        eq(token.getVotes(bob), 4, "now");
        eq(token.getPastVotes(bob, delegatedAt), 7, "then");
        eq(keccak256(bytes(token.CLOCK_MODE())), keccak256("mode=timestamp"), "mode");
    }

    function test_permit_approves_by_signature_once() public {
        bytes32 structHash = keccak256(abi.encode(PERMIT_TYPEHASH, alice, bob, 9, token.nonces(alice), block.timestamp));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, digestOf(structHash));
        token.permit(alice, bob, 9, block.timestamp, v, r, s);
        eq(token.allowance(alice, bob), 9, "allowance");
        (bool isRepeated,) =
            address(token).call(abi.encodeCall(token.permit, (alice, bob, 9, block.timestamp, v, r, s)));
        vm.assertTrue(!isRepeated, "a nonce counts once");
    }

    function testFuzz_a_random_nonce_counts_once_in_either_form(bytes32 nonce, bytes32 other) public {
        vm.assume(nonce != other);
        bytes memory signed = authorized(TRANSFER, nonce);
        move(nonce, signed);
        eq(token.balanceOf(bob), 10, "paid by the form of one byte string");
        vm.assertTrue(token.authorizationState(alice, nonce), "used");
        refuse(usedError(nonce));
        move(nonce, signed);
        (uint8 v, bytes32 r, bytes32 s) = split(signed);
        uint256 until = block.timestamp + 60;
        refuse(usedError(nonce));
        token.transferWithAuthorization(alice, bob, 10, 0, until, nonce, v, r, s);
        (v, r, s) = split(authorized(TRANSFER, other));
        token.transferWithAuthorization(alice, bob, 10, 0, until, other, v, r, s);
        eq(token.balanceOf(bob), 20, "paid by the form of v, r, s");
    }

    function test_only_the_recipient_sends_a_receive_authorization_in_either_form() public {
        bytes memory signed = authorized(RECEIVE, "n");
        (uint8 v, bytes32 r, bytes32 s) = split(signed);
        uint256 until = block.timestamp + 60;
        bytes memory wrongSender = abi.encodeWithSignature("ERC20InvalidReceiver(address)", bob);
        refuse(wrongSender);
        token.receiveWithAuthorization(alice, bob, 10, 0, until, "n", signed);
        refuse(wrongSender);
        token.receiveWithAuthorization(alice, bob, 10, 0, until, "n", v, r, s);
        vm.prank(bob);
        token.receiveWithAuthorization(alice, bob, 10, 0, until, "n", signed);
        eq(token.balanceOf(bob), 10, "paid");
        refuseMove("ERC3009InvalidSignature()", "m", authorized(RECEIVE, "m"));
    }

    function test_an_authorization_counts_only_within_its_time() public {
        uint256 from = block.timestamp + 10;
        bytes32 structHash = keccak256(abi.encode(TRANSFER, alice, bob, 10, from, from + 10, bytes32("n")));
        bytes memory signed = signature(KEY, digestOf(structHash));
        bytes memory wrongTime =
            abi.encodeWithSignature("ERC3009InvalidAuthorizationTime(uint256,uint256)", from, from + 10);
        refuse(wrongTime);
        token.transferWithAuthorization(alice, bob, 10, from, from + 10, "n", signed);
        vm.warp(from + 10);
        refuse(wrongTime);
        token.transferWithAuthorization(alice, bob, 10, from, from + 10, "n", signed);
        vm.warp(from + 1);
        token.transferWithAuthorization(alice, bob, 10, from, from + 10, "n", signed);
        eq(token.balanceOf(bob), 10, "paid");
    }

    function test_a_canceled_nonce_is_used_up() public {
        bytes32 structHash = keccak256(abi.encode(CANCEL, alice, bytes32("n")));
        bytes memory signed = signature(KEY, digestOf(structHash));
        refuse(abi.encodeWithSignature("ERC3009InvalidSignature()"));
        token.cancelAuthorization(alice, "m", signed);
        token.cancelAuthorization(alice, "n", signed);
        bytes memory transfer = authorized(TRANSFER, "n");
        refuse(usedError("n"));
        move("n", transfer);
    }

    function test_refuses_the_malleable_twin_of_a_signature_in_either_form() public {
        bytes memory other = twin(authorized(TRANSFER, "n"));
        refuseMove("ERC3009InvalidSignature()", "n", other);
        (uint8 v, bytes32 r, bytes32 s) = split(other);
        refuse(abi.encodeWithSignature("ECDSAInvalidSignatureS(bytes32)", s));
        token.transferWithAuthorization(alice, bob, 10, 0, block.timestamp + 60, "n", v, r, s);
    }

    /// A fork of the chain, or another chain with a token at the same address, has another domain.
    function test_refuses_a_signature_of_another_chain() public {
        bytes memory signed = authorized(TRANSFER, "n");
        vm.chainId(7);
        refuseMove("ERC3009InvalidSignature()", "n", signed);
        move("n", authorized(TRANSFER, "n"));
        eq(token.balanceOf(bob), 10, "signed for this chain");
    }

    function test_a_contract_wallet_authorizes_by_its_own_rule() public {
        TokenWallet wallet = new TokenWallet();
        token.transfer(address(wallet), 10);
        uint256 until = block.timestamp + 60;
        refuse(abi.encodeWithSignature("ERC3009InvalidSignature()"));
        token.transferWithAuthorization(address(wallet), bob, 10, 0, until, "n", "no");
        token.transferWithAuthorization(address(wallet), bob, 10, 0, until, "n", "yes");
        eq(token.balanceOf(bob), 10, "paid");
    }

    function testFuzz_refuses_every_authorization_with_another_term(uint256 value, address to, bytes32 nonce) public {
        vm.assume(value != 10 || to != bob || nonce != "n");
        bytes memory signed = authorized(TRANSFER, "n");
        refuse(abi.encodeWithSignature("ERC3009InvalidSignature()"));
        token.transferWithAuthorization(alice, to, value, 0, block.timestamp + 60, nonce, signed);
    }

    function split(bytes memory signed) private pure returns (uint8 v, bytes32 r, bytes32 s) {
        assembly ("memory-safe") {
            r := mload(add(signed, 32))
            s := mload(add(signed, 64))
            v := byte(0, mload(add(signed, 96)))
        }
    }
}

contract TokenWallet is IERC1271 {
    function isValidSignature(bytes32, bytes memory signed) external pure returns (bytes4) {
        return keccak256(signed) == keccak256("yes") ? IERC1271.isValidSignature.selector : bytes4(0);
    }
}
