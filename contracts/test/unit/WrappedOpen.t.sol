// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {WrappedOpen} from "../../src/OpenToken.sol";
import {Base, vm} from "../Base.sol";

contract WrappedOpenTest is Base {
    WrappedOpen private wrapped;
    address private alice = address(0xA11CE);

    function setUp() public override {
        super.setUp();
        wrapped = new WrappedOpen();
        vm.deal(alice, 1_000);
    }

    function test_coins_become_tokens_and_tokens_coins() public {
        vm.startPrank(alice);
        vm.expectEmit();
        emit WrappedOpen.Deposit(alice, 600);
        wrapped.deposit{value: 600}();
        (bool isTaken,) = address(wrapped).call{value: 100}("");
        vm.assertTrue(isTaken, "plain transfer");
        eq(wrapped.balanceOf(alice), 700, "tokens");
        vm.expectEmit();
        emit WrappedOpen.Withdrawal(alice, 250);
        wrapped.withdraw(250);
        vm.stopPrank();
        eq(alice.balance, 550, "coins");
        eq(wrapped.totalSupply(), 450, "supply");
        eq(address(wrapped).balance, 450, "held");
    }

    function test_nothing_is_not_an_amount_and_nobody_takes_more_than_he_has() public {
        refuse(abi.encodeWithSelector(WrappedOpen.ZeroAmount.selector));
        wrapped.deposit();
        refuse(abi.encodeWithSelector(WrappedOpen.ZeroAmount.selector));
        wrapped.withdraw(0);
        vm.prank(alice);
        wrapped.deposit{value: 5}();
        refuse(abi.encodeWithSignature("ERC20InsufficientBalance(address,uint256,uint256)", poster, 0, 1));
        vm.prank(poster);
        wrapped.withdraw(1);
    }

    function test_what_is_burned_never_comes_back_as_coins() public {
        vm.startPrank(alice);
        wrapped.deposit{value: 100}();
        wrapped.burn(40);
        wrapped.withdraw(60);
        vm.stopPrank();
        eq(wrapped.totalSupply(), 0, "supply");
        eq(address(wrapped).balance, 40, "locked for ever");
    }

    function test_votes_and_speaks_as_the_other_token_does() public {
        vm.startPrank(alice);
        wrapped.deposit{value: 100}();
        wrapped.delegate(alice);
        vm.stopPrank();
        pass(1);
        eq(wrapped.getPastVotes(alice, block.timestamp - 1), 100, "votes");
        eq(keccak256(bytes(wrapped.name())), keccak256(bytes(token.name())), "the name that is signed");
        eq(keccak256(bytes(wrapped.CLOCK_MODE())), keccak256("mode=timestamp"), "clock");
    }

    function testFuzz_supply_never_exceeds_the_coins(uint96 in_, uint96 out, uint96 burned) public {
        in_ = uint96(bound(in_, 1, type(uint96).max));
        vm.deal(alice, in_);
        vm.startPrank(alice);
        wrapped.deposit{value: in_}();
        burned = uint96(bound(burned, 0, in_));
        wrapped.burn(burned);
        out = uint96(bound(out, 0, in_ - burned));
        if (out > 0) wrapped.withdraw(out);
        vm.stopPrank();
        vm.assertLe(wrapped.totalSupply(), address(wrapped).balance, "backed");
        eq(alice.balance, out, "coins");
    }
}
