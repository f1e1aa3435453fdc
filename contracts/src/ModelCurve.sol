// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IModelCurve} from "./interfaces/IModelCurve.sol";

/// @title Curve and token of one model. Immutable: a clone of one implementation, without owner, pause, mint or sweep.
/// @dev R(s) = base·s + slope·s²/2 with s in whole tokens; with 18 decimals
/// R(s) = base·s/1e18 + slope·s²/(2·1e36), computed in 512 bits and rounded up.
contract ModelCurve is IModelCurve, ERC20, ReentrancyGuardTransient {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    uint256 private constant WAD = 1e18;
    /// @notice Highest price at the cap, 10^6 OPEN: keeps R(cap) within 128 bits, since a cap is below 2^40 tokens.
    uint256 public constant PRICE_WEI_MAX = 1e24;
    uint16 public constant FEE_BPS_MAX = 1_000;

    /// @notice OPEN, the only reserve.
    IERC20 public immutable reserveToken;

    /// @inheritdoc IModelCurve
    CurveParams public params;
    /// @inheritdoc IModelCurve
    bytes32 public modelId;
    /// @inheritdoc IModelCurve
    address public beneficiary;
    /// @inheritdoc IModelCurve
    uint128 public reserve;
    /// @inheritdoc IModelCurve
    uint128 public fees;
    string private _curveName;
    string private _curveSymbol;

    /// @dev The implementation itself has a beneficiary, so nobody can initialise it.
    constructor(IERC20 reserveToken_) ERC20("", "") {
        reserveToken = reserveToken_;
        beneficiary = address(this);
    }

    /// @notice The factory calls this in the transaction that makes the clone.
    function initialize(
        bytes32 modelId_,
        address beneficiary_,
        CurveParams calldata params_,
        string calldata name_,
        string calldata symbol_
    ) external {
        require(beneficiary == address(0), AlreadyInitialized());
        uint256 topPriceWei = params_.baseWei + uint256(params_.slopeWei) * params_.capTokens;
        bool isValid = beneficiary_ != address(0) && params_.capTokens > 0 && topPriceWei > 0
            && topPriceWei <= PRICE_WEI_MAX && params_.feeBps <= FEE_BPS_MAX;
        require(isValid, InvalidParams());
        modelId = modelId_;
        beneficiary = beneficiary_;
        params = params_;
        _curveName = name_;
        _curveSymbol = symbol_;
    }

    /// @inheritdoc IModelCurve
    function buy(uint256 amount, uint256 maxCost, address to, uint64 deadline)
        external
        nonReentrant
        returns (uint256 cost)
    {
        require(block.timestamp <= deadline, DeadlinePassed(deadline));
        uint256 fee;
        (cost, fee) = quoteBuy(amount);
        require(cost <= maxCost, CostAboveLimit(cost, maxCost));
        uint256 newReserve = reserve + (cost - fee);
        reserve = newReserve.toUint128();
        fees = (fees + fee).toUint128();
        _mint(to, amount);
        emit Bought(msg.sender, to, amount, cost, fee, totalSupply(), newReserve);
        reserveToken.safeTransferFrom(msg.sender, address(this), cost);
    }

    /// @inheritdoc IModelCurve
    function sell(uint256 amount, uint256 minProceeds, address to, uint64 deadline)
        external
        nonReentrant
        returns (uint256 proceeds)
    {
        require(block.timestamp <= deadline, DeadlinePassed(deadline));
        uint256 fee;
        (proceeds, fee) = quoteSell(amount);
        require(proceeds >= minProceeds, ProceedsBelowLimit(proceeds, minProceeds));
        uint256 newReserve = reserve - (proceeds + fee);
        reserve = uint128(newReserve);
        fees = (fees + fee).toUint128();
        _burn(msg.sender, amount);
        emit Sold(msg.sender, to, amount, proceeds, fee, totalSupply(), newReserve);
        reserveToken.safeTransfer(to, proceeds);
    }

    /// @inheritdoc IModelCurve
    function collectFees() external nonReentrant {
        uint128 amount = fees;
        require(amount > 0, NothingToCollect());
        fees = 0;
        emit FeesCollected(beneficiary, amount);
        reserveToken.safeTransfer(beneficiary, amount);
    }

    /// @inheritdoc IModelCurve
    /// @dev Costs and proceeds are differences of one function: any split of a trade sums to the same, so that no
    /// rounding can be gained. What would cost nothing costs one wei.
    function quoteBuy(uint256 amount) public view returns (uint256 cost, uint256 fee) {
        require(amount > 0, ZeroAmount());
        uint256 supply = totalSupply();
        uint256 newSupply = supply + amount;
        uint256 cap = params.capTokens * WAD;
        require(newSupply <= cap, CapExceeded(newSupply, cap));
        uint256 net = Math.max(reserveAt(newSupply) - reserveAt(supply), 1);
        fee = Math.mulDiv(net, params.feeBps, 10_000, Math.Rounding.Ceil);
        cost = net + fee;
    }

    /// @inheritdoc IModelCurve
    function quoteSell(uint256 amount) public view returns (uint256 proceeds, uint256 fee) {
        require(amount > 0, ZeroAmount());
        uint256 supply = totalSupply();
        require(amount <= supply, ERC20InsufficientBalance(msg.sender, supply, amount));
        uint256 gross = reserveAt(supply) - reserveAt(supply - amount);
        fee = Math.mulDiv(gross, params.feeBps, 10_000, Math.Rounding.Ceil);
        proceeds = gross - fee;
    }

    /// @inheritdoc IModelCurve
    function reserveAt(uint256 supply) public view returns (uint256) {
        uint256 linear = Math.mulDiv(params.baseWei, supply, WAD, Math.Rounding.Ceil);
        uint256 risen = Math.mulDiv(params.slopeWei, supply, WAD, Math.Rounding.Ceil);
        return linear + Math.mulDiv(risen, supply, 2 * WAD, Math.Rounding.Ceil);
    }

    function name() public view override returns (string memory) {
        return _curveName;
    }

    function symbol() public view override returns (string memory) {
        return _curveSymbol;
    }
}
