// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IModelCurve} from "./interfaces/IModelCurve.sol";

/// @title Curve and token of one model. Immutable: a clone of one implementation with its terms in its own code,
/// without initialiser, owner, pause, mint or sweep.
/// @dev R(s) = base·s + slope·s²/2 with s in whole tokens; with 18 decimals
/// R(s) = base·s/1e18 + slope·s²/(2·1e36), each division rounded up.
contract ModelCurve is IModelCurve, ERC20, ReentrancyGuardTransient {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    uint256 private constant WAD = 1e18;

    /// @notice OPEN, the only reserve.
    IERC20 public immutable reserveToken;

    /// @inheritdoc IModelCurve
    uint128 public reserve;
    /// @inheritdoc IModelCurve
    uint128 public fees;

    address private immutable _implementation = address(this);

    constructor(IERC20 reserveToken_) ERC20("", "") {
        reserveToken = reserveToken_;
    }

    /// @dev What every trade reads of the clone's code; its name and symbol follow there.
    struct Terms {
        bytes32 modelId;
        address beneficiary;
        CurveParams params;
    }

    /// @inheritdoc IModelCurve
    function buy(uint256 amount, uint256 maxCost, address to, uint64 deadline)
        external
        nonReentrant
        returns (uint256 cost)
    {
        require(block.timestamp <= deadline, DeadlinePassed(deadline));
        uint256 supply = totalSupply();
        uint256 fee;
        (cost, fee) = _quoteBuy(supply, amount);
        require(cost <= maxCost, CostAboveLimit(cost, maxCost));
        uint256 newReserve = reserve + (cost - fee);
        (reserve, fees) = (newReserve.toUint128(), (fees + fee).toUint128());
        _mint(to, amount);
        emit Bought(msg.sender, to, amount, cost, fee, supply + amount, newReserve);
        reserveToken.safeTransferFrom(msg.sender, address(this), cost);
    }

    /// @inheritdoc IModelCurve
    function sell(uint256 amount, uint256 minProceeds, address to, uint64 deadline)
        external
        nonReentrant
        returns (uint256 proceeds)
    {
        require(block.timestamp <= deadline, DeadlinePassed(deadline));
        uint256 supply = totalSupply();
        uint256 fee;
        (proceeds, fee) = _quoteSell(supply, amount);
        require(proceeds >= minProceeds, ProceedsBelowLimit(proceeds, minProceeds));
        uint256 newReserve = reserve - (proceeds + fee);
        (reserve, fees) = (uint128(newReserve), (fees + fee).toUint128());
        _burn(msg.sender, amount);
        emit Sold(msg.sender, to, amount, proceeds, fee, supply - amount, newReserve);
        reserveToken.safeTransfer(to, proceeds);
    }

    /// @inheritdoc IModelCurve
    function collectFees() external nonReentrant {
        uint128 amount = fees;
        require(amount > 0, NothingToCollect());
        fees = 0;
        address owner = beneficiary();
        emit FeesCollected(owner, amount);
        reserveToken.safeTransfer(owner, amount);
    }

    /// @inheritdoc IModelCurve
    function quoteBuy(uint256 amount) external view returns (uint256 cost, uint256 fee) {
        return _quoteBuy(totalSupply(), amount);
    }

    /// @inheritdoc IModelCurve
    function quoteSell(uint256 amount) external view returns (uint256 proceeds, uint256 fee) {
        return _quoteSell(totalSupply(), amount);
    }

    /// @inheritdoc IModelCurve
    function reserveAt(uint256 supply) external view returns (uint256) {
        return _reserveAt(_terms().params, supply);
    }

    /// @inheritdoc IModelCurve
    function modelId() external view returns (bytes32) {
        return _terms().modelId;
    }

    /// @inheritdoc IModelCurve
    function beneficiary() public view returns (address) {
        return _terms().beneficiary;
    }

    /// @inheritdoc IModelCurve
    function params() external view returns (uint80 baseWei, uint80 slopeWei, uint40 capTokens, uint16 feeBps) {
        CurveParams memory given = _terms().params;
        return (given.baseWei, given.slopeWei, given.capTokens, given.feeBps);
    }

    function name() public view override returns (string memory curveName) {
        (, curveName,) = abi.decode(_codeArgs(), (Terms, string, string));
    }

    function symbol() public view override returns (string memory curveSymbol) {
        (,, curveSymbol) = abi.decode(_codeArgs(), (Terms, string, string));
    }

    /// @dev Costs and proceeds are differences of one function: any split of a trade sums to the same, so that no
    /// rounding can be gained. What would cost nothing costs one wei.
    function _quoteBuy(uint256 supply, uint256 amount) private view returns (uint256 cost, uint256 fee) {
        require(amount > 0, ZeroAmount());
        CurveParams memory given = _terms().params;
        uint256 newSupply = supply + amount;
        uint256 cap = given.capTokens * WAD;
        require(newSupply <= cap, CapExceeded(newSupply, cap));
        uint256 net = Math.max(_reserveAt(given, newSupply) - _reserveAt(given, supply), 1);
        fee = Math.ceilDiv(net * given.feeBps, 10_000);
        cost = net + fee;
    }

    function _quoteSell(uint256 supply, uint256 amount) private view returns (uint256 proceeds, uint256 fee) {
        require(amount > 0, ZeroAmount());
        require(amount <= supply, ERC20InsufficientBalance(msg.sender, supply, amount));
        CurveParams memory given = _terms().params;
        uint256 gross = _reserveAt(given, supply) - _reserveAt(given, supply - amount);
        fee = Math.ceilDiv(gross * given.feeBps, 10_000);
        proceeds = gross - fee;
    }

    /// @dev Prices are below 2^80 and supplies below 2^100: no product comes near 256 bits.
    function _reserveAt(CurveParams memory given, uint256 supply) private pure returns (uint256) {
        uint256 linear = Math.ceilDiv(given.baseWei * supply, WAD);
        uint256 risen = Math.ceilDiv(given.slopeWei * supply, WAD);
        return linear + Math.ceilDiv(risen * supply, 2 * WAD);
    }

    function _terms() private view returns (Terms memory) {
        return abi.decode(_codeArgs(), (Terms));
    }

    /// @dev Read from code, not from storage: cheaper, and nothing is left to initialise.
    function _codeArgs() private view returns (bytes memory) {
        require(address(this) != _implementation, NotCurve());
        return Clones.fetchCloneArgs(address(this));
    }
}
