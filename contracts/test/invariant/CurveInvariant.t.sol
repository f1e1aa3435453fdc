// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IModelCurve} from "../../src/interfaces/IModelCurve.sol";
import {ModelCurve} from "../../src/ModelCurve.sol";
import {vm} from "../Base.sol";
import {Actions} from "./Actions.sol";

/// @notice Invariant 18: a curve traded by several, with gifts in between.
contract CurveInvariantTest is Actions {
    uint256 private constant PURSE = 1e26;
    address private owner = address(0x0E);
    ModelCurve private curve;
    uint256 private given;

    function setUp() public override {
        super.setUp();
        IModelCurve.CurveParams memory params = IModelCurve.CurveParams(7, 3e12, 10_000_000, 33);
        vm.prank(address(proposals));
        curve = ModelCurve(factory.create("m", owner, params, "Model", "MDL"));
        for (uint256 i = 0; i < ACTORS; i++) {
            fund(actor(i), address(curve), PURSE);
            vm.prank(actor(i));
            token.approve(address(curve), type(uint256).max);
        }
    }

    function actions() internal pure override returns (bytes4[] memory selectors) {
        selectors = new bytes4[](4);
        selectors[0] = this.buy.selector;
        selectors[1] = this.sell.selector;
        selectors[2] = this.collectFees.selector;
        selectors[3] = this.give.selector;
    }

    function buy(uint256 who, uint256 amount) external {
        uint256 left = 10_000_000 ether - curve.totalSupply();
        if (left == 0) return;
        amount = bound(amount, 1, amount % 3 == 0 ? left : 1e21 < left ? 1e21 : left);
        (uint256 cost,) = curve.quoteBuy(amount);
        if (cost > token.balanceOf(actor(who))) return;
        vm.prank(actor(who));
        curve.buy(amount, cost, actor(who), uint64(block.timestamp));
    }

    function sell(uint256 who, uint256 amount) external {
        uint256 held = curve.balanceOf(actor(who));
        if (held == 0) return;
        vm.prank(actor(who));
        curve.sell(bound(amount, 1, held), 0, actor(who), uint64(block.timestamp));
    }

    function collectFees() external {
        if (curve.fees() > 0) curve.collectFees();
    }

    function give(uint256 amount) external {
        amount = bound(amount, 1, 1e20);
        given += amount;
        token.transfer(address(curve), amount);
    }

    function invariant_the_reserve_covers_the_supply() public view {
        vm.assertLe(curve.reserveAt(curve.totalSupply()), curve.reserve(), "reserve");
    }

    function invariant_the_curve_holds_reserve_fees_and_gifts() public view {
        eq(token.balanceOf(address(curve)), uint256(curve.reserve()) + curve.fees() + given, "held");
    }

    function invariant_the_traders_lose_together_what_the_curve_and_its_owner_have() public view {
        uint256 sum = token.balanceOf(address(curve)) + token.balanceOf(owner) - given;
        for (uint256 i = 0; i < ACTORS; i++) {
            sum += token.balanceOf(actor(i));
        }
        eq(sum, ACTORS * PURSE, "conserved");
    }
}
