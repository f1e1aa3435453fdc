// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Base, vm} from "../Base.sol";

contract OpenTokenTest is Base {
    bytes32 private constant PERMIT_TYPEHASH =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    function test_mints_the_whole_supply_to_the_holder_once() public view {
        eq(token.totalSupply(), 1_000_000_000 ether, "supply");
        eq(token.balanceOf(address(this)), token.totalSupply(), "holder");
    }

    function test_burning_lowers_the_supply() public {
        token.burn(5);
        eq(token.totalSupply(), token.SUPPLY() - 5, "supply");
    }

    function test_counts_votes_by_timestamp() public {
        address voter = address(0xB0B);
        token.transfer(voter, 7);
        vm.prank(voter);
        token.delegate(voter);
        uint48 delegatedAt = token.clock();
        eq(delegatedAt, block.timestamp, "clock");
        pass(10);
        vm.prank(voter);
        token.transfer(address(this), 3);
        eq(token.getVotes(voter), 4, "now");
        eq(token.getPastVotes(voter, delegatedAt), 7, "then");
        eq(keccak256(bytes(token.CLOCK_MODE())), keccak256("mode=timestamp"), "mode");
    }

    function test_permit_approves_by_signature_once() public {
        address owner = vm.addr(0xA11CE);
        bytes32 structHash =
            keccak256(abi.encode(PERMIT_TYPEHASH, owner, address(0xB0B), 9, token.nonces(owner), block.timestamp));
        bytes32 digest = keccak256(abi.encodePacked("\x19\x01", token.DOMAIN_SEPARATOR(), structHash));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(0xA11CE, digest);
        token.permit(owner, address(0xB0B), 9, block.timestamp, v, r, s);
        eq(token.allowance(owner, address(0xB0B)), 9, "allowance");
        (bool isRepeated,) = address(token)
            .call(abi.encodeCall(token.permit, (owner, address(0xB0B), 9, block.timestamp, v, r, s)));
        vm.assertTrue(!isRepeated, "a nonce counts once");
    }
}
