// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {CurveFactory} from "../../src/CurveFactory.sol";
import {IModelCurve} from "../../src/interfaces/IModelCurve.sol";
import {ModelCurve} from "../../src/ModelCurve.sol";
import {Base, vm} from "../Base.sol";

contract ModelCurveTest is Base {
    address private alice = address(0xA11CE);
    address private owner = address(0x0E);
    ModelCurve private curve;

    function setUp() public override {
        super.setUp();
        curve = create("m", IModelCurve.CurveParams(0.01 ether, 0.001 ether, 1_000_000, 100));
        fund(alice, address(curve), 1e26);
    }

    function create(bytes32 modelId, IModelCurve.CurveParams memory params) private returns (ModelCurve) {
        vm.prank(address(proposals));
        return ModelCurve(factory.create(modelId, owner, params, "Model", "MDL"));
    }

    function buy(uint256 amount) private returns (uint256) {
        vm.prank(alice);
        return curve.buy(amount, type(uint256).max, alice, uint64(block.timestamp));
    }

    function sell(uint256 amount) private returns (uint256) {
        vm.prank(alice);
        return curve.sell(amount, 0, alice, uint64(block.timestamp));
    }

    function test_costs_the_integral_of_the_price_and_the_fee() public {
        // 10 tokens: 10·0.01 + 0.001·100/2 = 0.15, and 1 %.
        vm.expectEmit();
        emit IModelCurve.Bought(alice, alice, 10 ether, 0.1515 ether, 0.0015 ether, 10 ether, 0.15 ether);
        eq(buy(10 ether), 0.1515 ether, "cost");
        eq(curve.balanceOf(alice), 10 ether, "tokens");
        // The last 4: 0.15 − (6·0.01 + 0.001·36/2) = 0.072.
        vm.expectEmit();
        emit IModelCurve.Sold(alice, alice, 4 ether, 0.07128 ether, 0.00072 ether, 6 ether, 0.078 ether);
        eq(sell(4 ether), 0.07128 ether, "proceeds");
        vm.expectEmit();
        emit IModelCurve.FeesCollected(owner, 0.00222 ether);
        curve.collectFees();
        eq(token.balanceOf(owner), 0.00222 ether, "fees");
        eq(token.balanceOf(address(curve)), 0.078 ether, "reserve");
        refuse(abi.encodeWithSelector(IModelCurve.NothingToCollect.selector));
        curve.collectFees();
    }

    function test_is_named_by_its_model_and_known_to_the_factory() public view {
        eq(keccak256(bytes(curve.name())), keccak256("Model"), "name");
        eq(keccak256(bytes(curve.symbol())), keccak256("MDL"), "symbol");
        eq(factory.curveOf("m"), address(curve), "factory");
        eq(curve.modelId(), "m", "model");
        (uint80 baseWei, uint80 slopeWei, uint40 capTokens, uint16 feeBps) = curve.params();
        eq(baseWei, 0.01 ether, "base");
        eq(slopeWei, 0.001 ether, "slope");
        eq(capTokens, 1_000_000, "cap");
        eq(feeBps, 100, "fee");
    }

    function test_refuses_trades_past_their_limits() public {
        uint64 past = uint64(block.timestamp) - 1;
        uint64 present = uint64(block.timestamp);
        vm.startPrank(alice);
        refuse(abi.encodeWithSelector(IModelCurve.DeadlinePassed.selector, past));
        curve.buy(1, 1, alice, past);
        refuse(abi.encodeWithSelector(IModelCurve.DeadlinePassed.selector, past));
        curve.sell(1, 0, alice, past);
        refuse(abi.encodeWithSelector(IModelCurve.CostAboveLimit.selector, 0.1515 ether, 0.1515 ether - 1));
        curve.buy(10 ether, 0.1515 ether - 1, alice, present);
        curve.buy(10 ether, 0.1515 ether, alice, present);
        refuse(abi.encodeWithSelector(IModelCurve.ProceedsBelowLimit.selector, 0.07128 ether, 0.07128 ether + 1));
        curve.sell(4 ether, 0.07128 ether + 1, alice, present);
        refuse(abi.encodeWithSelector(IModelCurve.ZeroAmount.selector));
        curve.buy(0, 1, alice, present);
        refuse(abi.encodeWithSelector(IModelCurve.ZeroAmount.selector));
        curve.sell(0, 0, alice, present);
        uint256 tooMany = 1_000_000 ether + 1;
        refuse(abi.encodeWithSelector(IModelCurve.CapExceeded.selector, tooMany, tooMany - 1));
        curve.buy(tooMany - 10 ether, type(uint256).max, alice, present);
        refuse(abi.encodeWithSignature("ERC20InsufficientBalance(address,uint256,uint256)", alice, 10 ether, 11 ether));
        curve.sell(11 ether, 0, alice, present);
        vm.stopPrank();
    }

    function test_the_code_behind_all_curves_is_no_curve_and_only_proposals_make_one() public {
        uint64 present = uint64(block.timestamp);
        refuse(abi.encodeWithSelector(IModelCurve.NotCurve.selector));
        curveCode.buy(1, 1, alice, present);
        refuse(abi.encodeWithSelector(IModelCurve.NotCurve.selector));
        curveCode.beneficiary();
        IModelCurve.CurveParams memory params = IModelCurve.CurveParams(1, 1, 1, 0);
        refuse(abi.encodeWithSelector(CurveFactory.NotProposals.selector, address(this)));
        factory.create("n", alice, params, "", "");
        refuse(abi.encodeWithSelector(CurveFactory.CurveExists.selector, bytes32("m")));
        create("m", params);
    }

    function test_refuses_curves_that_are_free_or_whose_reserve_could_overflow() public {
        IModelCurve.CurveParams[4] memory wrong = [
            IModelCurve.CurveParams(0, 0, 1, 0),
            IModelCurve.CurveParams(1, 0, 0, 0),
            IModelCurve.CurveParams(1e24, 1, 1, 0),
            IModelCurve.CurveParams(1, 0, 1, 1_001)
        ];
        for (uint256 i = 0; i < wrong.length; i++) {
            refuse(abi.encodeWithSelector(CurveFactory.InvalidParams.selector));
            create("wrong", wrong[i]);
        }
        curve = create("dearest", IModelCurve.CurveParams(0, uint80(1e24 / uint256(type(uint40).max)), type(uint40).max, 0));
        vm.assertLe(curve.reserveAt(uint256(type(uint40).max) * 1e18), type(uint128).max, "fits");
    }

    /// Price and reserve are what the curve's own books say: what is sent to it is nobody's.
    function test_gifts_move_no_price() public {
        buy(10 ether);
        (uint256 cost,) = curve.quoteBuy(5 ether);
        (uint256 proceeds,) = curve.quoteSell(5 ether);
        token.transfer(address(curve), 1e20);
        (uint256 costAfter,) = curve.quoteBuy(5 ether);
        (uint256 proceedsAfter,) = curve.quoteSell(5 ether);
        eq(costAfter, cost, "cost");
        eq(proceedsAfter, proceeds, "proceeds");
    }

    function testFuzz_no_round_trip_gains_whatever_its_parts(
        uint80 baseWei,
        uint80 slopeWei,
        uint256[6] calldata parts,
        uint16 feeBps
    ) public {
        IModelCurve.CurveParams memory params = IModelCurve.CurveParams(
            uint80(bound(baseWei, 0, 1e18)), uint80(bound(slopeWei, 1, 1e12)), 1_000_000, uint16(bound(feeBps, 0, 1_000))
        );
        curve = create("fuzz", params);
        vm.prank(alice);
        token.approve(address(curve), type(uint256).max);
        buy(bound(parts[0], 1, 1e20)); // Somebody was here before.
        uint256 before = token.balanceOf(alice);
        uint256 bought;
        for (uint256 i = 1; i < 6; i++) {
            uint256 part = bound(parts[i], 1, i % 2 == 0 ? 1e6 : 1e22);
            buy(part);
            bought += part;
        }
        for (uint256 i = 1; bought > 0; i++) {
            uint256 part = i < 6 ? bound(parts[6 - i], 1, bought) : bought;
            sell(part);
            bought -= part;
        }
        vm.assertLe(token.balanceOf(alice), before, "no gain");
        vm.assertLe(curve.reserveAt(curve.totalSupply()), curve.reserve(), "reserve covers the supply");
    }

    function testFuzz_a_trade_in_two_parts_costs_at_least_as_much(uint256 one, uint256 two) public {
        one = bound(one, 1, 1e23);
        two = bound(two, 1, 1e23);
        (uint256 whole,) = curve.quoteBuy(one + two);
        vm.assertLe(whole, buy(one) + buy(two), "buying");
        (whole,) = curve.quoteSell(one + two);
        vm.assertLe(sell(one) + sell(two), whole, "selling");
    }
}
