// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title A model's token on a linear curve, bought from and sold to a reserve of OPEN.
/// @notice Price of the next token at supply s: base + slope·s (wei of OPEN per whole token, s in whole tokens). The
/// reserve a supply needs is its integral, rounded up. Cost and fee round up, proceeds round down: no trade gains by
/// being split. Priced from what is stored here, never from balances: a gift to the curve changes nothing.
interface IModelCurve {
    /// @param baseWei Price of the first token, in wei of OPEN. @param slopeWei Rise of the price per whole token.
    /// @param capTokens Most tokens there can be, whole ones. @param feeBps Part of each cost and of each proceeds for the
    /// beneficiary.
    struct CurveParams {
        uint80 baseWei;
        uint80 slopeWei;
        uint40 capTokens;
        uint16 feeBps;
    }

    /// @notice Tokens of a curve were made; all in wei, supply and reserve after it.
    event Bought(address indexed buyer, address indexed to, uint256 amount, uint256 cost, uint256 fee, uint256 supply, uint256 reserve);
    /// @notice Tokens of a curve were burned; all in wei, supply and reserve after it.
    event Sold(address indexed seller, address indexed to, uint256 amount, uint256 proceeds, uint256 fee, uint256 supply, uint256 reserve);
    /// @notice The beneficiary has the fees; wei.
    event FeesCollected(address indexed to, uint256 amount);

    /// @notice The code behind all curves is no curve.
    /// @dev The implementation itself has no terms to trade on.
    error NotCurve();
    /// @notice Nothing, where there must be something.
    error ZeroAmount();
    /// @notice The trade came too late; unix seconds.
    error DeadlinePassed(uint64 deadline);
    /// @notice The supply would pass its cap; wei.
    error CapExceeded(uint256 supply, uint256 cap);
    /// @notice The price rose above the buyer's limit; wei.
    error CostAboveLimit(uint256 cost, uint256 max);
    /// @notice The price fell below the seller's limit; wei.
    error ProceedsBelowLimit(uint256 proceeds, uint256 min);
    /// @notice There are no fees.
    error NothingToCollect();

    /// @notice Buy exactly `amount` for at most `maxCost` (fee included), minted to `to`.
    /// @return cost What was taken from the caller, fee included.
    function buy(uint256 amount, uint256 maxCost, address to, uint64 deadline) external returns (uint256 cost);
    /// @notice Sell exactly `amount` of the caller's for at least `minProceeds` (fee deducted), paid to `to`.
    /// @return proceeds What was paid, fee deducted.
    function sell(uint256 amount, uint256 minProceeds, address to, uint64 deadline) external returns (uint256 proceeds);
    /// @notice Anyone; the beneficiary is paid.
    function collectFees() external;

    /// @return cost Fee included. @return fee Part of it for the beneficiary.
    function quoteBuy(uint256 amount) external view returns (uint256 cost, uint256 fee);
    /// @return proceeds Fee deducted. @return fee What was deducted.
    function quoteSell(uint256 amount) external view returns (uint256 proceeds, uint256 fee);
    /// @notice Reserve that a supply needs, in wei, rounded up.
    function reserveAt(uint256 supply) external view returns (uint256);
    function reserve() external view returns (uint128);
    function fees() external view returns (uint128);
    function modelId() external view returns (bytes32);
    function beneficiary() external view returns (address);
    function params() external view returns (uint80 baseWei, uint80 slopeWei, uint40 capTokens, uint16 feeBps);
}
