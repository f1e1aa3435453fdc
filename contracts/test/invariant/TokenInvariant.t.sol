// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {vm} from "../Base.sol";
import {Actions} from "./Actions.sol";

/// @notice OPEN moved, delegated and burned: balances, supply and votes, of which the token keeps its own books.
contract TokenInvariantTest is Actions {
    uint256 private burned;
    mapping(uint256 time => uint256) private supplyAt;
    uint256[] private times;

    function setUp() public override {
        super.setUp();
        for (uint256 i = 0; i < ACTORS; i++) {
            token.transfer(actor(i), 1e24);
        }
        token.delegate(actor(0));
    }

    function actions() internal pure override returns (bytes4[] memory selectors) {
        selectors = new bytes4[](6);
        selectors[0] = this.move.selector;
        selectors[1] = this.overdraw.selector;
        selectors[2] = this.delegate.selector;
        selectors[3] = this.burn.selector;
        selectors[4] = this.spend.selector;
        selectors[5] = this.wait_.selector;
    }

    /// Also to oneself.
    function move(uint256 from, uint256 to, uint256 amount) external {
        amount = bound(amount, 0, token.balanceOf(actor(from)));
        vm.prank(actor(from));
        token.transfer(actor(to), amount);
    }

    function overdraw(uint256 from, uint256 to, uint256 amount) external {
        uint256 balance = token.balanceOf(actor(from));
        amount = bound(amount, balance + 1, type(uint256).max);
        bytes memory call_ = abi.encodeCall(token.transfer, (actor(to), amount));
        vm.assertTrue(!attempt(actor(from), address(token), call_), "more than there is");
    }

    /// To oneself, to another, or to nobody.
    function delegate(uint256 who, uint256 to) external {
        vm.prank(actor(who));
        token.delegate(to % 4 == 3 ? address(0) : actor(to));
    }

    function burn(uint256 who, uint256 amount) external {
        amount = bound(amount, 0, token.balanceOf(actor(who)) / 2);
        vm.prank(actor(who));
        token.burn(amount);
        burned += amount;
    }

    function spend(uint256 owner, uint256 spender, uint256 amount) external {
        amount = bound(amount, 0, token.balanceOf(actor(owner)));
        vm.prank(actor(owner));
        token.approve(actor(spender), amount);
        vm.prank(actor(spender));
        token.transferFrom(actor(owner), address(this), amount);
        eq(token.allowance(actor(owner), actor(spender)), 0, "used up");
    }

    function invariant_balances_sum_to_the_supply_which_only_burning_lowers() public view {
        uint256 sum = token.balanceOf(address(this));
        for (uint256 i = 0; i < ACTORS; i++) {
            sum += token.balanceOf(actor(i));
        }
        eq(sum, token.totalSupply(), "balances");
        eq(token.totalSupply() + burned, token.SUPPLY(), "supply");
    }

    function invariant_votes_are_the_balances_of_who_delegated() public view {
        for (uint256 i = 0; i < ACTORS; i++) {
            uint256 sum = token.delegates(address(this)) == actor(i) ? token.balanceOf(address(this)) : 0;
            for (uint256 j = 0; j < ACTORS; j++) {
                if (token.delegates(actor(j)) == actor(i)) sum += token.balanceOf(actor(j));
            }
            eq(token.getVotes(actor(i)), sum, "votes");
        }
    }

    /// What was the supply at a second that is over stays so.
    function invariant_past_supply_does_not_change() public {
        for (uint256 i = 0; i < times.length; i++) {
            eq(token.getPastTotalSupply(times[i]), supplyAt[times[i]], "past");
        }
        uint256 last = block.timestamp - 1;
        if (supplyAt[last] != 0) return;
        supplyAt[last] = token.getPastTotalSupply(last);
        times.push(last);
    }
}
