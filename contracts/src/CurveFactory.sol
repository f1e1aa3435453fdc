// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {IModelCurve} from "./interfaces/IModelCurve.sol";
import {ModelCurve} from "./ModelCurve.sol";

/// @title Makes the curve of a model, at an address that follows from the model's id and the curve's terms.
contract CurveFactory {
    /// @notice Highest price at the cap, 10^6 OPEN: keeps the reserve at the cap within 128 bits, a cap being below 2^40 tokens.
    uint256 public constant PRICE_WEI_MAX = 1e24;
    uint16 public constant FEE_BPS_MAX = 1_000;

    /// @notice Whose code every curve runs.
    ModelCurve public immutable implementation;
    /// @notice Only this address creates.
    address public immutable proposals;

    mapping(bytes32 modelId => address) public curveOf;

    /// @notice A model has its curve. `baseWei` and `slopeWei` are the price of the first token and its rise with each token.
    event CurveCreated(
        bytes32 indexed modelId,
        address indexed curve,
        address indexed beneficiary,
        address reserveToken,
        IModelCurve.CurveParams params
    );

    /// @notice Only ModelProposals makes curves.
    error NotProposals(address caller);
    /// @notice The model has its curve.
    error CurveExists(bytes32 modelId);
    /// @notice A curve that is free or too dear, has no supply or no beneficiary, or takes too large a fee.
    error InvalidParams();

    constructor(ModelCurve implementation_, address proposals_) {
        implementation = implementation_;
        proposals = proposals_;
    }

    /// @dev The terms become the clone's code: nobody can come between, or initialise twice.
    function create(
        bytes32 modelId,
        address beneficiary,
        IModelCurve.CurveParams calldata params,
        string calldata name,
        string calldata symbol
    ) external returns (address curve) {
        require(msg.sender == proposals, NotProposals(msg.sender));
        require(curveOf[modelId] == address(0), CurveExists(modelId));
        uint256 topPriceWei = params.baseWei + uint256(params.slopeWei) * params.capTokens;
        bool isValid = beneficiary != address(0) && params.capTokens > 0 && topPriceWei > 0
            && topPriceWei <= PRICE_WEI_MAX && params.feeBps <= FEE_BPS_MAX;
        require(isValid, InvalidParams());
        bytes memory args = abi.encode(ModelCurve.Terms(modelId, beneficiary, params), name, symbol);
        curve = Clones.cloneDeterministicWithImmutableArgs(address(implementation), args, modelId);
        curveOf[modelId] = curve;
        emit CurveCreated(modelId, curve, beneficiary, address(implementation.reserveToken()), params);
    }
}
