// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {IModelCurve} from "./interfaces/IModelCurve.sol";
import {ModelCurve} from "./ModelCurve.sol";

/// @title Makes the curve of a model, at an address that follows from the model's id.
contract CurveFactory {
    /// @notice Whose code every curve runs.
    ModelCurve public immutable implementation;
    /// @notice Only this address creates.
    address public immutable proposals;

    mapping(bytes32 modelId => address) public curveOf;

    event CurveCreated(
        bytes32 indexed modelId,
        address indexed curve,
        address indexed beneficiary,
        address reserveToken,
        IModelCurve.CurveParams params
    );

    error NotProposals(address caller);
    error CurveExists(bytes32 modelId);

    constructor(ModelCurve implementation_, address proposals_) {
        implementation = implementation_;
        proposals = proposals_;
    }

    /// @dev Cloned and initialised in one transaction: nobody can come between.
    function create(
        bytes32 modelId,
        address beneficiary,
        IModelCurve.CurveParams calldata params,
        string calldata name,
        string calldata symbol
    ) external returns (address curve) {
        require(msg.sender == proposals, NotProposals(msg.sender));
        require(curveOf[modelId] == address(0), CurveExists(modelId));
        curve = Clones.cloneDeterministic(address(implementation), modelId);
        curveOf[modelId] = curve;
        emit CurveCreated(modelId, curve, beneficiary, address(implementation.reserveToken()), params);
        ModelCurve(curve).initialize(modelId, beneficiary, params, name, symbol);
    }
}
